// The crossbar as a system of differential-algebraic equations F(t, y, y') = 0 for SUNDIALS IDA. docs/theory.md, "Transient".
// State y: row drops e, column voltages c, front-end states. Wires without resistance collapse to one unknown, or to none.
#pragma once

#include <vector>

#include "circuit/mesh_solver.hpp"

namespace crosstile::circuit {

// Drive between two restarts: voltages are linear in time, cells conduct or not.
struct DriveInterval {
  double begin_s = 0.0, end_s = 0.0;
  Vector volt_begin;   // lines
  Vector volt_slope;   // lines, V/s
  std::vector<bool> conducting;  // lines
};

class TransientSystem {
 public:
  explicit TransientSystem(const Crossbar& crossbar);

  Index size() const { return front_offset_ + front_states_ * crossbar_.cols(); }
  // 1 where y' appears in the equation.
  Vector differential() const;
  // Absolute tolerances from one for voltages.
  Vector absolute_tolerance(double volt) const;
  // State before the first edge of a window: rows at `line_volt`, columns at 0, integrators reset.
  Vector initial_state() const;

  // Enters an interval: adapts y to a jump of the drive voltages, solves the algebraic unknowns, and gives a consistent y'.
  // Returns false when that Newton iteration fails.
  bool enter(const DriveInterval& interval, const Vector& previous_volt, Vector& y, Vector& y_prime);
  void residual(double t, const double* y, const double* y_prime, double* f);
  // Solves (dF/dy + cj dF/dy') x = b at the state y.
  bool solve_newton_system(double cj, double t, const double* y, const double* b, double* x);

  Vector measured_charge(const Vector& y) const;  // cols, physical order
  double row_voltage(double t, const Vector& y, Index line, Index column) const;
  double column_voltage(const Vector& y, Index row, Index column) const;
  double sense_current(double t, const Vector& y, Index column) const;
  long linear_iterations() const { return linear_iterations_; }

 private:
  using ConstGrid = Eigen::Map<const Array>;
  using Grid = Eigen::Map<Array>;
  double line_volt(double t, Index line) const;
  Index column_node(Index line) const { return column_nodes_ == 1 ? 0 : crossbar_.row_of_line(line); }
  bool pinned_end() const { return column_nodes_ > 1 && end_ohm_ == 0.0; }
  Index end_node(bool north) const { return north ? 0 : column_nodes_ - 1; }
  void evaluate_cells(double t, const double* y);
  void wire_currents(const double* y, double* f) const;
  void front_end_residual(const double* y, const double* y_prime, double* f) const;
  double sense_current_internal(const double* y, Index j) const;
  void factor(double cj, const double* y, double row_pin, double column_pin);
  void gather_sources(const double* b);

  const Crossbar& crossbar_;
  MeshSolver mesh_;
  bool ohmic_;
  bool op_amp_;
  double end_ohm_;          // between the last column node and the sense
  double c_int_ = 0.0;
  Index row_nodes_;         // per line: cols, 1 or 0
  Index column_nodes_;      // per column: rows, 1 or 0
  Index column_offset_, front_offset_, front_states_;
  Array device_;            // lines x cols, internal order
  Array ohmic_g_;
  Array active_device_;     // of the interval: 0 where the line does not conduct
  Array current_, slope_;   // lines x cols at the last evaluated state
  DriveInterval interval_;
  std::vector<Index> all_lines_;
  std::vector<Index> row_position_;  // physical column -> internal column
  double factored_cj_ = -1.0;
  Vector front_impedance_;  // cols, internal: dv_x / di of the discretised front end
  Array b_row_, b_column_, x_row_, x_column_;
  long linear_iterations_ = 0;
};

}  // namespace crosstile::circuit
