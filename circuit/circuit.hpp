// circuit: a tile as a circuit, solved in full. Both wires, every cell, drivers and senses; three independent ways (docs/theory.md,
// "The circuit and three ways to solve it"):
//   solve_steady     the network at one instant (structured chain solve, conjugate gradients on the Schur complement)
//   solve_charge     column charges between pulse edges without time stepping (event-driven, exact when settled)
//   solve_transient  the whole waveform (SUNDIALS IDA, restarted at every pulse edge), with RC and front ends
// and effective_matrix for linear drives. Numerical outcomes are statuses; only caller mistakes throw.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "core/types.hpp"
#include "data/pulse.hpp"
#include "data/tile.hpp"

namespace crosstile::circuit {

enum class Status {
  ok,
  not_converged,  ///< an iteration stopped before its tolerance; do not use the numbers
  not_settled     ///< charge only: the slowest time constant is not short against the shortest interval; use the transient
};
std::string to_text(Status status);

/// A tile with its conductances. "Lines" are the row wires: one per row; two per row (G+ first, then G-) with drive bipolar.
struct Crossbar {
  /// g_siemens: rows x cols, finite and >= 0 (0: open cell). g_minus_siemens: the same shape, only with drive bipolar.
  /// Errors: usage, naming the first bad element.
  Crossbar(const data::TileSpec& tile, const Matrix& g_siemens);
  Crossbar(const data::TileSpec& tile, const Matrix& g_siemens, const Matrix& g_minus_siemens);

  Index rows() const { return tile.rows; }
  Index cols() const { return tile.cols; }
  Index lines() const { return conductance_siemens.rows(); }
  Index row_of_line(Index line) const { return line / lines_per_row; }
  /// +1, or -1 for the G- line of a bipolar pair.
  double polarity(Index line) const { return lines_per_row == 2 && line % 2 == 1 ? -1.0 : 1.0; }

  data::TileSpec tile;
  Index lines_per_row = 1;
  Array conductance_siemens;      ///< lines x cols, of the device alone, physical column order
  std::vector<Index> column_order;  ///< columns sensed south, then those sensed north: the solvers' internal order
  Index south_columns = 0;
};

struct SteadyOptions {
  double tolerance = 1e-13;  ///< largest Kirchhoff error of a node over the largest cell current
  int max_iterations = 2000;
  int max_newton = 60;       ///< non-linear cells only
};

/// Where power goes, watt (or joule when integrated). Tellegen: source = sum of the others.
struct PowerBudget {
  double source = 0.0, cells = 0.0, row_wires = 0.0, column_wires = 0.0, drivers = 0.0, senses = 0.0;
  void add(const PowerBudget& other, double factor);
};

struct SteadyReport {
  Status status = Status::ok;
  int iterations = 0;            ///< sweeps or conjugate-gradient iterations, summed over Newton steps
  int newton_steps = 0;          ///< 0 for linear cells
  double kirchhoff_error = 0.0;  ///< last residual over the largest cell current
  double sense_error = 0.0;      ///< estimate: a column's residuals over its sense current, worst column
};

struct SteadyState {
  SteadyReport report;
  Array row_drop_volt;       ///< lines x cols: drive voltage minus row node voltage
  Array column_volt;         ///< lines x cols: column node voltage (relative to V_ref)
  Array cell_ampere;         ///< lines x cols
  Vector sense_ampere;       ///< cols
  PowerBudget power;
};

/// Drive of one instant: voltage of every line's driver, and whether its cells conduct.
struct LineDrive {
  Vector line_volt;               ///< lines
  std::vector<bool> conducting;   ///< lines
};
/// Rows with a code other than 0 driven with the sign of their code (the `steady` method of the program).
LineDrive steady_drive(const Crossbar& crossbar, const IntVector& codes);

/// The network at one instant.
SteadyState solve_steady(const Crossbar& crossbar, const LineDrive& drive, const SteadyOptions& options = {});

/// Many drives of one network: everything that does not depend on the drive is done once.
struct SteadyBatch {
  SteadyReport report;       ///< the worst of all drives; iterations and Newton steps are sums
  Matrix sense_ampere;       ///< drives x cols
};
/// line_volt: drives x lines; `conducting` is common to all. threads = 0: as many as there are processors; no influence on the bits.
SteadyBatch solve_steady_batch(const Crossbar& crossbar, const Matrix& line_volt, const std::vector<bool>& conducting, int threads = 1,
                               const SteadyOptions& options = {});

/// Invariants of a steady state, computed anew from its node voltages (docs/theory.md, "What must always hold").
struct SteadyCheck {
  double kirchhoff = 0.0;          ///< largest current error of a node over the largest cell current
  double power_balance = 0.0;      ///< |source - dissipated| over source, wire power from node voltages (Tellegen)
  double current_balance = 0.0;    ///< |sum of senses - sum of cells| over the sum of the senses
  double maximum_principle = 0.0;  ///< how far a node leaves the range of the sources, over that range; <= 0: inside
  double ideal_excess = 0.0;       ///< total sensed over total ideal current, minus 1; <= 0 for ohmic cells and drives of one sign
};
SteadyCheck check_steady(const Crossbar& crossbar, const LineDrive& drive, const SteadyState& state);

/// Conductances that change during a product (read noise, drift): constant over steps of step_s, counted from the begin of the first
/// pass through all passes. Empty (step_s = 0): the crossbar's own.
struct ConductanceTrace {
  double step_s = 0.0;
  /// Fills g (lines x cols, siemens, device alone, physical column order) with the means over [step * step_s, (step + 1) * step_s).
  std::function<void(Index step, Array& g)> mean;
  explicit operator bool() const { return step_s > 0.0; }
};

struct ChargeOptions {
  SteadyOptions steady = {.tolerance = 1e-12};  ///< of every interval
  double settle_tolerance = 1e-9;  ///< exp(-shortest interval / slowest time constant) must be below this
  bool energy = true;
  ConductanceTrace trace;
};

struct ChargeResult {
  Status status = Status::ok;
  Vector charge_coulomb;           ///< cols; passes recombined
  PowerBudget energy_joule;        ///< resistive, over all passes (wire charging is not in it)
  Index intervals = 0;             ///< network solves
  int iterations = 0;
  double slowest_time_constant_s = 0.0;
  double shortest_interval_s = 0.0;  ///< between two changes of the network; 0 when there was none
  double rc_share = 0.0;           ///< largest RC correction over the largest charge
  double wire_charging_joule = 0.0;  ///< sum of C dv^2 / 2 over all transitions and wire nodes: C V^2 per full pulse
  Vector average_supply_ampere;    ///< lines; current out of the row's drivers, mean over all windows (only with energy)
  Vector peak_supply_ampere;       ///< lines; largest settled current (only with energy)
  Index saturated_columns = 0;     ///< cco: columns that met the highest frequency or a full counter
};

/// Column charges of one signed code vector (rows), event-driven. Errors: usage for codes outside the DAC's range, and for gated
/// transistors with finite gate edges (use the transient).
ChargeResult solve_charge(const Crossbar& crossbar, const IntVector& codes, const ChargeOptions& options = {});

/// Upper bound of the network's slowest time constant (wires with all cells open), seconds. 0 without capacitance.
double slowest_time_constant(const Crossbar& crossbar);

/// Effective matrix of a linear tile, rows x cols: sense current_j = sum_i W_ij V_i with V_i the signed row drive.
/// Errors: usage when the tile is not linear.
Matrix effective_matrix(const Crossbar& crossbar, int threads = 1, const SteadyOptions& options = {});

struct TransientOptions {
  double relative_tolerance = 1e-6;
  double absolute_tolerance_volt = 0.0;  ///< of a node voltage; 0: 0.1 * relative_tolerance * v_read
  /// Error a step in what the front ends have collected, over the charge of a full column; 0: 1e-4 * relative_tolerance within 1e-12 to 3e-9.
  double charge_tolerance = 0.0;
  Index record_every = 0;         ///< 0: no waveforms; n: every n-th accepted step, and begin and end of every drive interval
  std::vector<Index> record_rows;     ///< row voltage at the far cell of these lines
  std::vector<Index> record_columns;  ///< of these columns: sense current, column voltage at the far end, state of the front end
  long max_steps = 10'000'000;
  /// Conductances constant over each step (the integrator is restarted where they change).
  ConductanceTrace trace;
};

struct Waveforms {
  std::vector<double> time_s;       ///< pass windows one after another
  Matrix row_volt;                  ///< samples x record_rows
  Matrix column_volt;               ///< samples x record_columns
  Matrix sense_ampere;              ///< samples x record_columns
  Matrix front_end_volt;            ///< samples x record_columns, front end "integrator": output of the op-amp; else empty
  Matrix front_end_counts;          ///< samples x record_columns, front end "cco": phase, counts since the begin of the pass; else empty
};

struct TransientResult {
  Status status = Status::ok;
  std::string failure;       ///< what the integrator said when status is not ok
  /// cols; what the front end reports at the end of each window, recombined (op-amp: -c_int v_out; cco: counts times charge per count).
  Vector charge_coulomb;
  long steps = 0;
  long linear_iterations = 0;
  Index saturated_columns = 0;  ///< op-amp: output at its swing; cco: highest frequency or counter full, at any time
  Waveforms waveforms;
};

/// Errors: usage for codes outside the DAC's range or a tile the method does not take (op-amp without any sense resistance).
TransientResult solve_transient(const Crossbar& crossbar, const IntVector& codes, const TransientOptions& options = {});

/// Feedback capacitance of the op-amp integrator: the given one, or that for which a full column fills the swing.
double integration_capacitance(const data::TileSpec& tile);

}  // namespace crosstile::circuit
