// Eight drives of one linear mesh at once, one in each SIMD lane: no transposition, and every conductance is read once for all of them.
// The conjugate gradients of one drive give the coefficients; the others repeat its three-term recurrence, which needs neither inner products
// nor more state than two column voltages. docs/theory.md, "Many drives".
#pragma once

#include <vector>

#include "circuit/mesh_solver.hpp"

namespace crosstile::circuit {

// c_next = c + gain z + carry (c - c_before), z = what one Gauss-Seidel sweep would add to c.
struct RecurrenceStep {
  double gain = 1.0, carry = 0.0;
};

constexpr int kLongRecurrence = 60;  // beyond, the coarse correction on one drive beats a recurrence on eight

// The recurrence of the last solve; empty when it was not one of plain conjugate gradients.
std::vector<RecurrenceStep> recurrence_of(const MeshSolver& solver);

class MeshBatch {
 public:
  static constexpr Index kLanes = 8;

  // The mesh as `solver` has it factorised (no shunts), both kinds of wires present.
  MeshBatch(const Crossbar& crossbar, const MeshSolver& solver);

  // Where the drives act: source current of cell (k, j) is g V_k (by_line) or g V_j.
  enum class DriveBy { line, column };
  struct Workspace {
    LargeVector<double> e, c, c_before;  // tiles of lines and columns, eight lanes each
    LargeVector<double> norton;
    std::vector<double> volt;            // lines or columns x lanes
    std::vector<double> sense_ampere;    // columns (internal) x lanes
    std::vector<double> line_ampere;     // lines x lanes: what the drivers give
  };
  struct Report {
    bool converged = false;
    int sweeps = 0;
    double kirchhoff_error = 0.0;  // largest current error of a node over the largest source current of its drive
    double sense_error = 0.0;      // such errors of a column together over its sense current, worst column and drive
  };
  // Starts from zero. `steps` is repeated until every drive's Kirchhoff error is below `tolerance` times its largest source current.
  Report solve(Workspace& work, DriveBy by, const std::vector<RecurrenceStep>& steps, double tolerance, int max_sweeps) const;

 private:
  struct Errors {
    double worst[kLanes] = {};      // largest g |z|
    double of_column[kLanes] = {};  // sum of g |z| over a column, over its sense current; the worst column's
  };
  // What is known of c and c_before: both 0; carry 0, so that c_before does not matter; nothing.
  enum class State { rest, first, moving };
  template <bool kByColumn, State kState>
  void sweep(Workspace& work, const RecurrenceStep& step, Errors& errors) const;
  template <Index kLines, bool kByColumn, bool kFresh>
  void lines_step(Workspace& work, Index first) const;
  template <Index kColumns, bool kByColumn, State kState>
  void columns_step(Workspace& work, Index first, bool north, const RecurrenceStep& step, Errors& errors) const;
  template <bool kByColumn>
  Report run(Workspace& work, const std::vector<RecurrenceStep>& steps, double tolerance, int max_sweeps) const;
  Index at(Index k, Index j) const { return (((k / 8) * column_tiles_ + j / 8) * 64 + (k % 8) * 8 + j % 8) * kLanes; }

  Index lines_, cols_, south_, column_tiles_;
  std::vector<Index> position_;             // physical column -> internal column
  const Sheet& g_;
  Sheet row_pass_, column_pass_;            // lines x cols: physical, internal column order
  std::vector<double> row_ohm_;             // physical columns: wire towards the driver
  std::vector<double> south_ohm_, north_ohm_;  // lines: wire towards the sense
  double head_siemens_ = 0.0;
  bool both_drivers_ = false;
};

}  // namespace crosstile::circuit
