#include "circuit/mesh_solver.hpp"

#include <algorithm>
#include <cmath>

namespace crosstile::circuit {

Array to_internal(const Crossbar& crossbar, const Eigen::Ref<const Array>& physical) {
  Array internal(physical.rows(), physical.cols());
  for (Index j = 0; j < physical.cols(); ++j) internal.col(j) = physical.col(crossbar.column_order[static_cast<std::size_t>(j)]);
  return internal;
}

Array to_physical(const Crossbar& crossbar, const Eigen::Ref<const Array>& internal) {
  Array physical(internal.rows(), internal.cols());
  for (Index j = 0; j < internal.cols(); ++j) physical.col(crossbar.column_order[static_cast<std::size_t>(j)]) = internal.col(j);
  return physical;
}

MeshSolver::MeshSolver(const Crossbar& crossbar)
    : crossbar_(crossbar),
      has_rows_(!crossbar.tile.ideal_supply()),
      has_columns_(crossbar.tile.r_col_ohm > 0.0 || crossbar.tile.r_sense_ohm > 0.0),
      position_(crossbar.column_order.size()),
      lanes_(static_cast<std::size_t>(crossbar.cols() * RowChains::kLanes)) {
  for (std::size_t j = 0; j < position_.size(); ++j)
    position_[static_cast<std::size_t>(crossbar.column_order[j])] = static_cast<Index>(j);
}

double MeshSolver::distance_ohm(Index row_a, Index row_b) const {
  return static_cast<double>(std::abs(row_b - row_a)) * crossbar_.tile.r_col_ohm;
}

double MeshSolver::sense_distance_ohm(Index row, bool north) const {
  const data::TileSpec& tile = crossbar_.tile;
  const Index end = north ? 0 : tile.rows - 1;
  return distance_ohm(row, end) + tile.sense_segment * tile.r_col_ohm + tile.r_sense_ohm;
}

void MeshSolver::factor_columns(const Array& diagonal, const Vector& sense_extra_ohm) {
  const Index count = static_cast<Index>(lines_.size());
  const Index south = crossbar_.south_columns;
  const Index north = crossbar_.cols() - south;
  const auto row = [&](Index k) { return crossbar_.row_of_line(lines_[static_cast<std::size_t>(k)]); };
  ChainWires wires;
  wires.gap_ohm.resize(count);
  const bool extra = sense_extra_ohm.size() > 0;
  if (south > 0) {
    for (Index k = 0; k + 1 < count; ++k) wires.gap_ohm[k] = distance_ohm(row(k), row(k + 1));
    wires.gap_ohm[count - 1] = sense_distance_ohm(row(count - 1), false);
    south_.factor(wires, diagonal.leftCols(south), extra ? Vector(sense_extra_ohm.head(south)) : Vector());
  }
  if (north > 0) {
    wires.ground_at_first = true;
    for (Index k = 1; k < count; ++k) wires.gap_ohm[k] = distance_ohm(row(k), row(k - 1));
    wires.gap_ohm[0] = sense_distance_ohm(row(0), true);
    north_.factor(wires, diagonal.rightCols(north), extra ? Vector(sense_extra_ohm.tail(north)) : Vector());
  }
}

void MeshSolver::factor_rows(const Array& diagonal) {
  const data::TileSpec& tile = crossbar_.tile;
  ChainWires wires;
  wires.ground_at_first = true;
  wires.gap_ohm.setConstant(tile.cols, tile.r_row_ohm);
  wires.gap_ohm[0] += tile.r_driver_ohm;
  if (tile.drivers == data::DriverEnds::both) wires.far_shunt_siemens = 1.0 / (tile.r_row_ohm + tile.r_driver_ohm);
  rows_.factor(wires, diagonal, position_);
}

void MeshSolver::factor(const std::vector<Index>& lines, const Array& g, const Shunts& shunts) {
  lines_ = lines;
  g_ = g;
  extra_ = shunts.sense_extra_ohm.size() > 0;
  if (lines_.empty()) return;
  if (has_rows_) factor_rows(g_ + shunts.row_siemens);
  if (has_columns_ || extra_) {
    Array diagonal = g_;
    if (shunts.column_siemens > 0.0)
      for (Index k = 0; k < g_.rows(); ++k)
        if (lines_[static_cast<std::size_t>(k)] % crossbar_.lines_per_row == 0) diagonal.row(k) += shunts.column_siemens;
    factor_columns(diagonal, shunts.sense_extra_ohm);
  }
}

// e = (T_r + G + S_r)^-1 (b - G c).
void MeshSolver::solve_rows(const Array& b, const Array& c, Array& e) {
  e.resize(g_.rows(), g_.cols());
  for (Index block = 0; block < rows_.blocks(); ++block) {
    const Index end = std::min(g_.rows(), (block + 1) * RowChains::kLanes);
    for (Index k = block * RowChains::kLanes; k < end; ++k) e.row(k) = b.row(k) - g_.row(k) * c.row(k);
    rows_.pack(block, [&](Index k) { return e.data() + k * e.cols(); }, lanes_.data());
    rows_.solve_block(block, lanes_.data());
    for (Index k = block * RowChains::kLanes; k < end; ++k)
      rows_.unpack_line(lanes_.data(), k - block * RowChains::kLanes, e.data() + k * e.cols());
  }
}

// One pass over the rows: p <- z + beta p (z stands in image_), M p <- r + beta M p, image <- S p = M p - G (T_r + G)^-1 G p.
// Returns p . S p.
double MeshSolver::apply_schur(double beta) {
  double product = 0.0;
  for (Index block = 0; block < rows_.blocks(); ++block) {
    const Index begin = block * RowChains::kLanes;
    const Index end = std::min(g_.rows(), begin + RowChains::kLanes);
    for (Index k = begin; k < end; ++k) {
      direction_.row(k) = image_.row(k) + beta * direction_.row(k);
      applied_.row(k) = residual_.row(k) + beta * applied_.row(k);
      image_.row(k) = g_.row(k) * direction_.row(k);
    }
    rows_.pack(block, [&](Index k) { return image_.data() + k * image_.cols(); }, lanes_.data());
    rows_.solve_block(block, lanes_.data());
    for (Index k = begin; k < end; ++k) {
      rows_.unpack_line(lanes_.data(), k - begin, image_.data() + k * image_.cols());
      image_.row(k) = applied_.row(k) - g_.row(k) * image_.row(k);
      product += (direction_.row(k) * image_.row(k)).sum();
    }
  }
  return product;
}

void MeshSolver::solve_columns(const Array& b, Array& c) const {
  const Index south = crossbar_.south_columns;
  const Index north = crossbar_.cols() - south;
  if (south > 0) south_.solve(b.leftCols(south), c.leftCols(south));
  if (north > 0) north_.solve(b.rightCols(north), c.rightCols(north));
}

LinearReport MeshSolver::solve(const Array& b_row, const Array& b_column, Array& e, Array& c, double tolerance_ampere, int max_iterations) {
  LinearReport report;
  e.resize(g_.rows(), g_.cols());
  if (c.rows() != g_.rows() || c.cols() != g_.cols()) c.setZero(g_.rows(), g_.cols());
  if (lines_.empty()) return report;
  if ((b_row == 0.0).all() && (b_column == 0.0).all()) {  // any tolerance relative to the sources would be 0
    e.setZero();
    c.setZero();
    return report;
  }
  const bool columns = has_columns_ || extra_;
  if (!has_rows_) {
    e.setZero();
    if (columns) solve_columns(b_column, c);
    else c.setZero();
    return report;
  }
  if (!columns) {
    c.setZero();
    solve_rows(b_row, c, e);
    return report;
  }

  // One Gauss-Seidel sweep from the guess; after it the residual is known without applying T_c (exact for r_col = 0 too).
  solve_rows(b_row, c, before_);
  image_.resize(g_.rows(), g_.cols());
  for (Index k = 0; k < g_.rows(); ++k) image_.row(k) = b_column.row(k) - g_.row(k) * before_.row(k);
  solve_columns(image_, c);
  solve_rows(b_row, c, e);
  residual_.resize(g_.rows(), g_.cols());
  for (Index k = 0; k < g_.rows(); ++k) {
    residual_.row(k) = g_.row(k) * (before_.row(k) - e.row(k));
    report.residual_ampere = std::max(report.residual_ampere, residual_.row(k).abs().maxCoeff());
  }
  if (report.residual_ampere <= tolerance_ampere) return report;

  // Conjugate gradients on the Schur complement, preconditioned by the column chains M. M p is carried along, so T_c is never applied.
  direction_.setZero(g_.rows(), g_.cols());
  applied_.setZero(g_.rows(), g_.cols());
  double rho = 0.0;
  while (report.residual_ampere > tolerance_ampere) {
    if (report.iterations >= max_iterations || !std::isfinite(report.residual_ampere)) {
      report.converged = false;
      break;
    }
    ++report.iterations;
    solve_columns(residual_, image_);
    const double rho_before = rho;
    rho = 0.0;
    for (Index k = 0; k < g_.rows(); ++k) rho += (residual_.row(k) * image_.row(k)).sum();
    const double step = rho / apply_schur(rho_before > 0.0 ? rho / rho_before : 0.0);
    report.residual_ampere = 0.0;
    for (Index k = 0; k < g_.rows(); ++k) {
      c.row(k) += step * direction_.row(k);
      residual_.row(k) -= step * image_.row(k);
      report.residual_ampere = std::max(report.residual_ampere, residual_.row(k).abs().maxCoeff());
    }
  }
  solve_rows(b_row, c, e);
  return report;
}

MeshSolver::WireShare MeshSolver::wire_share(Index row, bool north) const {
  WireShare share;
  // Active lines on the far side (or at the row) and on the sense side; lines_ is ascending, and so are their rows.
  const auto row_of = [&](Index k) { return crossbar_.row_of_line(lines_[static_cast<std::size_t>(k)]); };
  const Index count = static_cast<Index>(lines_.size());
  const auto first_from = [&](Index wanted) {  // first active line at `wanted` or beyond
    const auto line = std::lower_bound(lines_.begin(), lines_.end(), wanted * crossbar_.lines_per_row);
    return static_cast<Index>(line - lines_.begin());
  };
  Index far = north ? first_from(row) : first_from(row + 1) - 1;
  const Index beyond = north ? far - 1 : far + 1;
  const Index near = beyond < count ? beyond : -1;
  if (far == count) far = -1;
  const double to_near = near >= 0 ? distance_ohm(row, row_of(near)) : sense_distance_ohm(row, north);
  if (far < 0) {  // nothing conducts behind: the whole wire there has the voltage of the nearest line, or of ground
    share.first = near;
    share.first_weight = near >= 0 ? 1.0 : 0.0;
    return share;
  }
  const double total = distance_ohm(row, row_of(far)) + to_near;
  share.first = far;
  share.first_weight = total > 0.0 ? to_near / total : 1.0;
  share.second = near;
  share.second_weight = near >= 0 ? 1.0 - share.first_weight : 0.0;
  return share;
}

}  // namespace crosstile::circuit
