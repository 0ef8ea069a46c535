// Specification of a tile: everything about a crossbar except its conductances. Equations and drawings: docs/theory.md, "The tile".
// Rows (word lines, inputs) i = 0..rows-1; columns (bit lines) j = 0..cols-1. SI units; names carry the unit.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/types.hpp"

namespace crosstile::data {

/// How an input drives its row. docs/theory.md, "How an input becomes a pulse".
enum class Drive {
  level,    ///< row at v_read during the pulse, 0 after it; every cell always conducts (linear in the pulse lengths)
  bipolar,  ///< as level, G+ and G- of one weight on the same bit line, driven with opposite signs (linear)
  gated     ///< supply stays on; the pulse turns on the access transistors of its row (not linear in the pulse lengths)
};
enum class WeightLayout {
  single,        ///< one conductance per weight
  pair_columns,  ///< G+ and G- on two bit lines of two arrays with their own row wires, subtracted after conversion
  bipolar        ///< G+ and G- on one bit line (drive bipolar only)
};
enum class SenseEnd { south, north, alternate };  ///< last row; row 0; even columns south, odd columns north
enum class DriverEnds { west, both };             ///< column 0 only; columns 0 and cols-1
enum class CellLaw { ohmic, sinh };               ///< i = G v; i = G v_h sinh(v / v_h)
enum class PulseAlign { left, centre };
enum class Passes { conventional, split, bit_serial };
enum class SignMode { two_phase, bipolar };  ///< positive then negative inputs, subtracted; or signed drive in one window
enum class FrontEndKind { ideal, integrator, cco };  ///< virtual ground; op-amp integrator; current-controlled oscillator
enum class SelectorKind { resistor, mos };
enum class AdcRounding { round, floor };

struct CellSpec {
  CellLaw law = CellLaw::ohmic;
  double v_h_volt = 0.25;  ///< voltage scale of the sinh law
  bool operator==(const CellSpec&) const = default;
};

/// What stands in series with every device, between it and the column wire. docs/theory.md, "Cell laws".
struct SelectorSpec {
  double r_on_ohm = 0.0;  ///< resistor: on-resistance
  SelectorKind kind = SelectorKind::resistor;
  // mos: long-channel n-channel transistor (EKV), voltages against the columns' virtual ground.
  double gate_on_volt = 1.0;               ///< gate of a selected row; finite edges ramp from 0 to it
  double threshold_volt = 0.4;             ///< V_T0
  double beta_ampere_per_volt2 = 1.5e-3;   ///< mu C_ox W / L
  double slope_factor = 1.3;               ///< n
  double temperature_kelvin = 300.0;
  bool operator==(const SelectorSpec&) const = default;
};

struct PulseSpec {
  int dac_bits = 8;           ///< signed: codes -(2^(b-1)-1) .. 2^(b-1)-1
  double t_lsb_s = 1e-9;      ///< pulse length of code 1
  double t_edge_s = 0.0;      ///< linear rise and fall of a level pulse; its area stays v_read |k| t_lsb
  double t_settle_s = 1e-9;   ///< time after the longest pulse that still counts
  Passes passes = Passes::conventional;
  int split_bits = 4;         ///< low bits of the first pass when passes = split
  PulseAlign align = PulseAlign::left;
  SignMode sign = SignMode::two_phase;
  bool operator==(const PulseSpec&) const = default;
};

/// What reads one column. ideal: virtual ground, perfect integral; integrator: op-amp; cco: virtual ground, oscillator and counter.
struct FrontEndSpec {
  FrontEndKind kind = FrontEndKind::ideal;
  double dc_gain = 1e4;                   ///< open-loop gain A0
  double gain_bandwidth_hz = 1e9;         ///< f_u
  std::optional<double> c_int_farad;      ///< feedback capacitance; absent: a full column's charge fills the swing
  double swing_volt = 0.6;                ///< output limited to +- swing
  double slew_volt_per_s = 1e9;           ///< largest output slope
  double leak_siemens = 0.0;              ///< conductance across c_int
  double offset_volt = 0.0;               ///< input-referred offset
  double charge_per_count_coulomb = 16e-15;  ///< cco: count = floor(charge / charge per count), one counter a pass
  int counter_bits = 15;                     ///< cco: counts stop at 2^bits - 1
  double highest_frequency_hz = 3e9;         ///< cco: counts per second stop there
  bool operator==(const FrontEndSpec&) const = default;
};

struct AdcSpec {
  bool enabled = false;
  int bits = 8;                              ///< unsigned codes 0 .. 2^b-1 per bit line (signed for layout bipolar)
  std::optional<double> full_scale_coulomb;  ///< absent: chosen from data by the caller
  AdcRounding rounding = AdcRounding::round;
  double gain_spread = 0.0;                  ///< relative standard deviation, column to column
  double offset_spread_lsb = 0.0;            ///< standard deviation in LSB, column to column
  bool operator==(const AdcSpec&) const = default;
};

struct TileSpec {
  std::string preset = "pcm-14nm";
  Index rows = 512;
  Index cols = 512;
  Drive drive = Drive::gated;
  WeightLayout weight_layout = WeightLayout::pair_columns;
  double r_row_ohm = 0.0;      ///< wire resistance per cell along a row
  double r_col_ohm = 0.15;     ///< wire resistance per cell along a column
  double r_driver_ohm = 0.0;   ///< besides the first row segment
  double r_sense_ohm = 0.0;    ///< besides the last column segments
  double sense_segment = 1.0;  ///< wire between the last cell and the sense, in cells
  double c_row_farad = 0.5e-15;  ///< to ground, per row wire node
  double c_col_farad = 0.5e-15;  ///< to ground, per column wire node
  DriverEnds drivers = DriverEnds::west;
  SenseEnd sense = SenseEnd::alternate;
  double v_read_volt = 0.2;
  double g_min_siemens = 0.1e-6;
  double g_max_siemens = 25e-6;
  CellSpec cell;
  SelectorSpec selector;
  PulseSpec pulse;
  FrontEndSpec front_end;
  AdcSpec adc;

  bool operator==(const TileSpec&) const = default;

  /// All violations, one sentence each with field, value and allowed range; empty when the tile can be simulated.
  std::vector<std::string> violations() const;
  /// Throws a usage Error listing violations().
  void validate() const;

  /// True when the charge is linear in the pulse lengths.
  bool is_linear() const { return drive != Drive::gated && ohmic_cells() && front_end.kind != FrontEndKind::cco; }
  /// Device and selector together follow Ohm's law.
  bool ohmic_cells() const { return cell.law == CellLaw::ohmic && selector.kind == SelectorKind::resistor; }
  /// Rows held exactly at their drive voltage: no row wire resistance, no driver resistance.
  bool ideal_supply() const { return r_row_ohm == 0.0 && r_driver_ohm == 0.0; }
  /// Column j is sensed at row 0 instead of the last row.
  bool sensed_north(Index j) const {
    return sense == SenseEnd::north || (sense == SenseEnd::alternate && j % 2 == 1);
  }
};

/// A named tile; throws a usage Error that lists the names. Sources and assumed values: docs/theory.md, "Presets".
TileSpec tile_preset(std::string_view name);
std::vector<std::string> tile_preset_names();

/// Names as they stand in files ("pair-columns", "two-phase", ...). parse_* return nothing for an unknown name.
template <typename Enum>
struct EnumNames;  // EnumNames<Drive>::value is an array of {Enum, name}

template <typename Enum>
struct EnumName {
  Enum value;
  std::string_view name;
};
template <>
struct EnumNames<Drive> {
  static constexpr std::array<EnumName<Drive>, 3> value{{{Drive::level, "level"}, {Drive::bipolar, "bipolar"}, {Drive::gated, "gated"}}};
};
template <>
struct EnumNames<WeightLayout> {
  static constexpr std::array<EnumName<WeightLayout>, 3> value{
      {{WeightLayout::single, "single"}, {WeightLayout::pair_columns, "pair-columns"}, {WeightLayout::bipolar, "bipolar"}}};
};
template <>
struct EnumNames<SenseEnd> {
  static constexpr std::array<EnumName<SenseEnd>, 3> value{
      {{SenseEnd::south, "south"}, {SenseEnd::north, "north"}, {SenseEnd::alternate, "alternate"}}};
};
template <>
struct EnumNames<DriverEnds> {
  static constexpr std::array<EnumName<DriverEnds>, 2> value{{{DriverEnds::west, "west"}, {DriverEnds::both, "both"}}};
};
template <>
struct EnumNames<CellLaw> {
  static constexpr std::array<EnumName<CellLaw>, 2> value{{{CellLaw::ohmic, "ohmic"}, {CellLaw::sinh, "sinh"}}};
};
template <>
struct EnumNames<PulseAlign> {
  static constexpr std::array<EnumName<PulseAlign>, 2> value{{{PulseAlign::left, "left"}, {PulseAlign::centre, "centre"}}};
};
template <>
struct EnumNames<Passes> {
  static constexpr std::array<EnumName<Passes>, 3> value{
      {{Passes::conventional, "conventional"}, {Passes::split, "split"}, {Passes::bit_serial, "bit-serial"}}};
};
template <>
struct EnumNames<SignMode> {
  static constexpr std::array<EnumName<SignMode>, 2> value{{{SignMode::two_phase, "two-phase"}, {SignMode::bipolar, "bipolar"}}};
};
template <>
struct EnumNames<FrontEndKind> {
  static constexpr std::array<EnumName<FrontEndKind>, 3> value{
      {{FrontEndKind::ideal, "ideal"}, {FrontEndKind::integrator, "integrator"}, {FrontEndKind::cco, "cco"}}};
};
template <>
struct EnumNames<SelectorKind> {
  static constexpr std::array<EnumName<SelectorKind>, 2> value{{{SelectorKind::resistor, "resistor"}, {SelectorKind::mos, "mos"}}};
};
template <>
struct EnumNames<AdcRounding> {
  static constexpr std::array<EnumName<AdcRounding>, 2> value{{{AdcRounding::round, "round"}, {AdcRounding::floor, "floor"}}};
};

template <typename Enum>
std::string_view to_name(Enum value) {
  for (const auto& entry : EnumNames<Enum>::value)
    if (entry.value == value) return entry.name;
  return "?";
}
template <typename Enum>
std::optional<Enum> from_name(std::string_view name) {
  for (const auto& entry : EnumNames<Enum>::value)
    if (entry.name == name) return entry.value;
  return std::nullopt;
}

}  // namespace crosstile::data
