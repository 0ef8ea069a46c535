// Every field of a TileSpec, once: its key, its place, its allowed range. What checks, reads and writes tiles
// is a visitor over this list. Private to this module.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "data/text_format.hpp"
#include "data/tile.hpp"

namespace crosstile::data {

/// What is wrong with one field; `problem` goes on where the key ends: "= -3 is not allowed; allowed: 0 to
/// 1e+06".
struct TileViolation {
  std::string key;  ///< "pulse.dac_bits"
  std::string problem;
};
std::vector<TileViolation> tile_violations(const TileSpec& tile);

template <typename Tile, typename Visitor>
void visit_array_fields(Tile& tile, Visitor& visitor) {
  visitor.integer("rows", tile.rows, 1, 16384);
  visitor.integer("cols", tile.cols, 1, 16384);
  visitor.choice("drive", tile.drive);
  visitor.choice("weight_layout", tile.weight_layout);
  visitor.number("r_row_ohm", tile.r_row_ohm, 0.0, 1e6);
  visitor.number("r_col_ohm", tile.r_col_ohm, 0.0, 1e6);
  visitor.number("r_driver_ohm", tile.r_driver_ohm, 0.0, 1e9);
  visitor.number("r_sense_ohm", tile.r_sense_ohm, 0.0, 1e9);
  visitor.number("sense_segment", tile.sense_segment, 0.0, 1e6);
  visitor.number("c_row_farad", tile.c_row_farad, 0.0, 1e-6);
  visitor.number("c_col_farad", tile.c_col_farad, 0.0, 1e-6);
  visitor.choice("drivers", tile.drivers);
  visitor.choice("sense", tile.sense);
  visitor.number("v_read_volt", tile.v_read_volt, kAboveZero, 100.0);
  visitor.number("g_min_siemens", tile.g_min_siemens, 0.0, 1.0);
  visitor.number("g_max_siemens", tile.g_max_siemens, std::max(tile.g_min_siemens, kAboveZero), 1.0);
}

template <typename Pulse, typename Visitor>
void visit_pulse_fields(Pulse& pulse, Visitor& visitor) {
  visitor.integer("pulse.dac_bits", pulse.dac_bits, 2, 16);
  visitor.number("pulse.t_lsb_s", pulse.t_lsb_s, kAboveZero, 1.0);
  visitor.number("pulse.t_edge_s", pulse.t_edge_s, 0.0, pulse.t_lsb_s);
  visitor.number("pulse.t_settle_s", pulse.t_settle_s, 0.0, 1.0);
  visitor.choice("pulse.passes", pulse.passes);
  // Without split passes the key has no effect, so any number of bits may stand there.
  const int most_bits = pulse.passes == Passes::split ? std::max(1, pulse.dac_bits - 2) : 15;
  visitor.integer("pulse.split_bits", pulse.split_bits, 1, most_bits);
  visitor.choice("pulse.align", pulse.align);
  visitor.choice("pulse.sign", pulse.sign);
}

template <typename Selector, typename Visitor>
void visit_selector_fields(Selector& selector, Visitor& visitor) {
  visitor.choice("selector.kind", selector.kind);
  visitor.number("selector.r_on_ohm", selector.r_on_ohm, 0.0, 1e9);
  visitor.number("selector.gate_on_volt", selector.gate_on_volt, kAboveZero, 10.0);
  visitor.number("selector.threshold_volt", selector.threshold_volt, -2.0, 5.0);
  visitor.number("selector.beta_ampere_per_volt2", selector.beta_ampere_per_volt2, kAboveZero, 10.0);
  visitor.number("selector.slope_factor", selector.slope_factor, 1.0, 3.0);
  visitor.number("selector.temperature_kelvin", selector.temperature_kelvin, 100.0, 600.0);
}

template <typename FrontEnd, typename Visitor>
void visit_front_end_fields(FrontEnd& front_end, Visitor& visitor) {
  visitor.choice("front_end.kind", front_end.kind);
  visitor.number("front_end.dc_gain", front_end.dc_gain, 1.0, 1e9);
  visitor.number("front_end.gain_bandwidth_hz", front_end.gain_bandwidth_hz, kAboveZero, 1e13);
  visitor.optional_number("front_end.c_int_farad", front_end.c_int_farad, kAboveZero, 1e-3);
  visitor.number("front_end.swing_volt", front_end.swing_volt, kAboveZero, 1e3);
  visitor.number("front_end.slew_volt_per_s", front_end.slew_volt_per_s, kAboveZero, 1e15);
  visitor.number("front_end.leak_siemens", front_end.leak_siemens, 0.0, 1.0);
  visitor.number("front_end.offset_volt", front_end.offset_volt, -1.0, 1.0);
  visitor.number("front_end.charge_per_count_coulomb", front_end.charge_per_count_coulomb, kAboveZero, 1.0);
  visitor.integer("front_end.counter_bits", front_end.counter_bits, 1, 48);
  visitor.number("front_end.highest_frequency_hz", front_end.highest_frequency_hz, kAboveZero, 1e15);
}

template <typename AdcFields, typename Visitor>
void visit_adc_fields(AdcFields& adc, Visitor& visitor) {
  visitor.boolean("adc.enabled", adc.enabled);
  visitor.integer("adc.bits", adc.bits, 2, 24);
  visitor.optional_number("adc.full_scale_coulomb", adc.full_scale_coulomb, kAboveZero, 1.0);
  visitor.choice("adc.rounding", adc.rounding);
  visitor.number("adc.gain_spread", adc.gain_spread, 0.0, 0.5);
  visitor.number("adc.offset_spread_lsb", adc.offset_spread_lsb, 0.0, 1e4);
}

/// Calls visitor.integer / number / optional_number / boolean / choice for every field but `preset`, in the
/// order of the file. A range that depends on another field is evaluated after that field was visited, so a
/// visitor may fill the tile as it goes.
template <typename Tile, typename Visitor>
void visit_tile_fields(Tile& tile, Visitor& visitor) {
  visit_array_fields(tile, visitor);
  visitor.choice("cell.law", tile.cell.law);
  visitor.number("cell.v_h_volt", tile.cell.v_h_volt, kAboveZero, 1e3);
  visit_selector_fields(tile.selector, visitor);
  visit_pulse_fields(tile.pulse, visitor);
  visit_front_end_fields(tile.front_end, visitor);
  visit_adc_fields(tile.adc, visitor);
}

}  // namespace crosstile::data
