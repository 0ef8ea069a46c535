// Operating point of the active lines: the step shared by the steady and the event-driven method.
#pragma once

#include "circuit/mesh_solver.hpp"
#include "device/cell.hpp"

namespace crosstile::circuit {

// Arrays are active lines x cols, internal column order.
struct OperatingPoint {
  Array drop;           // e
  Array column;         // c
  Array cell_ampere;    // I
  Array slope;          // dI/dv of each non-linear cell
  Vector line_ampere;   // sums of I over the columns: what each line's drivers give
  Vector sense_ampere;  // sums of I over the lines, internal order
  double drop_watt = 0.0, column_watt = 0.0;  // sums of e I and of c I: power lost in row wires and drivers, in column wires and senses
  double largest_ampere = 0.0;                // of all cells
};

class OperatingPointSolver {
 public:
  OperatingPointSolver(const Crossbar& crossbar, const SteadyOptions& options);
  OperatingPointSolver(const OperatingPointSolver&) = delete;
  OperatingPointSolver& operator=(const OperatingPointSolver&) = delete;

  // Takes the crossbar's conductances anew; set_lines must follow.
  void reload_conductances();
  // Chooses the conducting lines and factorises. column guesses of `point` are kept where the shape still fits.
  void set_lines(const std::vector<Index>& lines);
  // Solves for the drive voltages of the active lines; `point.column` is the initial guess.
  SteadyReport solve(const Vector& line_volt, OperatingPoint& point);
  // The same when only point.sense_ampere, point.column and point.largest_ampere (here: a bound) are wanted.
  SteadyReport solve_sense(const Vector& line_volt, OperatingPoint& point);
  PowerBudget power(const Vector& line_volt, const OperatingPoint& point) const;
  Vector sense_current(const OperatingPoint& point) const;  // cols, physical order
  // Row k of the cells' slopes: conductances, or the working point's slopes.
  const double* slope(const OperatingPoint& point, Index k) const {
    return linear_ ? mesh_.conductance().row(k) : point.slope.data() + k * point.slope.cols();
  }

  MeshSolver& mesh() { return mesh_; }
  // Of ohmic cells, on-resistance included: lines x cols, internal column order.
  const Array& ohmic() const { return ohmic_.size() > 0 ? ohmic_ : device_; }
  const std::vector<Index>& lines() const { return mesh_.lines(); }

 private:
  SteadyReport solve_linear(const Vector& line_volt, OperatingPoint& point);
  void add_up(OperatingPoint& point) const;
  double sense_error(const OperatingPoint& point) const;
  // Non-linear cells, circuit/newton.cpp.
  SteadyReport solve_newton(const Vector& line_volt, OperatingPoint& point);
  void newton_iterate(const Vector& line_volt, OperatingPoint& point, bool warm, SteadyReport& report);
  double newton_advance(const Vector& line_volt, bool wire_known, OperatingPoint& point);
  bool newton_start(const Vector& line_volt, OperatingPoint& point);
  void remember_newton(const Vector& line_volt, const OperatingPoint& point);
  void evaluate_cells(const Vector& line_volt, OperatingPoint& point);

  const Crossbar& crossbar_;
  SteadyOptions options_;
  MeshSolver mesh_;
  bool linear_;
  Array reordered_;      // conductances in internal order, where that is not the physical one
  const Array& device_;  // lines x cols, internal order: device conductance
  Array ohmic_;          // the same with the on-resistance in series; empty when there is none
  Array newton_slope_, newton_source_;  // slopes in the linear solver, and its right-hand side
  Array newton_wire_, newton_wire_next_;          // currents in the wires
  Array newton_drop_next_, newton_column_next_;   // the linear solver's solution
  Array newton_drop_;                             // lines x cols: drops of the solve before
  Vector newton_volt_;                            // lines: drive voltages of the solve before; NaN: off
};

}  // namespace crosstile::circuit
