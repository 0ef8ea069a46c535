#include "circuit/coarse_mesh.hpp"

#include <Eigen/Cholesky>
#include <array>
#include <cmath>

namespace crosstile::circuit {

namespace {

constexpr double kHatsPerLength = 2.0;  // hat functions per electrical length sqrt(r g) N; measured: more gain little
constexpr Index kCellsPerHat = 24;      // a finer grid would cost more than it saves
constexpr Index kMostHats = 40;
constexpr double kWorthwhile = 0.6;     // slowest pattern's share that the chains leave behind, below which they do without

}  // namespace

void CoarseMesh::factor(const CoarseWires& wires, const Sheet& g, const std::vector<Index>& position) {
  clear();
  choose_grid(wires, g, position);
  if (knots_ == 0) return;
  values_.setZero(static_cast<Index>(groups_.size()) * knots_ * hats_);
  assemble(wires, g);
}

void CoarseMesh::choose_grid(const CoarseWires& wires, const Sheet& g, const std::vector<Index>& position) {
  const Index lines = g.rows(), cols = g.cols();
  knots_ = 0;
  if (lines < 4 || cols < 4) return;
  const double mean = g.view().mean();
  const double column_ohm = std::abs(wires.line_ohm[lines - 1] - wires.line_ohm[0]);
  const double row_ohm = wires.row_ohm * static_cast<double>(cols);
  // Electrical lengths; the slowest pattern of a wire (a quarter wave) damps by g / (g + wire) a sweep.
  const double column_length = std::sqrt(column_ohm * mean * static_cast<double>(lines));
  const double row_length = std::sqrt(row_ohm * mean * static_cast<double>(cols));
  const auto left = [&](double length, double end_ohm, double count, double shunt) {
    const double wire = 1.0 / (length * length / 2.47 + end_ohm * mean * count);  // over the mean cell conductance
    return 1.0 / (1.0 + wire + shunt / mean);
  };
  const double column_end = wires.south_end_ohm.size() > 0 ? wires.south_end_ohm[0] : wires.north_end_ohm[0];
  const double left_behind = left(column_length, column_end, static_cast<double>(lines), wires.column_shunt_siemens.mean()) *
                             left(row_length, wires.head_ohm, static_cast<double>(cols), wires.row_shunt_siemens);
  if (!(left_behind > kWorthwhile)) return;

  const auto hats = [&](double length, Index count) {
    return std::clamp<Index>(static_cast<Index>(std::ceil(kHatsPerLength * length)), 1, std::min(kMostHats, count / kCellsPerHat + 1)) + 1;
  };
  knots_ = column_ohm > 0.0 ? hats(column_length, lines) : 1;
  hats_ = row_ohm > 0.0 ? hats(row_length, cols) : 1;

  // Along the column wires: knots at lines, linear in resistance between them.
  knot_line_.resize(static_cast<std::size_t>(knots_));
  for (Index a = 0; a < knots_; ++a) knot_line_[static_cast<std::size_t>(a)] = knots_ == 1 ? 0 : a * (lines - 1) / (knots_ - 1);
  knot_ohm_.resize(std::max<Index>(knots_ - 1, 0));
  for (Index a = 0; a + 1 < knots_; ++a)
    knot_ohm_[a] = wires.line_ohm[knot_line_[static_cast<std::size_t>(a + 1)]] - wires.line_ohm[knot_line_[static_cast<std::size_t>(a)]];
  below_.assign(static_cast<std::size_t>(lines), 0);
  share_.setZero(lines);
  for (Index k = 0, a = 0; k < lines && knots_ > 1; ++k) {
    while (a + 2 < knots_ && k >= knot_line_[static_cast<std::size_t>(a + 1)]) ++a;
    below_[static_cast<std::size_t>(k)] = a;
    share_[k] = (wires.line_ohm[k] - wires.line_ohm[knot_line_[static_cast<std::size_t>(a)]]) / knot_ohm_[a];
  }

  // Along the row wires: linear in the physical column; a group's columns of one segment are neighbours in the internal order.
  const Vector scale = g.view().colwise().mean().matrix().transpose() / mean;
  left_ = scale;
  right_.setZero(cols);
  groups_.clear();
  std::vector<double> physical(static_cast<std::size_t>(cols));
  for (std::size_t p = 0; p < position.size(); ++p) physical[static_cast<std::size_t>(position[p])] = static_cast<double>(p);
  const double width = hats_ > 1 ? static_cast<double>(cols - 1) / static_cast<double>(hats_ - 1) : 1.0;
  const Index south = wires.south_end_ohm.size();
  for (const bool north : {false, true}) {
    Group group;
    group.north = north;
    group.first = north ? south : 0;
    group.count = north ? cols - south : south;
    if (group.count == 0) continue;
    group.end_siemens = (north ? wires.north_end_ohm : wires.south_end_ohm).cwiseInverse();
    Index j = group.first;
    for (Index s = 0; s < std::max<Index>(hats_ - 1, 1); ++s) {
      group.begin.push_back(j);
      const bool last = s + 2 >= hats_;
      for (; j < group.first + group.count; ++j) {
        const double at = physical[static_cast<std::size_t>(j)] / width - static_cast<double>(s);
        if (!last && at >= 1.0) break;
        if (hats_ == 1) continue;
        left_[j] = scale[j] * (1.0 - at);
        right_[j] = scale[j] * at;
      }
    }
    group.begin.push_back(group.first + group.count);
    groups_.push_back(std::move(group));
  }
}

// Galerkin matrices on the hats: D with the column wires, D with the row wires, and the cells that couple them.
void CoarseMesh::assemble(const CoarseWires& wires, const Sheet& g) {
  const Index lines = g.rows();
  const Index grid = knots_ * hats_;
  const Index columns = values_.size();
  // m: columns' side, r: rows' side, couple: between them.
  Matrix m = Matrix::Zero(columns, columns), r = Matrix::Zero(grid, grid), couple = Matrix::Zero(columns, grid);
  // Column-wise sums of the weights themselves, for what is the same on every line.
  std::vector<Matrix> weight(groups_.size(), Matrix::Zero(hats_, hats_));
  Matrix all_weight = Matrix::Zero(hats_, hats_);
  for (std::size_t q = 0; q < groups_.size(); ++q) {
    for (std::size_t s = 0; s + 1 < groups_[q].begin.size(); ++s)
      for (Index j = groups_[q].begin[s]; j < groups_[q].begin[s + 1]; ++j) {
        const Index b = static_cast<Index>(s), next = std::min(b + 1, hats_ - 1);
        const double scale = left_[j] + right_[j], t = scale > 0.0 ? right_[j] / scale : 0.0;
        const auto put = [&](Matrix& to, double left, double right) {
          to(b, b) += left * left;
          if (next == b) return;
          to(next, next) += right * right;
          to(b, next) += left * right;
          to(next, b) += left * right;
        };
        put(weight[q], left_[j], right_[j]);
        put(all_weight, 1.0 - t, t);
      }
  }
  // Wire along a row: hats in the physical column.
  Matrix row_wire = Matrix::Zero(hats_, hats_);
  row_wire(0, 0) += 1.0 / wires.head_ohm;
  if (wires.both_drivers) row_wire(hats_ - 1, hats_ - 1) += 1.0 / wires.head_ohm;
  const double span = wires.row_ohm * static_cast<double>(g.cols() - 1) / static_cast<double>(std::max<Index>(hats_ - 1, 1));
  for (Index b = 0; b + 1 < hats_; ++b) {
    row_wire(b, b) += 1.0 / span;
    row_wire(b + 1, b + 1) += 1.0 / span;
    row_wire(b, b + 1) -= 1.0 / span;
    row_wire(b + 1, b) -= 1.0 / span;
  }

  // Cells: products of the patterns of the columns (own scale), of those with the rows' (hats alone), and of the rows', line by line.
  Matrix own(hats_, hats_), cross(hats_, hats_), hats(hats_, hats_);
  const double mean = g.view().mean();
  const auto add = [&](Matrix& to, Index row, Index column, double factor, const Matrix& block) {
    if (factor != 0.0) to.block(row, column, hats_, hats_) += factor * block;
  };
  for (Index k = 0; k < lines; ++k) {
    const Index a = below_[static_cast<std::size_t>(k)];
    const double scale = g.view().row(k).mean() / mean;
    // Both hats that cover this line.
    const std::array<Index, 2> at{a, std::min(a + 1, knots_ - 1)};
    const std::array<double, 2> part{1.0 - share_[k], share_[k]};
    hats = row_wire + wires.row_shunt_siemens * all_weight;
    for (std::size_t q = 0; q < groups_.size(); ++q) {
      const Group& group = groups_[q];
      own = wires.column_shunt_siemens[k] * weight[q];
      cross.setZero();
      for (std::size_t s = 0; s + 1 < group.begin.size(); ++s) {
        const Index b = static_cast<Index>(s), next = std::min(b + 1, hats_ - 1);
        std::array<double, 10> sum{};
        const double* const gk = g.row(k);
        for (Index j = group.begin[s]; j < group.begin[s + 1]; ++j) {
          const double left = left_[j], right = right_[j];
          const double current = left + right;
          const double t = current > 0.0 ? right / current : 0.0;
          const double g_left = gk[j] * (1.0 - t), g_right = gk[j] * t;
          sum[0] += gk[j] * left * left;
          sum[1] += gk[j] * left * right;
          sum[2] += gk[j] * right * right;
          sum[3] += g_left * left;
          sum[4] += g_right * left;
          sum[5] += g_left * right;
          sum[6] += g_right * right;
          sum[7] += g_left * (1.0 - t);
          sum[8] += g_left * t;
          sum[9] += g_right * t;
        }
        own(b, b) += sum[0];
        cross(b, b) += sum[3];
        hats(b, b) += sum[7];
        if (next == b) continue;
        own(next, next) += sum[2];
        own(b, next) += sum[1];
        own(next, b) += sum[1];
        cross(b, next) += sum[4];
        cross(next, b) += sum[5];
        cross(next, next) += sum[6];
        hats(next, next) += sum[9];
        hats(b, next) += sum[8];
        hats(next, b) += sum[8];
      }
      for (std::size_t x = 0; x < 2; ++x)
        for (std::size_t y = 0; y < 2; ++y) {
          add(m, unknown(q, at[x], 0), unknown(q, at[y], 0), part[x] * part[y], own);
          add(couple, unknown(q, at[x], 0), at[y] * hats_, part[x] * part[y] * scale, cross);
        }
    }
    for (std::size_t x = 0; x < 2; ++x)
      for (std::size_t y = 0; y < 2; ++y) add(r, at[x] * hats_, at[y] * hats_, part[x] * part[y] * scale * scale, hats);
  }
  // Wires along the columns, and to the senses.
  for (std::size_t q = 0; q < groups_.size(); ++q) {
    for (Index a = 0; a + 1 < knots_; ++a) {
      const double conductance = 1.0 / knot_ohm_[a];
      add(m, unknown(q, a, 0), unknown(q, a, 0), conductance, weight[q]);
      add(m, unknown(q, a + 1, 0), unknown(q, a + 1, 0), conductance, weight[q]);
      add(m, unknown(q, a, 0), unknown(q, a + 1, 0), -conductance, weight[q]);
      add(m, unknown(q, a + 1, 0), unknown(q, a, 0), -conductance, weight[q]);
    }
    const Index end = groups_[q].north ? 0 : knots_ - 1;
    add(m, unknown(q, end, 0), unknown(q, end, 0), groups_[q].end_siemens.mean(), weight[q]);  // a preconditioner may take the mean
  }

  factor_grid(m, r, couple);
}

void CoarseMesh::factor_grid(const Matrix& m, const Matrix& r, const Matrix& couple) {
  const Eigen::LLT<Eigen::MatrixXd> row_factor(r);
  const Eigen::LLT<Eigen::MatrixXd> column_factor(m);
  if (row_factor.info() != Eigen::Success || column_factor.info() != Eigen::Success) return clear();
  const Eigen::MatrixXd reached = row_factor.matrixL().solve(couple.transpose());
  Eigen::MatrixXd schur = m;
  schur.selfadjointView<Eigen::Lower>().rankUpdate(reached.transpose(), -1.0);
  const Eigen::LLT<Eigen::MatrixXd> schur_factor(schur.selfadjointView<Eigen::Lower>());
  if (schur_factor.info() != Eigen::Success) return clear();
  const auto identity = Eigen::MatrixXd::Identity(m.rows(), m.rows());
  solve_ = schur_factor.solve(identity) - column_factor.solve(identity);
}

void CoarseMesh::gather(Index k, Index first, const double* r) {
  const std::size_t q = groups_.size() > 1 && first == groups_[1].first ? 1 : 0;
  const Group& group = groups_[q];
  const Index a = knots_ > 1 ? below_[static_cast<std::size_t>(k)] : 0;
  const double right = share_[k], left = 1.0 - right;
  double* const lower = sources_.data() + unknown(q, a, 0);
  double* const upper = knots_ > 1 ? lower + hats_ : nullptr;
  for (std::size_t s = 0; s + 1 < group.begin.size(); ++s) {
    const Index begin = group.begin[s], count = group.begin[s + 1] - begin;
    const double* const value = r + (begin - first);
    const double here = dot(value, left_.data() + begin, count);
    const double next = hats_ > 1 ? dot(value, right_.data() + begin, count) : 0.0;
    lower[s] += left * here;
    if (hats_ > 1) lower[s + 1] += left * next;
    if (upper == nullptr) continue;
    upper[s] += right * here;
    if (hats_ > 1) upper[s + 1] += right * next;
  }
}

double CoarseMesh::solve() {
  values_.noalias() = solve_ * sources_;
  // Currents that the wires carry away where the hats bend.
  kinks_.setZero(values_.size());
  for (std::size_t q = 0; q < groups_.size(); ++q)
    for (Index a = 0; a + 1 < knots_; ++a) {
      const auto here = values_.segment(unknown(q, a, 0), hats_), next = values_.segment(unknown(q, a + 1, 0), hats_);
      const Vector current = (here - next) / knot_ohm_[a];
      kinks_.segment(unknown(q, a, 0), hats_) += current;
      kinks_.segment(unknown(q, a + 1, 0), hats_) -= current;
    }
  return sources_.dot(values_);
}

void CoarseMesh::expand(const double* coefficients, const Group& group, double* __restrict out) const {
  for (std::size_t s = 0; s + 1 < group.begin.size(); ++s) {
    const double here = coefficients[s];
    const double next = hats_ > 1 ? coefficients[s + 1] : 0.0;
    const double* const __restrict left = left_.data();
    const double* const __restrict right = right_.data();
    for (Index j = group.begin[s]; j < group.begin[s + 1]; ++j) out[j] = here * left[j] + next * right[j];
  }
}

void CoarseMesh::spread(Index k, double* __restrict z2) const {
  const Index a = knots_ > 1 ? below_[static_cast<std::size_t>(k)] : 0;
  const double right = share_[k];
  Vector line(hats_);
  for (std::size_t q = 0; q < groups_.size(); ++q) {
    const double* const lower = values_.data() + unknown(q, a, 0);
    for (Index b = 0; b < hats_; ++b) line[b] = knots_ > 1 ? (1.0 - right) * lower[b] + right * lower[hats_ + b] : lower[b];
    expand(line.data(), groups_[q], z2);
  }
}

void CoarseMesh::add_wire_current(Index k, const double* z2, double* __restrict wire) const {
  for (std::size_t q = 0; q < groups_.size(); ++q) {
    const Group& group = groups_[q];
    const Index end = group.north ? 0 : static_cast<Index>(below_.size()) - 1;
    if (k == end)
      for (Index j = 0; j < group.count; ++j) wire[group.first + j] += group.end_siemens[j] * z2[group.first + j];
    for (Index a = 0; a < knots_; ++a) {
      if (knot_line_[static_cast<std::size_t>(a)] != k || knots_ == 1) continue;
      Array row(1, left_.size());
      expand(kinks_.data() + unknown(q, a, 0), group, row.data());
      for (Index j = group.first; j < group.first + group.count; ++j) wire[j] += row(0, j);
    }
  }
}

}  // namespace crosstile::circuit
