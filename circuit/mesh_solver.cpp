#include "circuit/mesh_solver.hpp"

#include <algorithm>
#include <cmath>

namespace crosstile::circuit {

Array to_internal(const Crossbar& crossbar, const Eigen::Ref<const Array>& physical) {
  if (!has_internal_order(crossbar)) return physical;
  Array internal(physical.rows(), physical.cols());
  const Index* const order = crossbar.column_order.data();
  for (Index k = 0; k < physical.rows(); ++k)
    for (Index j = 0; j < physical.cols(); ++j) internal(k, j) = physical(k, order[j]);
  return internal;
}

Array to_physical(const Crossbar& crossbar, const Eigen::Ref<const Array>& internal) {
  if (!has_internal_order(crossbar)) return internal;
  Array physical(internal.rows(), internal.cols());
  const Index* const order = crossbar.column_order.data();
  for (Index k = 0; k < internal.rows(); ++k)
    for (Index j = 0; j < internal.cols(); ++j) physical(k, order[j]) = internal(k, j);
  return physical;
}

MeshSolver::MeshSolver(const Crossbar& crossbar)
    : crossbar_(crossbar),
      has_rows_(!crossbar.tile.ideal_supply()),
      has_columns_(crossbar.tile.r_col_ohm > 0.0 || crossbar.tile.r_sense_ohm > 0.0),
      position_(crossbar.column_order.size()) {
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

ChainWires MeshSolver::column_wires(bool north) const {
  const Index count = static_cast<Index>(lines_.size());
  const auto row = [&](Index k) { return crossbar_.row_of_line(lines_[static_cast<std::size_t>(k)]); };
  ChainWires wires;
  wires.ground_at_first = north;
  wires.gap_ohm.resize(count);
  for (Index k = 0; k < count; ++k) {
    const Index next = north ? k - 1 : k + 1;
    wires.gap_ohm[k] = next >= 0 && next < count ? distance_ohm(row(k), row(next)) : sense_distance_ohm(row(k), north);
  }
  return wires;
}

ChainWires MeshSolver::row_wires() const {
  const data::TileSpec& tile = crossbar_.tile;
  ChainWires wires;
  wires.ground_at_first = true;
  wires.gap_ohm.setConstant(tile.cols, tile.r_row_ohm);
  wires.gap_ohm[0] += tile.r_driver_ohm;
  if (tile.drivers == data::DriverEnds::both) wires.far_shunt_siemens = 1.0 / (tile.r_row_ohm + tile.r_driver_ohm);
  return wires;
}

void MeshSolver::factor_columns(const Eigen::Ref<const Array>& diagonal, const Vector& sense_extra_ohm) {
  const Index south = crossbar_.south_columns;
  const Index north = crossbar_.cols() - south;
  const bool extra = sense_extra_ohm.size() > 0;
  if (south > 0) south_.factor(column_wires(false), diagonal.leftCols(south), extra ? Vector(sense_extra_ohm.head(south)) : Vector());
  if (north > 0) north_.factor(column_wires(true), diagonal.rightCols(north), extra ? Vector(sense_extra_ohm.tail(north)) : Vector());
}

void MeshSolver::factor_rows(double shunt_siemens) {
  rows_.factor(row_wires(), g_, shunt_siemens, position_);
  lanes_ = rows_.make_buffer();
}

void MeshSolver::factor(const std::vector<Index>& lines, const Array& g, const Shunts& shunts) {
  lines_ = lines;
  g_.resize(g.rows(), g.cols());
  g_.view() = g;
  factor_wires(shunts);
}

void MeshSolver::factor_lines(const std::vector<Index>& lines, const Array& all) {
  lines_ = lines;
  g_.resize(static_cast<Index>(lines.size()), all.cols());
  for (Index k = 0; k < g_.rows(); ++k) {
    const double* const from = all.data() + lines[static_cast<std::size_t>(k)] * all.cols();
    std::copy(from, from + all.cols(), g_.row(k));
  }
  factor_wires(Shunts{});
}

double MeshSolver::largest_drive_ampere(const Vector& line_volt) const {
  double most = 0.0;
  for (Index k = 0; k < g_.rows(); ++k) most = larger(most, std::abs(line_volt[k]) * largest(g_.row(k), g_.cols()));
  return most;
}

void MeshSolver::factor_wires(const Shunts& shunts) {
  shunts_ = shunts;
  extra_ = shunts.sense_extra_ohm.size() > 0;
  swept_ = false;
  coarse_.clear();
  if (lines_.empty()) return;
  if (has_rows_) factor_rows(shunts.row_siemens);
  if (!has_columns_ && !extra_) return;
  if (shunts.column_siemens == 0.0) {
    factor_columns(g_.view(), shunts.sense_extra_ohm);
  } else {
    Array diagonal = g_.view();
    for (Index k = 0; k < g_.rows(); ++k) diagonal.row(k) += diagonal_shunt(k);
    factor_columns(diagonal, shunts.sense_extra_ohm);
  }
  if (has_rows_ && coarse_allowed_) factor_coarse();
}

// Shunt to ground at the column node of line k: once per physical row.
double MeshSolver::diagonal_shunt(Index k) const {
  return lines_[static_cast<std::size_t>(k)] % crossbar_.lines_per_row == 0 ? shunts_.column_siemens : 0.0;
}

void MeshSolver::factor_coarse() {
  const data::TileSpec& tile = crossbar_.tile;
  const Index south = crossbar_.south_columns, north = crossbar_.cols() - south;
  CoarseWires wires;
  wires.line_ohm.resize(g_.rows());
  wires.column_shunt_siemens.resize(g_.rows());
  const auto row = [&](Index k) { return crossbar_.row_of_line(lines_[static_cast<std::size_t>(k)]); };
  for (Index k = 0; k < g_.rows(); ++k) {
    wires.line_ohm[k] = static_cast<double>(row(k)) * tile.r_col_ohm;
    wires.column_shunt_siemens[k] = diagonal_shunt(k);
  }
  wires.south_end_ohm.setConstant(south, sense_distance_ohm(row(g_.rows() - 1), false));
  wires.north_end_ohm.setConstant(north, sense_distance_ohm(row(0), true));
  if (extra_) {
    wires.south_end_ohm += shunts_.sense_extra_ohm.head(south);
    wires.north_end_ohm += shunts_.sense_extra_ohm.tail(north);
  }
  wires.row_ohm = tile.r_row_ohm;
  wires.head_ohm = tile.r_row_ohm + tile.r_driver_ohm;
  wires.both_drivers = tile.drivers == data::DriverEnds::both;
  wires.row_shunt_siemens = shunts_.row_siemens;
  const bool grounded = (south == 0 || wires.south_end_ohm.minCoeff() > 0.0) && (north == 0 || wires.north_end_ohm.minCoeff() > 0.0);
  if (grounded) coarse_.factor(wires, g_, position_);
}

namespace {

// Right-hand sides of the rows and of the columns: arrays, or drive voltages on the cells. Each writes b - G v of one line, columns
// first .. first + count - 1 (v may be null: 0).
struct ArraySource {
  const Array& row_array;
  const Array& column_array;
  const Sheet& g;
  void row(Index k, const double* __restrict v, double* __restrict out) const { put(row_array, k, 0, g.cols(), v, out); }
  void column(Index k, Index first, Index count, double* __restrict out) const { put(column_array, k, first, count, nullptr, out); }
  bool silent() const { return (row_array == 0.0).all() && (column_array == 0.0).all(); }

 private:
  void put(const Array& array, Index k, Index first, Index count, const double* __restrict v, double* __restrict out) const {
    const double* const __restrict b = array.data() + k * array.cols() + first;
    const double* const __restrict gk = g.row(k) + first;
    if (v == nullptr) std::copy(b, b + count, out);
    else
      for (Index j = 0; j < count; ++j) out[j] = b[j] - gk[j] * v[j];
  }
};
struct DriveSource {
  const Vector& volt;
  const Sheet& g;
  void row(Index k, const double* __restrict v, double* __restrict out) const {
    const double* const __restrict gk = g.row(k);
    const double drive = volt[k];
    for (Index j = 0; j < g.cols(); ++j) out[j] = gk[j] * (drive - v[j]);
  }
  void column(Index k, Index first, Index count, double* __restrict out) const {
    const double* const __restrict gk = g.row(k) + first;
    const double drive = volt[k];
    for (Index j = 0; j < count; ++j) out[j] = gk[j] * drive;
  }
  bool silent() const { return volt.isZero(0.0); }
};

// One row of an iteration: r <- r - step q, c <- c + step p, and r also where q stood. Returns the largest |r|.
struct IterationRow {
  double* r;
  double* c;
  const double* p;
  double* q;
};
double advance(const IterationRow& row, double step, Index count) {
  double* const __restrict r = row.r;
  double* const __restrict c = row.c;
  const double* const __restrict p = row.p;
  double* const __restrict q = row.q;
  Lanes4 most{};
  Index j = 0;
  for (; j + 4 <= count; j += 4) {
    const Lanes4 next = load<Lanes4>(r + j) - step * load<Lanes4>(q + j);
    const Lanes4 volt = load<Lanes4>(c + j) + step * load<Lanes4>(p + j);
    take_size(most, next);
    store(r + j, next);
    store(q + j, next);
    store(c + j, volt);
  }
  double worst = largest(most);
  for (; j < count; ++j) {
    r[j] -= step * q[j];
    q[j] = r[j];
    c[j] += step * p[j];
    worst = larger(worst, std::abs(r[j]));
  }
  return worst;
}

void add_product(double* __restrict out, const double* __restrict a, const double* __restrict b, Index count) {
  for (Index j = 0; j < count; ++j) out[j] += a[j] * b[j];
}

}  // namespace

// Calls use(chains, first column, columns) for those sensed south and for those sensed north.
template <typename Use>
void MeshSolver::for_each_group(const Use& use) const {
  const Index south = crossbar_.south_columns;
  const Index north = crossbar_.cols() - south;
  if (south > 0) use(south_, Index{0}, south);
  if (north > 0) use(north_, south, north);
}

// e = (T_r + G + S_r)^-1 (b - G c).
template <typename Source>
void MeshSolver::solve_rows(const Source& source, const Array& c, Array& e) {
  const Index cols = g_.cols();
  e.resize(g_.rows(), cols);
  rows_.solve(
      lanes_.data(), [&](Index k, double* out) { source.row(k, c.data() + k * cols, out); },
      [&](Index k, const double* volt) { std::copy(volt, volt + cols, e.data() + k * cols); });
}

// One Gauss-Seidel sweep from the guess; after it the residual is known without applying T_c (exact for r_col = 0 too).
// Returns the largest residual.
template <typename Source>
double MeshSolver::first_sweep(const Source& source, Array& c) {
  const Index cols = g_.cols();
  image_.resize(g_.rows(), cols);
  residual_.resize(g_.rows(), cols);
  const auto row_source = [&](Index k, double* out) { source.row(k, c.data() + k * cols, out); };
  rows_.solve(lanes_.data(), row_source, [&](Index k, const double* __restrict volt) {
    const double* const __restrict g = g_.row(k);
    double* const __restrict current = residual_.row(k);
    for (Index j = 0; j < cols; ++j) current[j] = g[j] * volt[j];
  });
  for_each_group([&](const Chains& chains, Index first, Index count) {
    auto part = c.middleCols(first, count);
    chains.eliminate(part, [&](Index k, double* __restrict out) {
      source.column(k, first, count, out);
      const double* const __restrict current = residual_.row(k) + first;
      for (Index j = 0; j < count; ++j) out[j] -= current[j];
    });
    chains.substitute(part, [](Index, const double*) {});
  });
  double worst = 0.0;
  rows_.solve(lanes_.data(), row_source, [&](Index k, const double* __restrict volt) {
    const double* const __restrict g = g_.row(k);
    double* const __restrict r = residual_.row(k);
    for (Index j = 0; j < cols; ++j) r[j] -= g[j] * volt[j];
    worst = larger(worst, largest(r, cols));
  });
  return worst;
}

// r <- r - step S p and c <- c + step p on the way into z = M^-1 r (left in image_, where S p stood). Returns r . z; `worst`: largest residual.
double MeshSolver::precondition(double step, Array& c, double& worst) {
  double product = 0.0;
  worst = 0.0;
  const bool coarse = coarse_.active();
  if (coarse) coarse_.begin();
  for_each_group([&](const Chains& chains, Index first, Index count) {
    auto part = image_.view().middleCols(first, count);
    chains.eliminate_with(part, [&](Index k, double* out, const double* share, const double* before) {
      double* const r = residual_.row(k) + first;
      if (step == 0.0) std::copy(r, r + count, out);
      else worst = larger(worst, advance({r, c.data() + k * c.cols() + first, direction_.row(k) + first, out}, step, count));
      if (step == 0.0) worst = larger(worst, largest(r, count));
      if (coarse) coarse_.gather(k, first, r);
      if (share != nullptr) add_product(out, share, before, count);
    });
    chains.substitute(part, [&](Index k, const double* z) { product += dot(residual_.row(k) + first, z, count); });
  });
  if (coarse) product += coarse_.solve();
  return product;
}

// One pass over the rows: p <- z + beta p (z stands in image_), M p <- r + beta M p, image <- S p = M p - G (T_r + G)^-1 G p.
// Returns p . S p.
double MeshSolver::apply_schur(double beta) {
  const Index cols = g_.cols();
  double product = 0.0;
  smooth_.resize(3, cols);
  rows_.solve(
      lanes_.data(),
      [&](Index k, double* __restrict out) {
        const double* __restrict z = image_.row(k);
        const double* __restrict r = residual_.row(k);
        const double* const __restrict g = g_.row(k);
        if (coarse_.active()) {  // z gets its smooth part, and r (= M z so far) what M makes of it
          double* const __restrict smooth = smooth_.row(0);
          double* const __restrict z_sum = smooth_.row(1);
          double* const __restrict r_sum = smooth_.row(2);
          const double shunt = diagonal_shunt(k);
          coarse_.spread(k, smooth);
          for (Index j = 0; j < cols; ++j) z_sum[j] = z[j] + smooth[j];
          for (Index j = 0; j < cols; ++j) r_sum[j] = r[j] + (g[j] + shunt) * smooth[j];
          coarse_.add_wire_current(k, smooth, r_sum);
          z = z_sum;
          r = r_sum;
        }
        double* const __restrict p = direction_.row(k);
        double* const __restrict applied = applied_.row(k);
        if (beta == 0.0) {
          std::copy(z, z + cols, p);
          std::copy(r, r + cols, applied);
          for (Index j = 0; j < cols; ++j) out[j] = g[j] * p[j];
        } else {
          for (Index j = 0; j < cols; ++j) applied[j] = r[j] + beta * applied[j];
          for (Index j = 0; j < cols; ++j) {
            p[j] = z[j] + beta * p[j];
            out[j] = g[j] * p[j];
          }
        }
      },
      [&](Index k, const double* __restrict volt) {
        const double* const __restrict g = g_.row(k);
        const double* const __restrict applied = applied_.row(k);
        double* const __restrict image = image_.row(k);
        for (Index j = 0; j < cols; ++j) image[j] = applied[j] - g[j] * volt[j];
        product += dot(direction_.row(k), image, cols);
      });
  return product;
}

template <typename Source>
LinearReport MeshSolver::solve_from(const Source& source, Array* e, Array& c, double tolerance_ampere, int max_iterations) {
  LinearReport report;
  const Index rows = g_.rows(), cols = g_.cols();
  if (e != nullptr) e->resize(rows, cols);
  if (c.rows() != rows || c.cols() != cols) c.setZero(rows, cols);
  swept_ = false;
  step_lengths_.clear();
  direction_ratios_.clear();
  if (lines_.empty()) return report;
  if (source.silent()) {  // any tolerance relative to the sources would be 0
    if (e != nullptr) e->setZero();
    c.setZero();
    return report;
  }
  const bool columns = has_columns_ || extra_;
  if (!columns) c.setZero();
  if (!has_rows_) {
    if (e != nullptr) e->setZero();
    if (!columns) return report;
    for_each_group([&](const Chains& chains, Index first, Index count) {
      auto part = c.middleCols(first, count);
      chains.eliminate(part, [&](Index k, double* out) { source.column(k, first, count, out); });
      chains.substitute(part, [](Index, const double*) {});
    });
    return report;
  }
  if (columns) {
    swept_ = true;
    report.residual_ampere = first_sweep(source, c);
    // Conjugate gradients on the Schur complement, preconditioned by the column chains M. M p is carried along, so T_c is never applied.
    direction_.resize(rows, cols);
    applied_.resize(rows, cols);
    double rho = 0.0, step = 0.0;
    while (report.residual_ampere > tolerance_ampere || !std::isfinite(report.residual_ampere)) {
      if (report.iterations >= max_iterations || !std::isfinite(report.residual_ampere)) {
        report.converged = false;
        break;
      }
      const double rho_before = rho;
      rho = precondition(step, c, report.residual_ampere);
      if (!std::isfinite(rho)) report.residual_ampere = rho;  // the largest residual passes NaN over
      if (report.residual_ampere <= tolerance_ampere) break;
      const double ratio = rho_before > 0.0 ? rho / rho_before : 0.0;
      step = rho / apply_schur(ratio);
      ++report.iterations;
      if (coarse_.active()) continue;
      step_lengths_.push_back(step);
      direction_ratios_.push_back(ratio);
    }
  }
  if (e != nullptr) solve_rows(source, c, *e);
  return report;
}

LinearReport MeshSolver::solve(const Array& b_row, const Array& b_column, Array& e, Array& c, double tolerance_ampere, int max_iterations) {
  return solve_from(ArraySource{b_row, b_column, g_}, &e, c, tolerance_ampere, max_iterations);
}

LinearReport MeshSolver::solve_columns(const Array& b_row, const Array& b_column, Array* e, Array& c, double tolerance_ampere,
                                       int max_iterations) {
  return solve_from(ArraySource{b_row, b_column, g_}, e, c, tolerance_ampere, max_iterations);
}

LinearReport MeshSolver::solve_drive(const Vector& line_volt, Array& e, Array& c, double tolerance_ampere, int max_iterations) {
  return solve_from(DriveSource{line_volt, g_}, &e, c, tolerance_ampere, max_iterations);
}

LinearReport MeshSolver::solve_drive_columns(const Vector& line_volt, Array& c, double tolerance_ampere, int max_iterations) {
  return solve_from(DriveSource{line_volt, g_}, nullptr, c, tolerance_ampere, max_iterations);
}

bool MeshSolver::senses_by_voltage() const {
  const data::TileSpec& tile = crossbar_.tile;
  return !extra_ && tile.sense_segment * tile.r_col_ohm + tile.r_sense_ohm > 0.0;
}

Vector MeshSolver::sense_current(const Array& c) const {
  Vector current = Vector::Zero(crossbar_.cols());
  const Index last = static_cast<Index>(lines_.size()) - 1;
  if (last < 0) return current;
  const auto row = [&](Index k) { return crossbar_.row_of_line(lines_[static_cast<std::size_t>(k)]); };
  for_each_group([&](const Chains&, Index first, Index count) {
    const bool north = first >= crossbar_.south_columns;
    const Index k = north ? 0 : last;
    current.segment(first, count) = c.row(k).segment(first, count).matrix().transpose() / sense_distance_ohm(row(k), north);
  });
  return current;
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
