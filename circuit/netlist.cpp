#include "circuit/netlist.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include "circuit/front_end.hpp"
#include "core/error.hpp"
#include "core/version.hpp"

namespace crosstile::circuit {

namespace {

using data::CellLaw;
using data::Drive;
using data::DriverEnds;
using data::FrontEndKind;
using data::SelectorKind;

constexpr double kBoltzmann = 1.380649e-23, kElementaryCharge = 1.602176634e-19;  // SI, exact
constexpr double kDeckClipRate = 100.0;  // of the op-amp's output stage: docs/theory.md, "Front ends"

// The shortest text that reads back as the same number.
std::string number(double value) {
  char text[32];
  const auto end = std::to_chars(text, text + sizeof text, value);
  return {text, end.ptr};
}
std::string index(Index value) { return std::to_string(value); }
std::string pair(Index a, Index b) { return index(a) + "_" + index(b); }

// A voltage that is `volt` over [start + rise, end] and 0 before start and after end + fall, as the argument of a source.
std::string trapezoid(double start, double end, double ramp, double volt) {
  std::string text = "PWL(0 " + number(ramp == 0.0 && start == 0.0 ? volt : 0.0);
  double last = 0.0;
  const auto point = [&](double t, double v) {
    if (t - last <= 1e-3 * ramp) return;  // the foot at the begin of the window; a pulse as long as its ramp
    text += "  " + number(t) + " " + number(v);
    last = t;
  };
  point(start, 0.0);
  point(start + ramp, volt);
  point(end, volt);
  point(end + ramp, 0.0);
  return text + ")";
}

class Deck {
 public:
  Deck(const Crossbar& crossbar, const data::Pass& pass, const NetlistOptions& options)
      : crossbar_(crossbar),
        tile_(crossbar.tile),
        pass_(pass),
        options_(options),
        times_(data::pulse_times(pass, crossbar.tile.pulse)),
        switching_(options.switching_s > 0.0 ? options.switching_s : 2e-7 * crossbar.tile.pulse.t_lsb_s),
        max_step_(options.max_step_s > 0.0 ? options.max_step_s : 0.5 * crossbar.tile.pulse.t_lsb_s),
        gated_(tile_.drive == Drive::gated),
        mos_(tile_.selector.kind == SelectorKind::mos),
        end_ohm_(tile_.sense_segment * tile_.r_col_ohm + tile_.r_sense_ohm) {
    const double full = static_cast<double>(tile_.rows) * tile_.g_max_siemens * tile_.v_read_volt *
                        data::max_code(tile_.pulse.dac_bits) * tile_.pulse.t_lsb_s;
    charge_farad_ = std::pow(10.0, std::round(std::log10(full)));
  }

  std::string write(const std::string& title) {
    head(title);
    drivers();
    gates();
    row_wires();
    cells();
    column_wires();
    front_ends();
    analysis();
    return std::move(text_);
  }

 private:
  void line(const std::string& words) { text_ += words + '\n'; }
  void comment(const std::string& words) { text_ += "* " + words + '\n'; }

  // Nodes. Wires without resistance are one node; with an ideal supply the row is its source, with an ideal end the column is its sense.
  bool whole_row() const { return tile_.r_row_ohm == 0.0; }
  bool whole_column() const { return tile_.r_col_ohm == 0.0; }
  std::string driver(Index l) const { return "d" + index(l); }
  std::string row(Index l, Index j) const {
    if (tile_.ideal_supply()) return driver(l);
    return "r" + (whole_row() ? index(l) : pair(l, j));
  }
  std::string sense(Index j) const { return "s" + index(j); }
  Index end_row(Index j) const { return tile_.sensed_north(j) ? 0 : tile_.rows - 1; }
  std::string column(Index i, Index j) const {
    if (end_ohm_ == 0.0 && (whole_column() || i == end_row(j))) return sense(j);
    return "c" + (whole_column() ? index(j) : pair(i, j));
  }

  // A gated row without a pulse never conducts.
  bool conducts(Index l) const { return !gated_ || pass_.codes[crossbar_.row_of_line(l)] != 0; }
  double line_volt(Index l) const {
    return crossbar_.polarity(l) * (pass_.codes[crossbar_.row_of_line(l)] < 0 ? -1.0 : 1.0) * tile_.v_read_volt;
  }
  bool ramped_gates() const { return gated_ && mos_ && tile_.pulse.t_edge_s > 0.0; }

  void head(const std::string& title) {
    line("* " + title);
    comment("written by crosstile " + std::string(kVersion) + "; run: ngspice -b THIS_FILE");
    comment("tile: " + index(tile_.rows) + " rows x " + index(tile_.cols) + " columns, drive " + name(tile_.drive) + ", cells " +
            name(tile_.cell.law) + ", selector " + name(tile_.selector.kind) + ", front end " + name(tile_.front_end.kind));
    comment("wires per cell: row " + number(tile_.r_row_ohm) + " ohm " + number(tile_.c_row_farad) + " F, column " +
            number(tile_.r_col_ohm) + " ohm " + number(tile_.c_col_farad) + " F; driver " + number(tile_.r_driver_ohm) + " ohm at " +
            name(tile_.drivers) + ", sense " + number(tile_.r_sense_ohm) + " ohm at " + name(tile_.sense));
    comment("read voltage " + number(tile_.v_read_volt) + " V, code 1 lasts " + number(tile_.pulse.t_lsb_s) + " s, edges " +
            number(tile_.pulse.t_edge_s) + " s, window " + number(pass_.window_s) + " s");
    comment("units: volt, ampere, ohm, farad, second; all voltages against the columns' virtual ground");
    comment("nodes: d<line> driver, r<line>_<column> row wire, c<row>_<column> column wire, m<line>_<column> between device and");
    comment("  selector, g<row> 1 while the row is switched on, t<row> gate voltage, s<column> sense. Indices count from 0;");
    comment(crossbar_.lines_per_row == 2 ? "  lines 2i and 2i+1 are G+ and G- of row i." : "  line i is row i.");
    comment("charges: printed at the end as charge_<column>, coulomb");
  }

  template <typename Enum>
  static std::string name(Enum value) {
    return std::string(data::to_name(value));
  }

  void drivers() {
    comment(gated_ ? "drivers: the supply stays on" : "drivers: one pulse a row");
    const double ramp = tile_.pulse.t_edge_s > 0.0 ? tile_.pulse.t_edge_s : switching_;
    for (Index l = 0; l < crossbar_.lines(); ++l) {
      const Index i = crossbar_.row_of_line(l);
      std::string source = "DC 0";
      if (gated_) source = "DC " + number(line_volt(l));
      else if (pass_.codes[i] != 0) source = trapezoid(times_.start_s[i], times_.end_s[i], ramp, line_volt(l));
      line("Vd" + index(l) + " " + driver(l) + " 0 " + source);
    }
  }

  void gates() {
    if (!gated_) return;
    comment("gates: a cell of row i conducts in proportion to v(g<i>)" + std::string(ramped_gates() ? "; its gate is at v(t<i>)" : ""));
    const double ramp = ramped_gates() ? tile_.pulse.t_edge_s : 0.0;
    for (Index i = 0; i < tile_.rows; ++i) {
      if (pass_.codes[i] == 0) continue;
      line("Vg" + index(i) + " g" + index(i) + " 0 " + trapezoid(times_.start_s[i], times_.end_s[i] + ramp, switching_, 1.0));
      if (ramped_gates())
        line("Vt" + index(i) + " t" + index(i) + " 0 " + trapezoid(times_.start_s[i], times_.end_s[i], ramp, tile_.selector.gate_on_volt));
    }
  }

  void resistor(const std::string& label, const std::string& a, const std::string& b, double ohm) {
    line("R" + label + " " + a + " " + b + " " + number(ohm));
  }
  void capacitor(const std::string& label, const std::string& node, double farad, double volt) {
    if (farad > 0.0) line("C" + label + " " + node + " 0 " + number(farad) + " ic=" + number(volt));
  }

  void row_wires() {
    if (tile_.ideal_supply()) return;
    comment("row wires; the first resistance is driver and wire in one");
    const Index last = tile_.cols - 1;
    const double head_ohm = tile_.r_driver_ohm + tile_.r_row_ohm;
    for (Index l = 0; l < crossbar_.lines(); ++l) {
      const double rest = gated_ ? line_volt(l) : 0.0;
      resistor("w" + index(l), driver(l), row(l, 0), head_ohm);
      if (tile_.drivers == DriverEnds::both) resistor("e" + index(l), driver(l), row(l, last), head_ohm);
      if (whole_row()) {
        capacitor("r" + index(l), row(l, 0), static_cast<double>(tile_.cols) * tile_.c_row_farad, rest);
        continue;
      }
      for (Index j = 0; j < last; ++j) resistor("r" + pair(l, j), row(l, j), row(l, j + 1), tile_.r_row_ohm);
      for (Index j = 0; j <= last; ++j) capacitor("r" + pair(l, j), row(l, j), tile_.c_row_farad, rest);
    }
  }

  void cells() {
    comment("cells: " + law() + (gated_ ? "; rows without a pulse never conduct and are left out" : ""));
    for (Index l = 0; l < crossbar_.lines(); ++l)
      for (Index j = 0; j < tile_.cols && conducts(l); ++j)
        if (crossbar_.conductance_siemens(l, j) > 0.0) cell(l, j, crossbar_.conductance_siemens(l, j));
  }

  std::string law() const {
    std::string text = tile_.cell.law == CellLaw::ohmic ? "i = g v" : "i = g vh sinh(v / vh)";
    return text + (mos_ ? ", then a long-channel transistor (source at the column)"
                        : tile_.selector.r_on_ohm > 0.0 ? ", then the selector's resistance" : "");
  }

  // Device from the row to an inner node, selector from there to the column; one element where the law needs no inner node.
  // What v(g) switches is the device, the larger resistance of the two: while an edge passes, the cell's current is then nearly in
  // proportion to v(g). A transistor whose gate ramps has no current at its edges: there v(g) cuts what leaks before and after.
  void cell(Index l, Index j, double g) {
    const Index i = crossbar_.row_of_line(l);
    const std::string label = pair(l, j), top = row(l, j), bottom = column(i, j), inner = "m" + label;
    const std::string gate = "v(g" + index(i) + ")*";
    const bool device_switches = gated_ && !ramped_gates();
    const double r_on = mos_ ? 0.0 : tile_.selector.r_on_ohm;
    if (tile_.cell.law == CellLaw::ohmic) {
      const std::string& end = mos_ ? inner : bottom;
      const double ohm = 1.0 / g + r_on;
      if (device_switches) behavioural("d" + label, top, end, gate + number(1.0 / ohm) + "*v(" + top + "," + end + ")");
      else resistor("d" + label, top, end, ohm);
    } else {
      const std::string& end = mos_ || r_on > 0.0 ? inner : bottom;
      behavioural("d" + label, top, end, (device_switches ? gate : "") + sinh_law(g, top, end));
      if (r_on > 0.0) resistor("m" + label, inner, bottom, r_on);
    }
    if (mos_) behavioural("m" + label, inner, bottom, (ramped_gates() ? gate : "") + transistor(i, bottom, inner));
  }

  void behavioural(const std::string& label, const std::string& a, const std::string& b, const std::string& current) {
    line("B" + label + " " + a + " " + b + " i=" + current);
  }
  std::string sinh_law(double g, const std::string& a, const std::string& b) const {
    return number(g * tile_.cell.v_h_volt) + "*sinh(v(" + a + "," + b + ")/" + number(tile_.cell.v_h_volt) + ")";
  }
  // Is (F(vp - v_source) - F(vp - v_drain)), F(v) = ln(1 + exp(v / (2 phi)))^2: docs/theory.md, "Cell laws".
  std::string transistor(Index i, const std::string& source, const std::string& drain) const {
    const auto& s = tile_.selector;
    const double phi = kBoltzmann * s.temperature_kelvin / kElementaryCharge;
    const double scale = 2.0 * s.slope_factor * s.beta_ampere_per_volt2 * phi * phi;
    const std::string pinch = ramped_gates() ? "(v(t" + index(i) + ")-(" + number(s.threshold_volt) + "))/" + number(s.slope_factor)
                                             : number((s.gate_on_volt - s.threshold_volt) / s.slope_factor);
    const auto half = [&](const std::string& node) {
      return "ln(1+exp((" + pinch + "-v(" + node + "))/" + number(2.0 * phi) + "))^2";
    };
    return number(scale) + "*(" + half(source) + "-" + half(drain) + ")";
  }

  void column_wires() {
    comment("column wires");
    for (Index j = 0; j < tile_.cols; ++j) {
      const Index end = end_row(j);
      if (whole_column()) {
        if (end_ohm_ > 0.0) capacitor("c" + index(j), column(0, j), static_cast<double>(tile_.rows) * tile_.c_col_farad, 0.0);
      } else {
        for (Index i = 0; i + 1 < tile_.rows; ++i) resistor("c" + pair(i, j), column(i, j), column(i + 1, j), tile_.r_col_ohm);
        for (Index i = 0; i < tile_.rows; ++i)
          if (column(i, j) != sense(j)) capacitor("c" + pair(i, j), column(i, j), tile_.c_col_farad, 0.0);
      }
      if (end_ohm_ > 0.0) resistor("s" + index(j), column(end, j), sense(j), end_ohm_);
    }
  }

  void front_ends() {
    switch (tile_.front_end.kind) {
      case FrontEndKind::ideal:
        comment("front ends: virtual ground; its current charges a capacitor of " + number(charge_farad_) + " F, node q<column>");
        break;
      case FrontEndKind::integrator:
        comment("front ends: op-amps; y<column> is the output as a state, o<column> the same as a source");
        break;
      case FrontEndKind::cco:
        comment("front ends: virtual ground and oscillator; v(p<column>) is its phase in counts");
        break;
    }
    for (Index j = 0; j < tile_.cols; ++j) {
      if (tile_.front_end.kind == FrontEndKind::integrator) op_amp(j);
      else virtual_ground(j);
    }
  }

  void virtual_ground(Index j) {
    const std::string k = index(j);
    line("Vs" + k + " " + sense(j) + " 0 DC 0");
    if (tile_.front_end.kind == FrontEndKind::ideal) {
      line("Fq" + k + " 0 q" + k + " Vs" + k + " 1");
      line("Cq" + k + " q" + k + " 0 " + number(charge_farad_) + " ic=0");
      return;
    }
    const auto& oscillator = tile_.front_end;
    const double count = oscillator.charge_per_count_coulomb;
    behavioural("p" + k, "0", "p" + k,
                "min(max(i(Vs" + k + "),0)," + number(oscillator.highest_frequency_hz * count) + ")");
    line("Cp" + k + " p" + k + " 0 " + number(count) + " ic=0");
  }

  void op_amp(Index j) {
    const OpAmp amp(tile_.front_end, integration_capacitance(tile_));
    const std::string k = index(j), output = "v(y" + k + ")";
    line("Ci" + k + " " + sense(j) + " o" + k + " " + number(amp.c_int_farad) + " ic=0");
    if (amp.leak_siemens > 0.0) resistor("i" + k, sense(j), "o" + k, 1.0 / amp.leak_siemens);
    line("Eo" + k + " o" + k + " 0 y" + k + " 0 1");
    line("Cy" + k + " y" + k + " 0 " + number(amp.c_int_farad) + " ic=" + number(amp.reset_output()));
    const std::string wanted = "(" + number(amp.unity_rad_per_s) + "*(" + number(amp.offset_volt) + "-v(" + sense(j) + "))-" +
                               number(amp.pole_rad_per_s) + "*" + output + ")";
    const std::string beyond = "(uramp(" + output + "-" + number(amp.swing) + ")-uramp(-" + output + "-" + number(amp.swing) + "))";
    behavioural("y" + k, "0", "y" + k,
                number(amp.c_int_farad) + "*(" + number(amp.slew) + "*tanh(" + wanted + "/" + number(amp.slew) + ")-" +
                    number(kDeckClipRate * amp.unity_rad_per_s) + "*" + beyond + ")");
  }

  // Tolerances: docs/theory.md, "SPICE decks". Charges are compared with the largest one, so they get an absolute floor.
  void analysis() {
    const double ampere = tile_.g_max_siemens * tile_.v_read_volt;
    line(".options reltol=" + number(options_.reltol) + " abstol=" + number(1e-7 * ampere) + " vntol=" + number(1e-8 * tile_.v_read_volt) +
         " chgtol=" + number(1e-2 * charge_farad_) + " trtol=" + number(options_.trtol) + " itl4=100 method=trap minbreak=" +
         number(0.1 * switching_));
    line(".control");
    line("set numdgt=17");
    const std::string state = tile_.front_end.kind == FrontEndKind::ideal ? "q" : tile_.front_end.kind == FrontEndKind::cco ? "p" : "y";
    line("save time");
    for (Index j = 0; j < tile_.cols; ++j) line("save v(" + state + index(j) + ")");
    line("tran " + number(0.1 * max_step_) + " " + number(pass_.window_s) + " 0 " + number(max_step_) + " uic");
    line("let last = length(time) - 1");
    line("let end_s = time[last]");
    line("let points = length(time)");
    line("print end_s points");
    for (Index j = 0; j < tile_.cols; ++j) result(j, "v(" + state + index(j) + ")[last]");
    line("quit");
    line(".endc");
    line(".end");
  }

  void result(Index j, const std::string& value) {
    const std::string charge = "charge_" + index(j);
    const auto& front_end = tile_.front_end;
    if (front_end.kind == FrontEndKind::ideal) {
      line("let " + charge + " = " + number(charge_farad_) + " * " + value);
    } else if (front_end.kind == FrontEndKind::integrator) {
      const OpAmp amp(front_end, integration_capacitance(tile_));
      line("let " + charge + " = " + number(amp.c_int_farad) + " * (" + number(amp.reset_output()) + " - " + value + ")");
    } else {
      const std::string phase = "phase_" + index(j), full = number(std::ldexp(1.0, front_end.counter_bits) - 1.0);
      line("let " + phase + " = " + value);
      line("print " + phase);
      line("let " + charge + " = (floor(" + phase + ") lt " + full + " ? floor(" + phase + ") : " + full + ") * " +
           number(front_end.charge_per_count_coulomb));
    }
    line("print " + charge);
  }

  const Crossbar& crossbar_;
  const data::TileSpec& tile_;
  const data::Pass& pass_;
  const NetlistOptions& options_;
  data::PulseTimes times_;
  double switching_, max_step_;
  bool gated_, mos_;
  double end_ohm_;  // between the last column node and the sense
  double charge_farad_ = 1.0;
  std::string text_;
};

}  // namespace

void NetlistOptions::validate() const {
  require_in_range("reltol", reltol, 1e-12, 0.1);
  require_in_range("trtol", trtol, 1e-6, 100.0);
  require_in_range("max_step_s", max_step_s, 0.0, 1.0);
  require_in_range("switching_s", switching_s, 0.0, 1.0);
}

std::string write_netlist(const Crossbar& crossbar, const data::Pass& pass, const std::string& title, const NetlistOptions& options) {
  options.validate();
  const auto& tile = crossbar.tile;
  if (tile.front_end.kind == FrontEndKind::integrator && tile.sense_segment * tile.r_col_ohm + tile.r_sense_ohm == 0.0)
    throw Error(ErrorKind::usage, "front_end \"integrator\" needs resistance between the last cell and the op-amp; "
                                  "set r_sense_ohm, or sense_segment and r_col_ohm, above 0");
  return Deck(crossbar, pass, options).write(title);
}

std::vector<Netlist> write_netlists(const Crossbar& crossbar, const IntVector& codes, const NetlistOptions& options) {
  if (codes.size() != crossbar.rows())
    throw Error(ErrorKind::usage, std::to_string(codes.size()) + " codes for " + std::to_string(crossbar.rows()) + " rows");
  const auto passes = data::make_passes(codes, crossbar.tile);
  std::vector<Netlist> decks;
  for (const auto& pass : passes) {
    Netlist deck;
    deck.number = static_cast<Index>(decks.size());
    deck.weight = pass.weight;
    deck.window_s = pass.window_s;
    deck.text = write_netlist(crossbar, pass,
                              "crosstile tile, pass " + std::to_string(deck.number + 1) + " of " + std::to_string(passes.size()) +
                                  ", weight " + number(pass.weight),
                              options);
    decks.push_back(std::move(deck));
  }
  return decks;
}

}  // namespace crosstile::circuit
