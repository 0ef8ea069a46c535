#include "circuit/strip_modes.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "circuit/lanes.hpp"

namespace crosstile::circuit {

namespace {

using strip_kernels::kStrip;
constexpr double kFirm = 1e-10;  // where fewer rows conduct than there are hats

void make_firm(Eigen::MatrixXd& matrix) {
  matrix.diagonal().array() += kFirm * matrix.diagonal().maxCoeff();
}

}  // namespace

Index StripModes::hats_for(double electrical_length, const Hats& hats) {
  if (!(electrical_length > 0.0)) return 1;
  const double wanted =
      std::min(std::ceil(hats.per_length * electrical_length) + 1.0, static_cast<double>(hats.most));
  return std::max(static_cast<Index>(wanted), hats.fewest);
}

void StripModes::choose(const std::vector<StripGroup>& groups, const std::vector<Index>& physical,
                        const Rows& rows, Index across, Index along) {
  strips_ = static_cast<Index>(physical.size()) / kStrip;
  Index cols = 0;
  for (const Index p : physical) cols = std::max(cols, p + 1);
  across_ = rows.ohm > 0.0 ? std::min(across, std::max<Index>(1, cols / 2)) : 1;
  along_wanted_ = along;

  // Hats in the physical column, straight within a strip.
  const auto hat = [&](Index b, Index place) {
    if (across_ == 1) return 1.0;
    const double at = static_cast<double>(place * (across_ - 1)) / static_cast<double>(cols - 1);
    return std::max(0.0, 1.0 - std::abs(at - static_cast<double>(b)));
  };
  hat_.assign(static_cast<std::size_t>(across_ * strips_ * 2), 0.0);
  Matrix sampled = Matrix::Zero(cols, across_);  // physical columns
  mass_.assign(groups.size(), Matrix::Zero(across_, across_));
  for (std::size_t q = 0; q < groups.size(); ++q)
    for (Index t = groups[q].first_strip; t < groups[q].first_strip + groups[q].strips; ++t) {
      const Index* const place = physical.data() + t * kStrip;
      Index count = 0;
      while (count < kStrip && place[count] >= 0) ++count;
      for (Index b = 0; b < across_; ++b) {
        const double first = hat(b, place[0]), last = hat(b, place[count - 1]);
        const double slope = count > 1 ? (last - first) / static_cast<double>(count - 1) : 0.0;
        hat_[static_cast<std::size_t>((b * strips_ + t) * 2)] = first;
        hat_[static_cast<std::size_t>((b * strips_ + t) * 2 + 1)] = slope;
        for (Index j = 0; j < count; ++j) sampled(place[j], b) = first + slope * static_cast<double>(j);
      }
      for (Index j = 0; j < count; ++j) mass_[q] += sampled.row(place[j]).transpose() * sampled.row(place[j]);
    }
  row_wire_ = sampled.row(0).transpose() * sampled.row(0) / rows.head_ohm;
  if (rows.both_drivers)
    row_wire_ += sampled.row(cols - 1).transpose() * sampled.row(cols - 1) / rows.head_ohm;
  if (rows.ohm > 0.0)
    for (Index j = 0; j + 1 < cols; ++j) {
      const Matrix step = sampled.row(j + 1) - sampled.row(j);
      row_wire_ += step.transpose() * step / rows.ohm;
    }
}

void StripModes::place_slots(const std::vector<Index>& rows) {
  const auto [least, most] = std::minmax_element(rows.begin(), rows.end());
  along_ = std::min(along_wanted_, std::max<Index>(1, (*most - *least) / 2));
  weight_.assign(rows.size(), Weight{});
  for (std::size_t s = 0; s < rows.size() && along_ > 1; ++s) {
    const double at =
        static_cast<double>((rows[s] - *least) * (along_ - 1)) / static_cast<double>(*most - *least);
    weight_[s].knot = std::min(static_cast<Index>(at), along_ - 2);
    weight_[s].share = at - static_cast<double>(weight_[s].knot);
  }
  conductance_.assign(rows.size() * static_cast<std::size_t>(strips_ * 3), 0.0);
}

void StripModes::add_conductances(Index slot, Index strip, const double* g) {
  double* const moments = conductance_.data() + (slot * strips_ + strip) * 3;
  Lanes4 sums[3] = {};
  Lanes4 place{0.0, 1.0, 2.0, 3.0};
  for (Index j = 0; j < kStrip; j += 4) {
    const Lanes4 value = load<Lanes4>(g + j);
    sums[0] += value;
    sums[1] += value * place;
    sums[2] += value * place * place;
    place += 4.0;
  }
  for (Index m = 0; m < 3; ++m) moments[m] = sum(sums[m]);
}

bool StripModes::factor(const std::vector<StripGroup>& groups) {
  const Index size = unknowns();
  Eigen::MatrixXd rows = Eigen::MatrixXd::Zero(size, size);
  couple_.assign(groups.size(), Eigen::MatrixXd::Zero(size, size));
  column_factor_.resize(groups.size());
  const auto neighbours = [&](Index slot) {
    const Weight& w = weight_[static_cast<std::size_t>(slot)];
    return std::array<std::pair<Index, double>, 2>{
        {{w.knot, 1.0 - w.share}, {std::min(w.knot + 1, along_ - 1), w.share}}};
  };
  const auto block = [&](Eigen::MatrixXd& to, Index a, Index b) {
    return to.block(a * across_, b * across_, across_, across_);
  };
  // Wires of the rows: the same pattern for every slot.
  Eigen::MatrixXd row_mass = Eigen::MatrixXd::Zero(along_, along_);
  for (const Index s : groups.front().order)
    for (const auto& [a, wa] : neighbours(s))
      for (const auto& [b, wb] : neighbours(s)) row_mass(a, b) += wa * wb;
  for (Index a = 0; a < along_; ++a)
    for (Index b = 0; b < along_; ++b)
      if (row_mass(a, b) != 0.0) block(rows, a, b) += row_mass(a, b) * row_wire_;

  const auto per_slot = static_cast<std::size_t>(strips_ * 3);
  std::vector<double> sums(static_cast<std::size_t>(along_ * 2) * per_slot);
  for (std::size_t q = 0; q < groups.size(); ++q) {
    const StripGroup& group = groups[q];
    // Cells: moments of a knot with itself and with the next one, then their products of two hats along the
    // rows.
    std::fill(sums.begin(), sums.end(), 0.0);
    std::vector<double> last(per_slot * static_cast<std::size_t>(along_), 0.0);
    const Index begin = group.first_strip * 3, end = (group.first_strip + group.strips) * 3;
    for (const Index s : group.order) {
      const Weight& w = weight_[static_cast<std::size_t>(s)];
      const double far = 1.0 - w.share, near = w.share;
      const double* const __restrict from = conductance_.data() + s * strips_ * 3;
      double* const __restrict own = sums.data() + static_cast<std::size_t>(w.knot * 2) * per_slot;
      double* const __restrict cross = own + per_slot;
      for (Index m = begin; m < end; ++m) {
        own[m] += far * far * from[m];
        cross[m] += far * near * from[m];
      }
      if (along_ == 1) continue;
      double* const __restrict next = own + 2 * per_slot;
      for (Index m = begin; m < end; ++m) next[m] += near * near * from[m];
    }
    const auto product = [&](const double* moments) {
      Eigen::MatrixXd out = Eigen::MatrixXd::Zero(across_, across_);
      for (Index t = group.first_strip; t < group.first_strip + group.strips; ++t)
        for (Index b = 0; b < across_; ++b) {
          const double* const hb = hat_.data() + (b * strips_ + t) * 2;
          if (hb[0] == 0.0 && hb[1] == 0.0) continue;
          for (Index d = 0; d < across_; ++d) {
            const double* const hd = hat_.data() + (d * strips_ + t) * 2;
            const double* const m = moments + t * 3;
            out(b, d) += hb[0] * hd[0] * m[0] + (hb[0] * hd[1] + hb[1] * hd[0]) * m[1] + hb[1] * hd[1] * m[2];
          }
        }
      return out;
    };
    Eigen::MatrixXd& couple = couple_[q];
    for (Index a = 0; a < along_; ++a) {
      block(couple, a, a) = product(sums.data() + static_cast<std::size_t>(a * 2) * per_slot);
      if (a + 1 == along_) continue;
      block(couple, a, a + 1) = product(sums.data() + static_cast<std::size_t>(a * 2 + 1) * per_slot);
      block(couple, a + 1, a) = block(couple, a, a + 1);
    }
    rows += couple;
    // Wires of the columns.
    Eigen::MatrixXd wire = Eigen::MatrixXd::Zero(along_, along_);
    for (std::size_t k = 0; k < group.order.size(); ++k) {
      Eigen::VectorXd step = Eigen::VectorXd::Zero(along_);
      for (const auto& [a, wa] : neighbours(group.order[k])) step[a] += wa;
      if (k + 1 < group.order.size())
        for (const auto& [a, wa] : neighbours(group.order[k + 1])) step[a] -= wa;
      if (!step.isZero(0.0)) wire += step * step.transpose() / group.ohm[k];
    }
    Eigen::MatrixXd columns = couple;
    for (Index a = 0; a < along_; ++a)
      for (Index b = 0; b < along_; ++b)
        if (wire(a, b) != 0.0) block(columns, a, b) += wire(a, b) * mass_[q];
    if (!columns.allFinite()) return false;
    make_firm(columns);
    column_factor_[q].compute(columns);
    if (column_factor_[q].info() != Eigen::Success) return false;
    const Eigen::MatrixXd reached = column_factor_[q].matrixL().solve(couple);
    rows.noalias() -= reached.transpose() * reached;
  }
  if (!rows.allFinite()) return false;
  make_firm(rows);
  row_factor_.compute(rows);
  return row_factor_.info() == Eigen::Success;
}

void StripModes::gather(Index slot, Index first_strip, Index strips, const double* moments, double factor,
                        double* out) const {
  const Weight& w = weight_[static_cast<std::size_t>(slot)];
  for (Index b = 0; b < across_; ++b) {
    double sum = 0.0;
    const double* const hats = hat_.data() + b * strips_ * 2;
    for (Index m = 2 * first_strip; m < 2 * (first_strip + strips); ++m) sum += hats[m] * moments[m];
    out[w.knot * across_ + b] += factor * (1.0 - w.share) * sum;
    if (along_ > 1) out[(w.knot + 1) * across_ + b] += factor * w.share * sum;
  }
}

void StripModes::add_to_knots(Index slot, const double* moments, std::vector<double>& knots) const {
  const Weight& w = weight_[static_cast<std::size_t>(slot)];
  const Index width = 2 * strips_;
  const double far = 1.0 - w.share, near = w.share;
  const double* const __restrict from = moments;
  double* const __restrict first = knots.data() + w.knot * width;
  for (Index m = 0; m < width; ++m) first[m] += far * from[m];
  if (along_ == 1) return;
  double* const __restrict second = first + width;
  for (Index m = 0; m < width; ++m) second[m] += near * from[m];
}

void StripModes::gather_knots(const std::vector<double>& knots, Index first_strip, Index strips,
                              double* out) const {
  for (Index a = 0; a < along_; ++a)
    for (Index b = 0; b < across_; ++b) {
      const double* const hats = hat_.data() + b * strips_ * 2;
      const double* const sums = knots.data() + a * strips_ * 2;
      for (Index m = 2 * first_strip; m < 2 * (first_strip + strips); ++m)
        out[a * across_ + b] += hats[m] * sums[m];
    }
}

void StripModes::gather_conductances(Index slot, Index first_strip, Index strips, double factor,
                                     double* out) const {
  std::vector<double> moments(static_cast<std::size_t>(strips_ * 2));
  const double* const from = conductance_.data() + slot * strips_ * 3;
  for (Index t = 0; t < strips_; ++t) {
    moments[static_cast<std::size_t>(2 * t)] = from[3 * t];
    moments[static_cast<std::size_t>(2 * t + 1)] = from[3 * t + 1];
  }
  gather(slot, first_strip, strips, moments.data(), factor, out);
}

Vector StripModes::solve(const Vector& rows, const Vector& columns) const {
  Eigen::VectorXd source = rows;
  for (Index q = 0; q < groups(); ++q) {
    const auto at = static_cast<std::size_t>(q);
    source.noalias() -= couple_[at] * column_factor_[at].solve(columns.segment(q * unknowns(), unknowns()));
  }
  return row_factor_.solve(source);
}

Vector StripModes::column_volts(const Vector& columns, const Vector& drops) const {
  Vector volts(columns.size());
  for (Index q = 0; q < groups(); ++q) {
    const auto at = static_cast<std::size_t>(q);
    volts.segment(q * unknowns(), unknowns()) = column_factor_[at].solve(
        columns.segment(q * unknowns(), unknowns()) - couple_[at].transpose() * drops);
  }
  return volts;
}

void StripModes::expand(const double* smooth, Index first, Index strips, const std::vector<Index>& slots,
                        std::vector<double>& out) const {
  // At the knots, then between them.
  const Index width = 2 * strips;
  std::vector<double> knots(static_cast<std::size_t>(width * along_), 0.0);
  for (Index a = 0; a < along_; ++a)
    for (Index b = 0; b < across_; ++b) {
      const double* const hats = hat_.data() + (b * strips_ + first) * 2;
      for (Index m = 0; m < width; ++m)
        knots[static_cast<std::size_t>(a * width + m)] += smooth[a * across_ + b] * hats[m];
    }
  for (const Index s : slots) {
    const Weight& w = weight_[static_cast<std::size_t>(s)];
    const double* const __restrict far = knots.data() + w.knot * width;
    const double* const __restrict near = along_ > 1 ? far + width : far;
    double* const __restrict to = out.data() + (s * strips_ + first) * 2;
    for (Index m = 0; m < width; ++m) to[m] = (1.0 - w.share) * far[m] + w.share * near[m];
  }
}

}  // namespace crosstile::circuit
