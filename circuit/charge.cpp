#include <algorithm>
#include <array>
#include <cmath>
#include <memory>
#include <numeric>

#include "circuit/gated_charge.hpp"
#include "circuit/operating_point.hpp"
#include "core/error.hpp"
#include "device/cell.hpp"

namespace crosstile::circuit {

namespace {

// One wire with all its cells open: largest eigenvalue of T^-1 C by power iteration on the (uniform) chain.
double wire_time_constant(const ChainWires& wires, double c_farad) {
  if (c_farad == 0.0) return 0.0;
  Chains chain;
  const Index length = wires.gap_ohm.size();
  chain.factor(wires, Array::Zero(length, 1));
  Array x = Array::Ones(length, 1), y(length, 1);
  double tau = 0.0;
  for (int sweep = 0; sweep < 200; ++sweep) {
    chain.solve(c_farad * x, y);
    const double norm = std::sqrt(y.square().sum());
    if (norm == 0.0) return 0.0;
    const double next = norm / std::sqrt(x.square().sum());
    x = y / norm;
    if (std::abs(next - tau) <= 1e-6 * next) return next;
    tau = next;
  }
  return tau;
}

struct Event {
  double time_s;
  Index row;
  bool on;
};

std::vector<Event> pulse_edges(const data::Pass& pass, const data::PulseTimes& times) {
  std::vector<Event> events;
  for (Index i = 0; i < pass.codes.size(); ++i)
    if (pass.codes[i] != 0) {
      events.push_back({times.start_s[i], i, true});
      events.push_back({times.end_s[i], i, false});
    }
  std::sort(events.begin(), events.end(), [](const Event& a, const Event& b) { return a.time_s < b.time_s; });
  return events;
}

// Times closer than a millionth of the shortest pulse are one edge (they differ by rounding only).
bool same_edge(double a, double b, double t_lsb_s) { return std::abs(a - b) <= 1e-6 * t_lsb_s; }

class EventDriven {
 public:
  EventDriven(const Crossbar& crossbar, const ChargeOptions& options)
      : crossbar_(crossbar), options_(options), solver_(crossbar_, options.steady) {
    const auto& tile = crossbar.tile;
    counts_ = tile.front_end.kind == data::FrontEndKind::cco;
    charging_ = options.energy && (tile.c_row_farad > 0.0 || tile.c_col_farad > 0.0);
    rc_ = slowest_time_constant(crossbar) > 0.0;
    linear_ = tile.ohmic_cells();
    column_capacitance_ = tile.c_col_farad > 0.0 && solver_.mesh().has_column_wires();
    row_capacitance_ = tile.c_row_farad > 0.0 && solver_.mesh().has_row_wires();
  }

  ChargeResult run(const std::vector<data::Pass>& passes) {
    ChargeResult result;
    result.charge_coulomb = Vector::Zero(crossbar_.cols());
    result.slowest_time_constant_s = slowest_time_constant(crossbar_);
    result.shortest_interval_s = 0.0;
    saturated_.assign(static_cast<std::size_t>(crossbar_.cols()), false);
    if (options_.energy) {
      result.average_supply_ampere = Vector::Zero(crossbar_.lines());
      result.peak_supply_ampere = Vector::Zero(crossbar_.lines());
    }
    double total_s = 0.0;
    for (const auto& pass : passes) {
      Vector charge = Vector::Zero(crossbar_.cols());
      Vector correction = Vector::Zero(crossbar_.cols());
      pass_begin_s_ = total_s;
      total_s += pass.window_s;
      if (crossbar_.tile.is_linear() && !options_.energy && !options_.trace) run_linear_pass(pass, charge, result);
      else if (!run_gated_pass(pass, charge, correction, result)) run_pass(pass, charge, correction, result);
      else if (options_.energy) run_pass_for_energy(pass, result);
      result.charge_coulomb += pass.weight * (counts_ ? counted(charge + correction) : Vector(charge + correction));
      const double largest = charge.cwiseAbs().maxCoeff();
      if (largest > 0.0) result.rc_share = std::max(result.rc_share, correction.cwiseAbs().maxCoeff() / largest);
    }
    if (options_.energy && total_s > 0.0) result.average_supply_ampere /= total_s;
    result.saturated_columns = static_cast<Index>(std::count(saturated_.begin(), saturated_.end(), true));
    const double tau = result.slowest_time_constant_s;
    if (result.status == Status::ok && rc_ && result.intervals > 0 &&
        std::exp(-result.shortest_interval_s / tau) > options_.settle_tolerance)
      result.status = Status::not_settled;
    return result;
  }

 private:
  using Lines = std::vector<Index>;

  // State the network is left in: what the capacitances hold.
  struct Held {
    Array drop;         // lines x cols, internal order; drive voltage of the moment minus row node voltage
    Array column;       // rows x cols
    Vector line_volt;   // lines
  };

  // Rows that drop out one after another. False when another method has to.
  bool run_gated_pass(const data::Pass& pass, Vector& charge, Vector& correction, ChargeResult& result) {
    if (crossbar_.tile.drive != data::Drive::gated || options_.trace || !StripMesh::takes(crossbar_)) return false;
    if (!gated_) gated_ = std::make_unique<GatedCharge>(crossbar_, solver_.ohmic(), options_.steady);
    Vector taken = Vector::Zero(crossbar_.cols());
    const auto sums = gated_->run(pass, [&](double length_s, const Vector& current) { taken += length_s * taken_up(current); });
    if (!sums) return false;
    charge += taken;
    correction += sums->correction;
    const bool first = result.intervals == 0;
    if (rc_) result.shortest_interval_s = first ? sums->shortest_interval_s : std::min(result.shortest_interval_s, sums->shortest_interval_s);
    result.intervals += sums->intervals;
    result.iterations += sums->sweeps;
    return true;
  }

  // Energies need the voltages of all nodes; asking for them leaves the charges as they are.
  void run_pass_for_energy(const data::Pass& pass, ChargeResult& result) {
    const auto intervals = result.intervals;
    const double shortest = result.shortest_interval_s;
    Vector charge = Vector::Zero(crossbar_.cols()), correction = charge;
    run_pass(pass, charge, correction, result);
    result.intervals = intervals;
    result.shortest_interval_s = shortest;
  }

  void run_pass(const data::Pass& pass, Vector& charge, Vector& correction, ChargeResult& result) {
    const auto& tile = crossbar_.tile;
    const auto times = data::pulse_times(pass, tile.pulse);
    const auto events = pulse_edges(pass, times);
    const bool gated = tile.drive == data::Drive::gated;
    std::vector<bool> on(static_cast<std::size_t>(crossbar_.rows()), false);
    Held held;
    if (rc_ || charging_) {
      held.drop = Array::Zero(crossbar_.lines(), crossbar_.cols());
      held.column = Array::Zero(crossbar_.rows(), crossbar_.cols());
    }
    held.line_volt = Vector::Zero(crossbar_.lines());
    if (gated) held.line_volt = volts(pass, on, true);

    // The window outlasts the longest pulse by at least t_lsb, so the last interval is the one after the last edge.
    std::size_t next = 0;
    double now = 0.0;
    while (now < pass.window_s) {
      for (; next < events.size() && same_edge(events[next].time_s, now, tile.pulse.t_lsb_s); ++next)
        on[static_cast<std::size_t>(events[next].row)] = events[next].on;
      double end = next < events.size() ? events[next].time_s : pass.window_s;
      if (options_.trace) {
        const double change = play_trace(now);
        if (change < end && !same_edge(change, end, tile.pulse.t_lsb_s)) end = change;
      }
      interval(pass, on, gated, end - now, held, charge, correction, result);
      now = end;
    }
  }

  // Takes the conductances of the trace at a time of the pass; returns when they change next.
  double play_trace(double now) {
    const double step_s = options_.trace.step_s;
    const double at = (pass_begin_s_ + now) / step_s;
    const Index step = static_cast<Index>(std::floor(at + 1e-6));  // an edge that falls on a step belongs to what follows
    if (step != trace_step_) {
      Array g(crossbar_.lines(), crossbar_.cols());
      options_.trace.mean(step, g);
      if (g.rows() != crossbar_.lines() || g.cols() != crossbar_.cols() || !(g >= 0.0).all() || !(g <= 1.0).all())
        throw Error(ErrorKind::usage, "conductance trace, step " + std::to_string(step) + ": not " + std::to_string(crossbar_.lines()) + " x " +
                                          std::to_string(crossbar_.cols()) + " values from 0 to 1 siemens");
      crossbar_.conductance_siemens = g;
      solver_.reload_conductances();
      trace_step_ = step;
    }
    return static_cast<double>(step + 1) * step_s - pass_begin_s_;
  }

  // What an oscillator and its counter make of a pass's charges.
  Vector counted(const Vector& charge) {
    const auto& spec = crossbar_.tile.front_end;
    const double most = std::ldexp(1.0, spec.counter_bits) - 1.0;
    Vector out(charge.size());
    for (Index j = 0; j < charge.size(); ++j) {
      const double count = std::floor(std::max(0.0, charge[j]) / spec.charge_per_count_coulomb);
      if (count > most) saturated_[static_cast<std::size_t>(j)] = true;
      out[j] = std::min(count, most) * spec.charge_per_count_coulomb;
    }
    return out;
  }

  // Currents that the front end takes up: an oscillator neither counts backwards nor faster than its highest frequency.
  Vector taken_up(Vector current) {
    if (!counts_) return current;
    const auto& spec = crossbar_.tile.front_end;
    const double most = spec.highest_frequency_hz * spec.charge_per_count_coulomb;
    for (Index j = 0; j < current.size(); ++j) {
      if (current[j] > most) saturated_[static_cast<std::size_t>(j)] = true;
      current[j] = std::clamp(current[j], 0.0, most);
    }
    return current;
  }

  void note_supply(const Lines& lines, double length_s, ChargeResult& result) const {
    for (std::size_t k = 0; k < lines.size(); ++k) {
      const double current = std::abs(point_.line_ampere[static_cast<Index>(k)]);
      result.average_supply_ampere[lines[k]] += length_s * current;
      result.peak_supply_ampere[lines[k]] = std::max(result.peak_supply_ampere[lines[k]], current);
    }
  }

  // Linear tile: charge = W integral of V dt in one solve; capacitances only matter if the network has not settled at the end.
  void run_linear_pass(const data::Pass& pass, Vector& charge, ChargeResult& result) {
    const auto times = data::pulse_times(pass, crossbar_.tile.pulse);
    std::vector<bool> on(static_cast<std::size_t>(crossbar_.rows()), true);
    Vector volt_seconds = volts(pass, on, false);
    double last_edge = 0.0;
    for (Index l = 0; l < volt_seconds.size(); ++l) {
      const Index row = crossbar_.row_of_line(l);
      volt_seconds[l] *= times.end_s[row] - times.start_s[row];
      if (pass.codes[row] != 0) last_edge = std::max(last_edge, times.end_s[row]);
    }
    if (previous_lines_.empty()) {
      previous_lines_.resize(static_cast<std::size_t>(crossbar_.lines()));
      std::iota(previous_lines_.begin(), previous_lines_.end(), Index{0});
      solver_.set_lines(previous_lines_);
    }
    const SteadyReport report = solver_.solve_sense(volt_seconds, point_);
    ++result.intervals;
    result.iterations += report.iterations;
    if (report.status != Status::ok) result.status = report.status;
    charge += solver_.sense_current(point_);
    note_interval(pass.window_s - last_edge - crossbar_.tile.pulse.t_edge_s, result);
  }

  Vector volts(const data::Pass& pass, const std::vector<bool>& on, bool gated) const {
    Vector volt(crossbar_.lines());
    for (Index l = 0; l < volt.size(); ++l) {
      const Index row = crossbar_.row_of_line(l);
      const bool driven = gated || on[static_cast<std::size_t>(row)];
      const double sign = pass.codes[row] < 0 ? -1.0 : 1.0;
      volt[l] = driven ? crossbar_.polarity(l) * sign * crossbar_.tile.v_read_volt : 0.0;
    }
    return volt;
  }

  void note_interval(double length_s, ChargeResult& result) const {
    result.shortest_interval_s = result.intervals <= 1 ? length_s : std::min(result.shortest_interval_s, length_s);
  }

  void interval(const data::Pass& pass, const std::vector<bool>& on, bool gated, double length_s, Held& held, Vector& charge,
                Vector& correction, ChargeResult& result) {
    Lines lines;
    for (Index l = 0; l < crossbar_.lines(); ++l)
      if (!gated || on[static_cast<std::size_t>(crossbar_.row_of_line(l))]) lines.push_back(l);
    const Vector all_volt = volts(pass, on, gated);
    Vector volt(static_cast<Index>(lines.size()));
    for (Index k = 0; k < volt.size(); ++k) volt[k] = all_volt[lines[static_cast<std::size_t>(k)]];

    guess_column(lines);
    solver_.set_lines(lines);
    const bool all = rc_ || charging_ || options_.energy;
    const SteadyReport report = all ? solver_.solve(volt, point_) : solver_.solve_sense(volt, point_);
    previous_lines_ = lines;
    ++result.intervals;
    result.iterations += report.iterations;
    if (report.status != Status::ok) result.status = report.status;
    largest_cell_charge_ += length_s * point_.largest_ampere;
    charge += length_s * taken_up(solver_.sense_current(point_));
    if (options_.energy) {
      result.energy_joule.add(solver_.power(volt, point_), length_s);
      note_supply(lines, length_s, result);
    }
    if (rc_) note_interval(length_s, result);
    if (rc_ || charging_) settle(lines, all_volt, held, correction, result);
  }

  // Warm start: the column voltages of the lines that stay on.
  void guess_column(const Lines& lines) {
    if (lines == previous_lines_ || point_.column.rows() != static_cast<Index>(previous_lines_.size())) return;
    Array guess = Array::Zero(static_cast<Index>(lines.size()), crossbar_.cols());
    std::size_t p = 0;
    for (std::size_t k = 0; k < lines.size(); ++k) {
      while (p < previous_lines_.size() && previous_lines_[p] < lines[k]) ++p;
      if (p < previous_lines_.size() && previous_lines_[p] == lines[k])
        guess.row(static_cast<Index>(k)) = point_.column.row(static_cast<Index>(p));
    }
    point_.column = guess;
  }

  // Charge of going from the held state to this interval's operating point: -s^T G^-1 C dv (docs/theory.md, "Event-driven charge").
  void settle(const Lines& lines, const Vector& all_volt, Held& held, Vector& correction, ChargeResult& result) {
    const bool solved = rc_ && !lines.empty();
    if (solved && !linear_) path_slope(lines, all_volt, held);
    b_row_.setZero(static_cast<Index>(lines.size()), crossbar_.cols());
    b_column_.setZero(static_cast<Index>(lines.size()), crossbar_.cols());
    Vector sensed = Vector::Zero(crossbar_.cols());  // internal order
    double energy = 0.0;
    if (column_capacitance_) energy += charge_columns(lines, held, sensed);
    energy += charge_rows(lines, all_volt, held);
    if (charging_) result.wire_charging_joule += energy;
    if (solved) solve_transition(lines, sensed, result);
    for (Index j = 0; j < sensed.size(); ++j) correction[crossbar_.column_order[static_cast<std::size_t>(j)]] += sensed[j];
    held.line_volt = all_volt;
  }

  // Charge -C dc of every node of the column wires, handed to the lines that conduct; what belongs to no line goes into `sensed`. Takes the new
  // voltages over into `held` and returns C dc^2 / 2.
  double charge_columns(const Lines& lines, Held& held, Vector& sensed) {
    const double farad = crossbar_.tile.c_col_farad;
    double square = 0.0;
    Vector charge(crossbar_.cols());
    for_each_share([&](Index row, const MeshSolver::WireShare& share, Index first, Index count) {
      double* const __restrict old = held.column.data() + row * crossbar_.cols() + first;
      double* const __restrict q = charge.data();
      const bool one = !lines.empty() && share.first >= 0, two = !lines.empty() && share.second >= 0;
      const double* const a = one ? point_.column.data() + share.first * crossbar_.cols() + first : nullptr;
      const double* const b = two ? point_.column.data() + share.second * crossbar_.cols() + first : nullptr;
      const double wa = share.first_weight, wb = share.second_weight;
      for (Index j = 0; j < count; ++j) {
        const double now = (one ? wa * a[j] : 0.0) + (two ? wb * b[j] : 0.0);
        q[j] = -farad * (now - old[j]);
        old[j] = now;
      }
      if (charging_) square += dot(q, q, count);
      double rest = 1.0;
      const auto give = [&](Index line, double weight) {
        double* const __restrict to = b_column_.data() + line * crossbar_.cols() + first;
        for (Index j = 0; j < count; ++j) to[j] += weight * q[j];
        rest -= weight;
      };
      if (one) give(share.first, wa);
      if (two) give(share.second, wb);
      double* const __restrict direct = sensed.data() + first;
      for (Index j = 0; j < count; ++j) direct[j] += rest * q[j];
    });
    return farad > 0.0 ? 0.5 * square / farad : 0.0;
  }

  // Charge C d(V - e) of every node of the row wires: the source pays for the V part through the wire as well.
  double charge_rows(const Lines& lines, const Vector& all_volt, Held& held) {
    const double farad = crossbar_.tile.c_row_farad;
    const Index cols = crossbar_.cols();
    double square = 0.0;
    std::size_t k = 0;
    Vector change(cols);
    for (Index l = 0; l < crossbar_.lines(); ++l) {
      const bool on = k < lines.size() && lines[k] == l;
      const double volt = all_volt[l] - held.line_volt[l];
      double* const __restrict old = held.drop.data() + l * cols;
      const double* const now = on ? point_.drop.data() + static_cast<Index>(k) * cols : nullptr;
      double* const __restrict dv = change.data();
      for (Index j = 0; j < cols; ++j) {
        const double drop = now != nullptr ? now[j] : 0.0;
        dv[j] = volt - (drop - old[j]);
        old[j] = drop;
      }
      if (charging_) square += dot(dv, dv, cols);
      if (on && row_capacitance_)
        for (Index j = 0; j < cols; ++j) b_row_(static_cast<Index>(k), j) = farad * dv[j];
      if (on) ++k;
    }
    return 0.5 * farad * square;
  }

  // What of these charges reaches the senses.
  void solve_transition(const Lines& lines, Vector& sensed, ChargeResult& result) {
    const double largest_column = largest(b_column_.data(), b_column_.size()), largest_row = largest(b_row_.data(), b_row_.size());
    if (!(largest_column > 0.0 || largest_row > 0.0)) return;
    MeshSolver& mesh = solver_.mesh();
    if (!linear_) mesh.factor(lines, path_slope_);
    // As exact as the charges that the correction is added to, and never exacter than arithmetic allows.
    const double tolerance = std::max(1e-12 * (largest_column + 1e-3 * largest_row), options_.steady.tolerance * largest_cell_charge_);
    transition_column_.setZero(b_column_.rows(), b_column_.cols());
    const bool by_voltage = mesh.senses_by_voltage();
    const auto report = mesh.solve_columns(b_row_, b_column_, by_voltage ? nullptr : &transition_drop_, transition_column_, tolerance,
                                           options_.steady.max_iterations);
    result.iterations += report.iterations;
    if (!report.converged) result.status = Status::not_converged;
    if (by_voltage) {
      sensed += mesh.sense_current(transition_column_);
      return;
    }
    const Array cell_charge = -mesh.conductance().view() * (transition_drop_ + transition_column_);
    sensed += (b_column_ + cell_charge).colwise().sum().matrix().transpose();
  }

  // Conductance of a non-linear cell for the charge of a transition: the mean over the path of the chord from v to its end v2, which is exact
  // when the cell's voltage approaches v2 as one exponential (docs/theory.md, "Event-driven charge"). With g(u) the slope at the share u of the
  // path that mean is the integral of -ln(1 - u) g(u) over 0 to 1: Gauss's rule for this weight, three points, exact to the fifth degree.
  const Array& path_slope(const Lines& lines, const Vector& all_volt, const Held& held) {
    const auto& tile = crossbar_.tile;
    const device::CellModel cells(tile.cell, tile.selector);
    const double gate = tile.selector.kind == data::SelectorKind::mos ? tile.selector.gate_on_volt : 1.0;
    constexpr std::array<std::array<double, 2>, 3> kRule{{{0.0638907930873254, 0.513404552232363},  // what is left of the path, weight
                                                          {0.368997063715619, 0.391980041201488},
                                                          {0.766880303938941, 0.0946154065661490}}};
    const Index cols = crossbar_.cols();
    const auto count = static_cast<std::size_t>(cols);
    Array g(1, cols), row(1, cols), column(1, cols), current(1, cols), by_row(1, cols), by_column(1, cols);
    path_slope_.setZero(static_cast<Index>(lines.size()), cols);
    for (Index k = 0; k < path_slope_.rows(); ++k) {
      const Index l = lines[static_cast<std::size_t>(k)];
      for (Index j = 0; j < cols; ++j) g(0, j) = crossbar_.conductance_siemens(l, crossbar_.column_order[static_cast<std::size_t>(j)]);
      for (const auto& [left, weight] : kRule) {
        row.row(0) = (1.0 - left) * (all_volt[l] - point_.drop.row(k)) + left * (held.line_volt[l] - held.drop.row(l));
        column.row(0) = (1.0 - left) * point_.column.row(k) + left * held.column.row(crossbar_.row_of_line(l));
        cells.branches(gate, {{g.data(), count}, {row.data(), count}, {column.data(), count}},
                       {{current.data(), count}, {by_row.data(), count}, {by_column.data(), count}});
        path_slope_.row(k) += 0.5 * weight * (by_row.row(0) + by_column.row(0));
      }
    }
    return path_slope_;
  }

  template <typename Use>
  void for_each_share(const Use& use) const {
    const Index south = crossbar_.south_columns;
    for (const bool north : {false, true}) {
      const Index first = north ? south : 0;
      const Index count = north ? crossbar_.cols() - south : south;
      if (count == 0) continue;
      for (Index row = 0; row < crossbar_.rows(); ++row) use(row, solver_.mesh().wire_share(row, north), first, count);
    }
  }

  Crossbar crossbar_;  // its conductances change while a trace plays
  ChargeOptions options_;
  bool counts_ = false, charging_ = false;
  std::vector<bool> saturated_;   // columns
  double pass_begin_s_ = 0.0;
  double largest_cell_charge_ = 0.0;  // bound of any cell's charge so far
  Index trace_step_ = -1;
  mutable OperatingPointSolver solver_;
  std::unique_ptr<GatedCharge> gated_;
  bool rc_ = false, column_capacitance_ = false, row_capacitance_ = false;
  OperatingPoint point_;
  Lines previous_lines_;
  bool linear_;
  Array path_slope_;
  Array b_row_, b_column_, transition_drop_, transition_column_;
};

}  // namespace

double slowest_time_constant(const Crossbar& crossbar) {
  const auto& tile = crossbar.tile;
  double slowest = 0.0;
  ChainWires wires;
  if (!tile.ideal_supply()) {
    wires.ground_at_first = true;
    wires.gap_ohm.setConstant(tile.cols, tile.r_row_ohm);
    wires.gap_ohm[0] += tile.r_driver_ohm;
    if (tile.drivers == data::DriverEnds::both) wires.far_shunt_siemens = 1.0 / (tile.r_row_ohm + tile.r_driver_ohm);
    slowest = std::max(slowest, wire_time_constant(wires, tile.c_row_farad));
  }
  if (tile.r_col_ohm > 0.0 || tile.r_sense_ohm > 0.0) {
    wires = {};
    wires.gap_ohm.setConstant(tile.rows, tile.r_col_ohm);
    wires.gap_ohm[tile.rows - 1] = tile.sense_segment * tile.r_col_ohm + tile.r_sense_ohm;
    slowest = std::max(slowest, wire_time_constant(wires, tile.c_col_farad));
  }
  return slowest;
}

ChargeResult solve_charge(const Crossbar& crossbar, const IntVector& codes, const ChargeOptions& options) {
  if (codes.size() != crossbar.rows())
    throw Error(ErrorKind::usage, std::to_string(codes.size()) + " codes for " + std::to_string(crossbar.rows()) + " rows");
  const auto& tile = crossbar.tile;
  if (tile.drive == data::Drive::gated && tile.selector.kind == data::SelectorKind::mos && tile.pulse.t_edge_s > 0.0)
    throw Error(ErrorKind::usage, "event-driven charge knows no gate edges, and pulse.t_edge_s is above 0 for gated transistors; use the transient");
  return EventDriven(crossbar, options).run(data::make_passes(codes, tile));
}

}  // namespace crosstile::circuit
