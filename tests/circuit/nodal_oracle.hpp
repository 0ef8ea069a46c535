// An independent account of the same network: every wire node a row of one sparse matrix, assembled resistor by resistor from the
// definitions in docs/theory.md and solved by CHOLMOD's sparse Cholesky. Shares no code with the solver. Needs positive resistances.
#pragma once

#include <cholmod.h>

#include <vector>

#include "circuit/circuit.hpp"

namespace crosstile::circuit::test {

struct NodalSolution {
  Matrix row_volt, column_volt;  // lines x cols, rows x cols
  Vector sense_ampere;
};

class NodalOracle {
 public:
  NodalOracle(const Crossbar& crossbar, const LineDrive& drive) : crossbar_(crossbar) {
    cholmod_start(&common_);
    const Index unknowns = (crossbar.lines() + crossbar.rows()) * crossbar.cols();
    diagonal_ = Vector::Zero(unknowns);
    right_side_ = Vector::Zero(unknowns);
    assemble(drive);
  }
  ~NodalOracle() { cholmod_finish(&common_); }
  NodalOracle(const NodalOracle&) = delete;
  NodalOracle& operator=(const NodalOracle&) = delete;

  NodalSolution solve() {
    const auto n = static_cast<std::size_t>(diagonal_.size());
    cholmod_triplet* triplet = cholmod_allocate_triplet(n, n, off_.size() + n, 1, CHOLMOD_REAL, &common_);
    const auto put = [&](Index row, Index column, double value) {
      static_cast<int*>(triplet->i)[triplet->nnz] = static_cast<int>(row);
      static_cast<int*>(triplet->j)[triplet->nnz] = static_cast<int>(column);
      static_cast<double*>(triplet->x)[triplet->nnz++] = value;
    };
    for (Index k = 0; k < diagonal_.size(); ++k) put(k, k, diagonal_[k]);
    for (const auto& entry : off_) put(std::min(entry.a, entry.b), std::max(entry.a, entry.b), -entry.g);
    cholmod_sparse* matrix = cholmod_triplet_to_sparse(triplet, triplet->nnz, &common_);
    cholmod_factor* factor = cholmod_analyze(matrix, &common_);
    cholmod_factorize(matrix, factor, &common_);
    cholmod_dense* b = cholmod_allocate_dense(n, 1, n, CHOLMOD_REAL, &common_);
    std::copy(right_side_.begin(), right_side_.end(), static_cast<double*>(b->x));
    cholmod_dense* x = cholmod_solve(CHOLMOD_A, factor, b, &common_);
    const Vector v = Eigen::Map<const Vector>(static_cast<const double*>(x->x), right_side_.size());
    cholmod_free_dense(&x, &common_);
    cholmod_free_dense(&b, &common_);
    cholmod_free_factor(&factor, &common_);
    cholmod_free_sparse(&matrix, &common_);
    cholmod_free_triplet(&triplet, &common_);
    return unpack(v);
  }

 private:
  struct Entry {
    Index a, b;
    double g;
  };
  Index row_node(Index line, Index j) const { return line * crossbar_.cols() + j; }
  Index column_node(Index i, Index j) const { return (crossbar_.lines() + i) * crossbar_.cols() + j; }
  void resistor(Index a, Index b, double g) {
    diagonal_[a] += g;
    diagonal_[b] += g;
    off_.push_back({a, b, g});
  }
  void source(Index node, double g, double volt) {
    diagonal_[node] += g;
    right_side_[node] += g * volt;
  }
  double end_conductance() const {
    return 1.0 / (crossbar_.tile.sense_segment * crossbar_.tile.r_col_ohm + crossbar_.tile.r_sense_ohm);
  }
  Index sense_row(Index j) const { return crossbar_.tile.sensed_north(j) ? 0 : crossbar_.rows() - 1; }

  void assemble(const LineDrive& drive) {
    const auto& tile = crossbar_.tile;
    const double head = 1.0 / (tile.r_row_ohm + tile.r_driver_ohm);
    for (Index l = 0; l < crossbar_.lines(); ++l) {
      source(row_node(l, 0), head, drive.line_volt[l]);
      if (tile.drivers == data::DriverEnds::both) source(row_node(l, tile.cols - 1), head, drive.line_volt[l]);
      for (Index j = 0; j + 1 < tile.cols; ++j) resistor(row_node(l, j), row_node(l, j + 1), 1.0 / tile.r_row_ohm);
      if (!drive.conducting[static_cast<std::size_t>(l)]) continue;
      for (Index j = 0; j < tile.cols; ++j) {
        const double g = crossbar_.conductance_siemens(l, j);
        if (g > 0.0) resistor(row_node(l, j), column_node(crossbar_.row_of_line(l), j), 1.0 / (1.0 / g + tile.selector.r_on_ohm));
      }
    }
    for (Index j = 0; j < tile.cols; ++j) {
      for (Index i = 0; i + 1 < tile.rows; ++i) resistor(column_node(i, j), column_node(i + 1, j), 1.0 / tile.r_col_ohm);
      source(column_node(sense_row(j), j), end_conductance(), 0.0);
    }
  }

  NodalSolution unpack(const Vector& v) const {
    NodalSolution out;
    out.row_volt = Eigen::Map<const Matrix>(v.data(), crossbar_.lines(), crossbar_.cols());
    out.column_volt = Eigen::Map<const Matrix>(v.data() + out.row_volt.size(), crossbar_.rows(), crossbar_.cols());
    out.sense_ampere.resize(crossbar_.cols());
    for (Index j = 0; j < crossbar_.cols(); ++j) out.sense_ampere[j] = out.column_volt(sense_row(j), j) * end_conductance();
    return out;
  }

  const Crossbar& crossbar_;
  cholmod_common common_;
  Vector diagonal_, right_side_;
  std::vector<Entry> off_;
};

}  // namespace crosstile::circuit::test
