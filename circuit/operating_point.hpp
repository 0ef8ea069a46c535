// Operating point of the active lines: the step shared by the steady and the event-driven method.
#pragma once

#include "circuit/mesh_solver.hpp"

namespace crosstile::circuit {

// Arrays are active lines x cols, internal column order.
struct OperatingPoint {
  Array drop;         // e
  Array column;       // c
  Array cell_ampere;  // I
  Array slope;        // dI/dv of each cell (the conductance of an ohmic cell)
};

class OperatingPointSolver {
 public:
  OperatingPointSolver(const Crossbar& crossbar, const SteadyOptions& options);

  // Chooses the conducting lines and factorises. column guesses of `point` are kept where the shape still fits.
  void set_lines(const std::vector<Index>& lines);
  // Solves for the drive voltages of the active lines; `point.column` is the initial guess.
  SteadyReport solve(const Vector& line_volt, OperatingPoint& point);
  PowerBudget power(const Vector& line_volt, const OperatingPoint& point) const;
  Vector sense_current(const OperatingPoint& point) const;  // cols, physical order

  MeshSolver& mesh() { return mesh_; }
  const std::vector<Index>& lines() const { return mesh_.lines(); }

 private:
  SteadyReport solve_linear(const Vector& line_volt, OperatingPoint& point);
  SteadyReport solve_newton(const Vector& line_volt, OperatingPoint& point);
  void evaluate_cells(const Vector& line_volt, OperatingPoint& point) const;

  const Crossbar& crossbar_;
  SteadyOptions options_;
  MeshSolver mesh_;
  bool linear_;
  Array device_;     // lines x cols, internal order: device conductance
  Array ohmic_;      // the same with the selector in series (small-signal value at 0 V)
  Array active_g_;   // active lines of ohmic_
};

}  // namespace crosstile::circuit
