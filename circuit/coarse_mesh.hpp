// What the column chains alone are slow at: the few smooth patterns in which whole regions of a tile share their current. They are solved on a
// coarse grid of hat functions, and added to the preconditioner. docs/theory.md, "Coarse correction".
#pragma once

#include <vector>

#include "circuit/lanes.hpp"

namespace crosstile::circuit {

// The mesh as the coarse grid sees it; lines and columns as in MeshSolver, columns in internal order.
struct CoarseWires {
  Vector line_ohm;                  // lines: place along the column wire, r_col times the physical row
  Vector south_end_ohm, north_end_ohm;  // resistance from the end line to the sense, one a column of the group; all > 0
  double row_ohm = 0.0;             // per cell along a row
  double head_ohm = 0.0;            // driver to first cell; > 0
  bool both_drivers = false;
  double row_shunt_siemens = 0.0;   // on every row node
  Vector column_shunt_siemens;      // lines
};

class CoarseMesh {
 public:
  // Chooses the grid and factorises; afterwards active() tells whether the correction is worth its cost.
  void factor(const CoarseWires& wires, const Sheet& g, const std::vector<Index>& position);
  void clear() { values_.resize(0); }
  bool active() const { return values_.size() > 0; }

  // One application of z2 = Z (S^-1 - M^-1) Z^T r: begin, every row of r, solve (gives r . z2), then rows of z2 and of M z2.
  void begin() { sources_.setZero(values_.size()); }
  // Columns first .. first + count - 1 of line k: those sensed south, or those sensed north.
  void gather(Index k, Index first, const double* r);
  double solve();
  // z2 of line k, and what T_c makes of it, added to `wire` (zero but at the grid's lines).
  void spread(Index k, double* __restrict z2) const;
  void add_wire_current(Index k, const double* z2, double* __restrict wire) const;

 private:
  struct Group {
    Index first = 0, count = 0;
    bool north = false;
    std::vector<Index> begin;  // of each segment of columns, and the end
    Vector end_siemens;
  };
  void choose_grid(const CoarseWires& wires, const Sheet& g, const std::vector<Index>& position);
  void assemble(const CoarseWires& wires, const Sheet& g);
  void factor_grid(const Matrix& columns, const Matrix& rows, const Matrix& coupling);
  Index unknown(std::size_t group, Index a, Index b) const { return (static_cast<Index>(group) * knots_ + a) * hats_ + b; }
  void expand(const double* coefficients, const Group& group, double* __restrict out) const;

  Index knots_ = 0, hats_ = 0;     // hat functions along the column wires and along the row wires
  std::vector<Index> knot_line_;   // lines at which the hats along the column wires bend
  std::vector<Index> below_;       // lines: knot before (or at) the line
  Vector share_;                   // lines: weight of the knot after it
  Vector knot_ohm_;                // between knots
  // A column's pattern is scaled with its own mean conductance, a line's with its line's: heavy ones carry more current.
  Vector left_, right_;            // columns (internal): value there of the hats to the left and to the right
  std::vector<Group> groups_;
  Matrix solve_;                   // S^-1 - M^-1 on the grid
  Vector sources_, values_, kinks_;
};

}  // namespace crosstile::circuit
