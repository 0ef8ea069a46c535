#include "tilemodel/closure.hpp"

#include <algorithm>
#include <cmath>

namespace crosstile::tilemodel {

namespace {

Matrix by_position(const Matrix& g, const ColumnGroup& group) {
  Matrix out(g.rows(), static_cast<Index>(group.columns.size()));
  for (Index i = 0; i < g.rows(); ++i)
    for (Index c = 0; c < out.cols(); ++c)
      out(i, c) = g(group.row(i, g.rows()), group.columns[static_cast<std::size_t>(c)]);
  return out;
}

// Part of level m during which a pulse of `length` levels is on.
double on_share(double length, Index m) {
  return std::clamp(length - static_cast<double>(m), 0.0, 1.0);
}

// The bins end where the ideal charge still to come is ((T' - k) / T')^2 of the whole: finer towards the end, where
// few rows are left and their composition differs most from the mean.
void choose_bins(const Vector& charge_of_level, int bins, Eigen::VectorXi& bin) {
  const double total = charge_of_level.sum();
  double before = 0.0;
  for (Index m = 0; m < bin.size(); ++m) {
    const double middle = before + 0.5 * charge_of_level[m];
    const double left = total > 0.0 ? std::max(0.0, 1.0 - middle / total) : 0.0;
    bin[m] = std::min(bins - 1, static_cast<int>(bins * (1.0 - std::sqrt(left))));
    before += charge_of_level[m];
  }
}

}  // namespace

ClosureShape::ClosureShape(const ColumnWire& wire, Index tile_rows, Index block_rows, int time_bins)
    : rows(tile_rows),
      length(std::min(block_rows, tile_rows)),
      blocks((tile_rows + length - 1) / length),
      padding(blocks * length - tile_rows),
      bins(time_bins),
      cell_ohm(wire.cell_ohm),
      end_cells(wire.end_cells) {
  const auto l = static_cast<double>(length);
  block_ohm = wire.cell_ohm * l;
  end_ohm = wire.cell_ohm * 0.5 * (l - 1.0) + wire.end_ohm;
  spread_ohm = wire.cell_ohm * (l * l - 1.0) / (6.0 * l);
}

Levels::Levels(int longest_code) {
  const int slots = std::max(1, longest_code - 1);
  width = (slots + kClosureLevels - 1) / kClosureLevels;
  count = (slots + width - 1) / width;
  first = slots - width * (count - 1);
}

Closure::Closure(const ColumnWire& wire, const Matrix& g, const ColumnGroup& group, const MeshLoad* mesh,
                 const Settings& settings)
    : shape_(wire, g.rows(), settings.block_rows, settings.bins) {
  const Matrix own = by_position(g, group);
  clusters_ = cluster_columns(own, shape_.length, settings.references);
  delta_ = Matrix::Zero(shape_.positions(), own.cols());
  for (std::size_t k = 0; k < clusters_.members.size(); ++k) {
    const auto centre = clusters_.centre.row(static_cast<Index>(k)).transpose();
    reference_.emplace_back(Vector::Zero(shape_.positions()));
    reference_.back().tail(shape_.rows) = centre;
    for (const Index j : clusters_.members[k]) delta_.col(j).tail(shape_.rows) = own.col(j) - centre;
  }
  if (mesh) choose_mesh(*mesh, own, group, settings.mesh_factor);
}

// q_bj: current that differing columns add to a block's cells, per volt of the reference column's drop, over the
// block's conductance.
void Closure::choose_mesh(const MeshLoad& load, const Matrix& own, const ColumnGroup& group, double factor) {
  const Matrix current = by_position(load.current, group), drop = by_position(load.drop, group);
  mesh_.setZero(shape_.blocks, own.cols());
  for (const auto& members : clusters_.members) {
    Vector mean_drop = Vector::Zero(shape_.rows);
    for (const Index j : members) mean_drop += drop.col(j) / static_cast<double>(members.size());
    for (const Index j : members) {
      Vector conductance = Vector::Zero(shape_.blocks);
      for (Index p = 0; p < shape_.rows; ++p) {
        const Index b = (p + shape_.padding) / shape_.length;
        if (mean_drop[p] > 0.0) mesh_(b, j) += factor * current(p, j) / mean_drop[p];
        conductance[b] += own(p, j);
      }
      for (Index b = 0; b < shape_.blocks; ++b)
        mesh_(b, j) = conductance[b] > 0.0 ? mesh_(b, j) / conductance[b] : 0.0;
    }
  }
}

double Closure::largest_ratio() const {
  double largest = 1.0;
  for (const Vector& g : reference_) {
    double u = 1.0, current = 0.0;
    for (Index b = 0; b < shape_.blocks; ++b) {
      const double a = g.segment(b * shape_.length, shape_.length).sum();
      current += a * (1.0 + shape_.spread_ohm * a) * u;
      u += shape_.wire_ohm(b) * current;
    }
    if (!(u <= largest)) largest = u;
  }
  return largest;
}

// How far a block's current falls within a level, as its neighbours tell.
double Closure::fall(const ReferenceColumn& column, Index block, Index level) const {
  const Index before = std::max<Index>(level - 1, 0), after = std::min(level + 1, column.a.cols() - 1);
  if (before == after) return 0.0;
  return (column.current(block, before) - column.current(block, after)) / static_cast<double>(after - before);
}

void Closure::follow_reference(const double* lengths, const Levels& levels, std::size_t cluster,
                               ReferenceColumn& out) const {
  const ClosureShape& s = shape_;
  const Vector& g = reference_[cluster];

  out.a.setZero(s.blocks, levels.count);
  out.ideal.setZero(levels.count);
  for (Index i = s.padding; i < s.positions(); ++i)
    for (Index m = 0; m < levels.count; ++m) {
      const double part = g[i] * on_share(levels.place(lengths[i - s.padding]), m);
      out.a(i / s.length, m) += part;
      out.ideal[m] += levels.duration(m) * part;
    }

  // The ladder over blocks with 1 V at the sense: conductance of all blocks so far (kept in `current`), then
  // voltages from the sense backwards.
  out.u.resize(s.blocks + 1, levels.count);
  out.current.resize(s.blocks, levels.count);
  out.d.resize(s.blocks, levels.count);
  out.charge = 0.0;
  for (Index m = 0; m < levels.count; ++m) {
    double far = 0.0;
    for (Index b = 0; b < s.blocks; ++b) {
      const double a = out.a(b, m);
      far = a * (1.0 + s.spread_ohm * a) + (b > 0 ? far / (1.0 + s.wire_ohm(b - 1) * far) : 0.0);
      out.current(b, m) = far;
    }
    out.u(s.blocks, m) = 1.0;
    for (Index b = s.blocks - 1; b >= 0; --b) {
      out.u(b, m) = out.u(b + 1, m) / (1.0 + s.wire_ohm(b) * out.current(b, m));
      out.current(b, m) *= out.u(b, m);
    }
    double d = 0.0;
    for (Index b = 0; b < s.blocks; ++b) {
      const double mean_u = out.u(b, m) * (1.0 + s.spread_ohm * out.a(b, m));
      d += out.a(b, m) * mean_u * mean_u;
      out.d(b, m) = d;
    }
    out.charge += levels.duration(m) * (out.current(s.blocks - 1, m) - d);
  }
  // A current that falls within a level dissipates more than its mean does.
  for (Index m = 0; m < levels.count; ++m)
    for (Index b = 0; b < s.blocks; ++b) {
      const double step = fall(out, b, m);
      out.charge -= levels.duration(m) * levels.variance() * s.wire_ohm(b) * step * step;
    }

  out.bin.resize(levels.count);
  choose_bins(out.ideal, s.bins, out.bin);

  out.x.setZero(s.positions(), s.bins);
  for (Index i = s.padding; i < s.positions(); ++i) {
    const Index b = i / s.length;
    for (Index m = 0; m < levels.count; ++m) {
      const double mean_u = out.u(b, m) * (1.0 + s.spread_ohm * out.a(b, m));
      const double before = b > 0 ? out.current(b - 1, m) : 0.0;
      const double slope = s.cell_ohm * out.u(b, m) * (before + out.current(b, m));
      out.x(i, out.bin[m]) += levels.duration(m) * on_share(levels.place(lengths[i - s.padding]), m) *
                              (mean_u * mean_u + s.offset(i % s.length) * slope);
    }
    out.charge += g[i] * out.x.row(i).sum();
  }

  out.n.setZero(s.blocks, s.bins);
  out.z.setZero(s.blocks, s.bins);
  out.resistance.setZero(s.blocks, s.bins);
  for (Index b = 0; b < s.blocks; ++b) {
    for (Index m = 0; m < levels.count; ++m) {
      const double d = out.d(b, m);
      out.n(b, out.bin[m]) +=
          levels.duration(m) * s.wire_ohm(b) / (out.u(b, m) * out.u(b + 1, m)) * d * d;
      out.z(b, out.bin[m]) += levels.duration(m) * d;
    }
    for (Index k = 0; k < s.bins; ++k)
      if (out.z(b, k) > 0.0) out.resistance(b, k) = out.n(b, k) / (out.z(b, k) * out.z(b, k));
  }
  if (mesh_.size() > 0) follow_load(levels, out);
}

// K_b: drop of the reference column, averaged over the block's own current.
void Closure::follow_load(const Levels& levels, ReferenceColumn& out) const {
  const ClosureShape& s = shape_;
  out.load.setZero(s.blocks, s.bins);
  out.own.setZero(s.blocks, s.bins);
  for (Index b = 0; b < s.blocks; ++b) {
    for (Index m = 0; m < levels.count; ++m) {
      const double a = levels.duration(m) * out.a(b, m);
      const double mean_u = out.u(b, m) * (1.0 + s.spread_ohm * out.a(b, m));
      out.load(b, out.bin[m]) += a * (1.0 - mean_u) * mean_u;
      out.own(b, out.bin[m]) += a * mean_u * mean_u;
    }
    for (Index k = 0; k < s.bins; ++k)
      out.load(b, k) = out.own(b, k) > 0.0 ? out.load(b, k) / out.own(b, k) : 0.0;
  }
}

// trace: by block and bin, y before the block, d after it, sum the block's sum of x delta; the last y is in row
// `blocks` of y. May be null.
double Closure::column_charge(Index column, const ReferenceColumn& reference,
                              const ColumnTrace* trace) const {
  double charge = reference.charge;
  for (Index k = 0; k < shape_.bins; ++k) {
    double d = 0.0, y = 1.0;
    for (Index b = 0; b < shape_.blocks; ++b) {
      double sum = 0.0;
      for (Index i = b * shape_.length; i < (b + 1) * shape_.length; ++i)
        sum += reference.x(i, k) * delta_(i, column);
      if (trace) (*trace->y)(b, k) = y, (*trace->sum)(b, k) = sum;
      if (mesh_.size() > 0)
        sum += reference.load(b, k) * mesh_(b, column) * (sum + reference.own(b, k));
      d += sum * y;
      y += reference.resistance(b, k) * d;
      if (trace) (*trace->d)(b, k) = d;
    }
    if (trace) (*trace->y)(shape_.blocks, k) = y;
    charge += d / y;
  }
  return charge;
}

void Closure::charge(const double* lengths, int longest_code, double* out, Scratch& scratch) const {
  const Levels levels(longest_code);
  for (std::size_t k = 0; k < clusters_.members.size(); ++k) {
    follow_reference(lengths, levels, k, scratch.reference);
    for (const Index j : clusters_.members[k])
      out[j] = column_charge(j, scratch.reference, nullptr);
  }
}

void Closure::gradient(const double* lengths, int longest_code, const double* charge_gradient,
                       Scratch& scratch, const GradientTargets& out) const {
  const ClosureShape& s = shape_;
  const Levels levels(longest_code);
  ReferenceGradient& g = scratch.gradient;
  Matrix& y = scratch.y;
  y.resize(s.blocks + 1, s.bins);
  scratch.d.resize(s.blocks, s.bins);
  scratch.sum.resize(s.blocks, s.bins);
  const bool coupled = mesh_.size() > 0;
  for (std::size_t cluster = 0; cluster < clusters_.members.size(); ++cluster) {
    const ReferenceColumn& reference = scratch.reference;
    follow_reference(lengths, levels, cluster, scratch.reference);
    g.x.setZero(s.positions(), s.bins);
    g.resistance.setZero(s.blocks, s.bins);
    g.load.setZero(s.blocks, s.bins);
    g.own.setZero(s.blocks, s.bins);
    g.charge = 0.0;
    const ColumnTrace trace{&y, &scratch.d, &scratch.sum};
    for (const Index j : clusters_.members[cluster]) {
      const double e = charge_gradient[j];
      column_charge(j, reference, &trace);
      g.charge += e;
      for (Index k = 0; k < s.bins; ++k)
        for (Index b = 0; b < s.blocks; ++b) {
          // (D, y) is carried on by matrices of determinant 1, so d(D / y) = (y / y_end)^2 at every block.
          const double y_share = y(b, k) / y(s.blocks, k);
          const double d = scratch.d(b, k) / y(s.blocks, k);
          double by_sum = e * y_share * y_share;
          g.resistance(b, k) -= e * d * d;
          if (coupled) {
            const double q = by_sum * mesh_(b, j);
            g.load(b, k) += q * (scratch.sum(b, k) + reference.own(b, k));
            g.own(b, k) += q * reference.load(b, k);
            by_sum += q * reference.load(b, k);
          }
          for (Index i = b * s.length; i < (b + 1) * s.length; ++i) {
            g.x(i, k) += by_sum * delta_(i, j);
            if (i >= s.padding) (*out.g)(i - s.padding, j) += by_sum * reference.x(i, k);
          }
        }
    }
    reference_gradient(lengths, levels, cluster, reference, scratch, out);
  }
}

}  // namespace crosstile::tilemodel
