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
  // The sense currents alone of several drives (drives x lines), rows first .. first + count - 1: one report
  // a drive, none where the sweeps do not get there. The errors in a report are bounds. Currents: a column a
  // drive, internal column order.
  std::vector<std::optional<SteadyReport>> solve_sense(const Matrix& line_volt, Index first, Index count,
                                                       std::vector<Vector>& sense_ampere);

 private:
  // A drive and what is found for it.
  struct Drive {
    StripArray drop, column;
    StripMesh::Answer answer;
    std::vector<double> volt;  // slots
    double scale = 0.0;        // largest source current
  };
  bool begin(const Vector& line_volt, Drive& drive, StripMesh::Request& request);
  void read_out(const Vector& line_volt, Drive& drive, OperatingPoint& point);
  void unroll(const StripArray& from, Array& to) const;
  double sense_error(const OperatingPoint& point, const std::vector<double>& lost) const;

  const Crossbar& crossbar_;
  SteadyOptions options_;
  StripMesh mesh_;
  bool factored_ = false;
  std::vector<Drive> drives_;
  Vector largest_siemens_;  // lines
};

}  // namespace crosstile::circuit
