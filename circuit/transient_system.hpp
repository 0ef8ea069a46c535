// The crossbar as a system of differential-algebraic equations F(t, y, y') = 0 for SUNDIALS IDA. docs/theory.md, "Transient".
// State y: row drops e, column voltages c, front-end states. Wires without resistance collapse to one unknown, or to none.
#pragma once

#include <vector>

#include "circuit/front_end.hpp"
#include "circuit/mesh_solver.hpp"
#include "circuit/transient_drive.hpp"
#include "device/cell.hpp"

namespace crosstile::circuit {

class TransientSystem {
 public:
  explicit TransientSystem(const Crossbar& crossbar);

  Index size() const { return front_offset_ + front_states_ * crossbar_.cols(); }
  // 1 where y' appears in the equation.
  Vector differential() const;
  // State before the first edge of a window: rows at their drive, columns at 0, front ends reset.
  Vector initial_state() const;

  // Weights 1 / tolerance of the states' local errors.
  struct Tolerances {
    double relative = 0.0, volt = 0.0;
    double charge_coulomb = 0.0;  // of the mean column, in what its front end has collected
  };
  void set_tolerances(const Tolerances& tolerances) { tolerances_ = tolerances; }
  void error_weights(const double* y, double* weights) const;
  // Step over which the node voltages change by half their tolerance. (IDA's own choice asks the same of the collected charge, which grows
  // all the time without being any harder to follow.)
  double first_step(const Vector& y, const Vector& y_prime, double length_s) const;

  // Device conductances, lines x cols, physical column order; they hold from the next enter() on.
  void set_conductances(const Eigen::Ref<const Array>& physical);

  // Enters an interval: adapts y to a jump of the drive voltages, solves the algebraic unknowns, and gives a consistent y'.
  // Returns false when that Newton iteration fails.
  bool enter(const DriveInterval& interval, const Vector& previous_volt, Vector& y, Vector& y_prime);

  // F at a state. It stays inside, for solve() and copy_residual().
  void residual(double t, const double* y, const double* y_prime);
  void copy_residual(double* f) const;
  // Solves (dF/dy + cj dF/dy') x = F for the F of the last residual(), to `reduction` of its largest entry. The slopes of non-linear cells
  // and front ends are those of the first call after `new_step`.
  bool solve(double cj, bool new_step, double reduction, double* x);
  // One such step is the whole of Newton's method.
  bool linear() const { return ohmic_ && !op_amp_; }

  // Columns that met a limit of their front end so far (state: after a residual() at y).
  void note_limits(const double* y);
  void note_pass_end(const Vector& y);
  Index limited_columns() const;

  Vector measured_charge(const Vector& y) const;  // cols, physical order; of one pass
  double row_voltage(double t, const Vector& y, Index line, Index column) const;
  double column_voltage(const Vector& y, Index row, Index column) const;
  double sense_current(const Vector& y, Index column) const;  // after a residual() at y
  double front_end_state(const Vector& y, Index column) const;  // op-amp output, phase in counts, or charge
  long linear_iterations() const { return linear_iterations_; }

 private:
  double line_volt(double t, Index line) const;
  Index lines_per_row() const { return crossbar_.lines_per_row; }
  bool pinned_end() const { return column_nodes_ > 1 && end_ohm_ == 0.0; }
  Index end_node(Index j) const { return column_nodes_ == 1 || j >= crossbar_.south_columns ? 0 : column_nodes_ - 1; }
  Index end_line(Index j) const { return end_node(j) * lines_per_row(); }
  double row_capacitance() const;     // of one unknown
  double column_capacitance() const;

  void evaluate_cells(double t, const double* y);
  void evaluate_line(Index line, double volt, double gate, const double* y);
  void row_residual(const double* y, const double* y_prime);
  void add_row_wire(const double* e, double* f) const;
  void column_residual(const double* y, const double* y_prime);
  void front_end_residual(const double* y, const double* y_prime);
  double sense_current_internal(const double* y, Index j) const;
  double collected_rate(double sense_ampere) const;  // of the one state of front ends "ideal" and "cco"

  double nothing_ampere() const;
  void factor(double cj, double row_pin, double column_pin);
  void op_amp_sources();
  double sense_correction(const double* x, Index j) const;
  void front_end_solution(double cj, double* x) const;
  void scatter(const Array& row, const Array& column, double* to) const;
  bool solve_algebraic(Vector& y, bool rows_free, bool columns_free);

  const Crossbar& crossbar_;
  MeshSolver mesh_;
  device::CellModel cells_;
  OpAmp amp_;
  Oscillator oscillator_;
  bool ohmic_;
  bool op_amp_, cco_;
  bool in_order_;           // internal column order = physical order: row wires connect neighbours in memory
  double end_ohm_;          // between the last column node and the sense
  double c_int_ = 1.0;
  Index row_nodes_;         // per line: cols, 1 or 0
  Index column_nodes_;      // per column: rows, 1 or 0
  Index column_offset_, front_offset_, front_states_;
  Array device_;            // lines x cols, internal order
  Array active_g_;          // ohmic cells: conductance with the selector in series, 0 where the line does not conduct
  Array current_, slope_;   // lines x cols at the state of the last residual(); slope_: non-linear cells, one for both sides
  Array row_volt_, by_column_;         // 1 x cols, scratch
  Array ground_;                       // 1 x cols: 0
  DriveInterval interval_;
  Tolerances tolerances_;
  std::vector<Index> all_lines_;
  std::vector<Index> row_position_;    // physical column -> internal column
  double factored_cj_ = -1.0;
  // Op-amps: slopes at the last residual() and in the factorisation; resistance dv_x / di, and v_x without current, in Newton's system.
  std::vector<OpAmp::Slopes> amp_slopes_, factored_slopes_;
  Vector front_impedance_, front_rest_;
  Vector front_f_, front_rate_, front_current_;  // residuals; of virtual grounds: the state's rate and the sense current there
  std::vector<bool> limited_;          // cols, internal order
  Array f_row_, f_column_, b_column_;  // residual, one entry a grid node; a collapsed wire's sum at its first node
  Array x_row_, x_column_;
  long linear_iterations_ = 0;
};

}  // namespace crosstile::circuit
