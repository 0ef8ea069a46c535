// The steady state of a linear tile with all its rows, by sweeps (circuit/strip_mesh.hpp).
#pragma once

#include <optional>

#include "circuit/operating_point.hpp"
#include "circuit/strip_mesh.hpp"

namespace crosstile::circuit {

class StripSteady {
 public:
  // Whether a tile is one for sweeps; where they turn out slow, they say so themselves.
  static bool takes(const Crossbar& crossbar, Index conducting_lines);
  // conductance: lines x cols, internal column order, on-resistance included.
  StripSteady(const Crossbar& crossbar, const Array& conductance, const SteadyOptions& options);

  // Everything at one drive (a voltage a line). Nothing when the sweeps do not get there.
  std::optional<SteadyReport> solve(const Vector& line_volt, OperatingPoint& point);
  // The sense currents alone, internal column order; the errors in the report are bounds.
  std::optional<SteadyReport> solve_sense(const Vector& line_volt, Vector& sense_ampere);

 private:
  bool begin(const Vector& line_volt, StripMesh::Start& start, StripMesh::Stop& stop, double& scale);
  void read_out(const Vector& line_volt, OperatingPoint& point);
  void unroll(const StripArray& from, Array& to) const;
  double sense_error(const OperatingPoint& point, const std::vector<double>& lost) const;

  const Crossbar& crossbar_;
  SteadyOptions options_;
  StripMesh mesh_;
  bool factored_ = false;
  StripArray drop_, column_;
  StripMesh::Answer answer_;
  std::vector<double> volt_;  // slots
  Vector largest_siemens_;    // lines
};

}  // namespace crosstile::circuit
