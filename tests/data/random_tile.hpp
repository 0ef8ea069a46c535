// Random tiles for property tests, written field by field so that a field forgotten by the library is
// noticed.
#pragma once

#include <cmath>

#include "core/random.hpp"
#include "data/tile.hpp"

namespace crosstile::testing {

class Draw {
 public:
  explicit Draw(std::uint64_t event) : event_(event) {}
  double uniform() { return random_uniform({21, Stream::test, 0}, next_++, 0, event_); }
  double range(double low, double high) { return low + (high - low) * uniform(); }
  double log_range(double low, double high) { return low * std::pow(high / low, uniform()); }
  int integer(int low, int high) { return low + static_cast<int>(uniform() * (high - low + 1)); }
  bool coin() { return uniform() < 0.5; }
  template <typename Enum>
  Enum any() {
    const auto& all = data::EnumNames<Enum>::value;
    return all[static_cast<std::size_t>(integer(0, static_cast<int>(all.size()) - 1))].value;
  }

 private:
  std::uint64_t event_;
  std::uint64_t next_ = 0;
};

inline data::PulseSpec random_pulse(Draw& draw) {
  data::PulseSpec pulse;
  pulse.dac_bits = draw.integer(3, 16);
  pulse.t_lsb_s = draw.log_range(1e-11, 1e-6);
  pulse.t_edge_s = draw.range(0.0, 1.0) * pulse.t_lsb_s;
  pulse.t_settle_s = draw.log_range(1e-10, 1e-6);
  pulse.passes = draw.any<data::Passes>();
  pulse.split_bits = draw.integer(1, pulse.dac_bits - 2);
  pulse.align = draw.any<data::PulseAlign>();
  pulse.sign = draw.any<data::SignMode>();
  return pulse;
}

inline data::FrontEndSpec random_front_end(Draw& draw) {
  data::FrontEndSpec front_end;
  front_end.kind = draw.any<data::FrontEndKind>();
  front_end.dc_gain = draw.log_range(10.0, 1e6);
  front_end.gain_bandwidth_hz = draw.log_range(1e6, 1e10);
  if (draw.coin()) front_end.c_int_farad = draw.log_range(1e-14, 1e-9);
  front_end.swing_volt = draw.range(0.1, 2.0);
  front_end.slew_volt_per_s = draw.log_range(1e6, 1e10);
  front_end.leak_siemens = draw.log_range(1e-12, 1e-6);
  front_end.offset_volt = draw.range(-0.01, 0.01);
  return front_end;
}

inline data::AdcSpec random_adc(Draw& draw) {
  data::AdcSpec adc;
  adc.enabled = draw.coin();
  adc.bits = draw.integer(2, 24);
  if (draw.coin()) adc.full_scale_coulomb = draw.log_range(1e-15, 1e-9);
  adc.rounding = draw.any<data::AdcRounding>();
  adc.gain_spread = draw.range(0.0, 0.1);
  adc.offset_spread_lsb = draw.range(0.0, 3.0);
  return adc;
}

inline data::TileSpec random_tile(std::uint64_t event) {
  Draw draw(event);
  const auto presets = data::tile_preset_names();
  data::TileSpec tile;
  tile.preset = presets[static_cast<std::size_t>(draw.integer(0, static_cast<int>(presets.size()) - 1))];
  tile.rows = draw.integer(1, 2048);
  tile.cols = draw.integer(1, 2048);
  tile.drive = draw.any<data::Drive>();
  tile.weight_layout = draw.coin() ? data::WeightLayout::single : data::WeightLayout::pair_columns;
  if (tile.drive == data::Drive::bipolar) tile.weight_layout = data::WeightLayout::bipolar;
  tile.r_row_ohm = draw.log_range(1e-3, 1e3);
  tile.r_col_ohm = draw.log_range(1e-3, 1e3);
  tile.r_driver_ohm = draw.log_range(1e-3, 1e3);
  tile.r_sense_ohm = draw.log_range(1e-3, 1e3);
  tile.sense_segment = draw.range(0.0, 2.0);
  tile.c_row_farad = draw.log_range(1e-17, 1e-13);
  tile.c_col_farad = draw.log_range(1e-17, 1e-13);
  tile.drivers = draw.any<data::DriverEnds>();
  tile.sense = draw.any<data::SenseEnd>();
  tile.v_read_volt = draw.range(0.05, 1.0);
  tile.g_min_siemens = draw.log_range(1e-9, 1e-6);
  tile.g_max_siemens = tile.g_min_siemens * draw.range(1.0, 100.0);
  tile.cell.law = draw.any<data::CellLaw>();
  tile.cell.v_h_volt = draw.range(0.1, 1.0);
  tile.selector.r_on_ohm = draw.log_range(1.0, 1e4);
  tile.pulse = random_pulse(draw);
  tile.front_end = random_front_end(draw);
  tile.adc = random_adc(draw);
  return tile;
}

}  // namespace crosstile::testing
