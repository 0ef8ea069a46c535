// The linear network of active lines and columns, factorised once and solved for many right-hand sides.
// Unknowns: e = drop along the row wires, c = voltage of the column nodes (both zero where the wires are ideal). With cell coupling G
//     [ T_r + G + S_r      G          ] [e]   [b_r]
//     [     G          T_c + G + S_c  ] [c] = [b_c]
// which is symmetric positive definite. docs/theory.md, "Structured chain solve".
#pragma once

#include <vector>

#include "circuit/chains.hpp"
#include "circuit/circuit.hpp"
#include "circuit/row_chains.hpp"

namespace crosstile::circuit {

struct LinearReport {
  bool converged = true;
  int iterations = 0;
  double residual_ampere = 0.0;  // largest Kirchhoff error of a node
};

class MeshSolver {
 public:
  explicit MeshSolver(const Crossbar& crossbar);

  // Additions on the diagonal beside the cells (implicit time steps), and to the columns' sense resistance (front ends).
  struct Shunts {
    double row_siemens = 0.0;
    double column_siemens = 0.0;  // once per physical row
    Vector sense_extra_ohm;       // cols, internal order; empty: none
  };

  // lines: active lines, ascending. g: lines.size() x cols in internal column order. Inactive lines' column wire stays.
  void factor(const std::vector<Index>& lines, const Array& g, const Shunts& shunts);
  void factor(const std::vector<Index>& lines, const Array& g) { factor(lines, g, Shunts{}); }

  // c holds the initial guess. Stops when the largest Kirchhoff error is below `tolerance_ampere`.
  LinearReport solve(const Array& b_row, const Array& b_column, Array& e, Array& c, double tolerance_ampere, int max_iterations);

  bool has_row_wires() const { return has_rows_; }
  bool has_column_wires() const { return has_columns_; }
  const std::vector<Index>& lines() const { return lines_; }

  // Share of a current injected at physical row `row` of a column wire that belongs to active lines `first` and `second`
  // (-1: to ground); equally the weights with which the wire's voltage there is made of theirs.
  struct WireShare {
    Index first = -1, second = -1;
    double first_weight = 0.0, second_weight = 0.0;
  };
  WireShare wire_share(Index row, bool north) const;

 private:
  void solve_rows(const Array& b, const Array& c, Array& e);
  double apply_schur(double beta);
  void solve_columns(const Array& b, Array& c) const;
  void factor_rows(const Array& diagonal);
  void factor_columns(const Array& diagonal, const Vector& sense_extra_ohm);
  double distance_ohm(Index row_a, Index row_b) const;
  double sense_distance_ohm(Index row, bool north) const;

  const Crossbar& crossbar_;
  bool has_rows_;
  bool has_columns_;
  bool extra_ = false;
  std::vector<Index> lines_;
  Array g_;
  Chains south_, north_;
  RowChains rows_;
  std::vector<Index> position_;                            // physical column -> internal column
  std::vector<double> lanes_;                              // one block of rows in lane order
  Array residual_, direction_, image_, applied_, before_;  // workspaces of solve
};

// Columns of `physical` gathered into the solvers' internal order, and back.
Array to_internal(const Crossbar& crossbar, const Eigen::Ref<const Array>& physical);
Array to_physical(const Crossbar& crossbar, const Eigen::Ref<const Array>& internal);

}  // namespace crosstile::circuit
