// The reference column's own derivatives: follow_reference (closure.cpp) walked backwards.
#include <algorithm>

#include "tilemodel/closure.hpp"
#include "tilemodel/ladder_solution.hpp"

namespace crosstile::tilemodel {

void Closure::reference_gradient(const double* lengths, const Levels& levels, std::size_t cluster,
                                 const ReferenceColumn& column, Scratch& scratch,
                                 const GradientTargets& out) const {
  const ClosureShape& s = shape_;
  const Vector& g = reference_[cluster];
  const ReferenceGradient& by = scratch.gradient;
  const Index last = s.blocks - 1;
  const auto half_end = 0.5 * static_cast<double>(s.length - 1);
  Vector by_wire = Vector::Zero(s.blocks);
  double by_spread = 0.0, by_cell = 0.0;
  Matrix by_a(s.blocks, levels.count);

  // x_i = sum over its pulse of (mean_u^2 + p slope); charge holds g_i x_i as well.
  Matrix by_square = Matrix::Zero(s.blocks, levels.count), by_slope = by_square;
  for (Index i = s.padding; i < s.positions(); ++i) {
    const double length = levels.place(lengths[i - s.padding]);
    for (Index m = 0; m < levels.count && static_cast<double>(m) < length; ++m) {
      const double part = levels.duration(m) * std::min(1.0, length - static_cast<double>(m)) *
                          (by.x(i, column.bin[m]) + by.charge * g[i]);
      by_square(i / s.length, m) += part;
      by_slope(i / s.length, m) += part * s.offset(i % s.length);
    }
  }

  Matrix by_current = Matrix::Zero(s.blocks, levels.count);
  for (Index m = 0; m < levels.count; ++m)
    for (Index b = 0; b < s.blocks; ++b) {
      const Index before = std::max<Index>(m - 1, 0), after = std::min<Index>(m + 1, levels.count - 1);
      if (before == after) continue;
      const double step = fall(column, b, m);
      const double factor = -by.charge * levels.duration(m) * levels.variance();
      by_wire[b] += factor * step * step;
      const double by_current_step =
          2.0 * factor * s.wire_ohm(b) * step / static_cast<double>(after - before);
      by_current(b, before) += by_current_step;
      by_current(b, after) -= by_current_step;
    }

  Vector by_u(s.blocks + 1);
  for (Index m = 0; m < levels.count; ++m) {
    const int k = column.bin[m];
    const double h = levels.duration(m);
    by_u.setZero();
    by_current(last, m) += h * by.charge;
    double by_d = -h * by.charge;  // of this and all blocks nearer to the sense
    for (Index b = last; b >= 0; --b) {
      const double u = column.u(b, m), next_u = column.u(b + 1, m), d = column.d(b, m), a = column.a(b, m);
      const double z = column.z(b, k);
      const double ratio = 1.0 + s.spread_ohm * a;
      if (z > 0.0) {
        const double by_n = by.resistance(b, k) / (z * z);
        const double by_z = -2.0 * column.n(b, k) / z * by_n;
        const double rho = s.wire_ohm(b) / (u * next_u);
        const double by_rho = h * by_n * d * d;
        by_d += h * (2.0 * by_n * rho * d + by_z);
        by_u[b] -= by_rho * rho / u;
        by_u[b + 1] -= by_rho * rho / next_u;
        by_wire[b] += by_rho / (u * next_u);
      }
      const double mean_u = u * ratio;
      double by_mean_u = 2.0 * mean_u * (by_square(b, m) + by_d * a);
      by_a(b, m) = by_d * mean_u * mean_u;
      if (mesh_.size() > 0 && column.own(b, k) > 0.0) {
        // K_b = (sum of h A (1 - m) m) / own, own = sum of h A m^2.
        const double by_load = by.load(b, k) / column.own(b, k);
        const double by_own = by.own(b, k) - by_load * column.load(b, k);
        by_a(b, m) += h * mean_u * (by_load * (1.0 - mean_u) + by_own * mean_u);
        by_mean_u += h * a * (by_load * (1.0 - 2.0 * mean_u) + by_own * 2.0 * mean_u);
      }
      by_a(b, m) += by_mean_u * u * s.spread_ohm;
      by_spread += by_mean_u * u * a;
      const double before = b > 0 ? column.current(b - 1, m) : 0.0;
      by_u[b] += by_mean_u * ratio + by_slope(b, m) * s.cell_ohm * (before + column.current(b, m));
      by_current(b, m) += by_slope(b, m) * s.cell_ohm * u;
      if (b > 0) by_current(b - 1, m) += by_slope(b, m) * s.cell_ohm * u;
      by_cell += by_slope(b, m) * u * (before + column.current(b, m));
    }
    // Scaling by alpha = 1 / u_end: the raw ladder has u = u / alpha. All of it stays in scaled quantities,
    // because the raw gradients are alpha times the scaled ones.
    double by_next = 0.0;
    for (Index b = 0; b <= last; ++b)
      by_next -= by_u[b] * column.u(b, m) + by_current(b, m) * column.current(b, m);
    double carried_current = 0.0;
    for (Index b = last; b >= 0; --b) {
      const double a = column.a(b, m), u = column.u(b, m);
      carried_current += by_current(b, m) + s.wire_ohm(b) * by_next;
      by_wire[b] += by_next * column.current(b, m);
      by_a(b, m) += carried_current * u * (1.0 + 2.0 * s.spread_ohm * a);
      by_spread += carried_current * u * a * a;
      by_next += by_u[b] + carried_current * a * (1.0 + s.spread_ohm * a);
    }
  }

  for (Index i = s.padding; i < s.positions(); ++i) {
    const Index b = i / s.length;
    const PulseEnd end(levels.place(lengths[i - s.padding]), levels.count);
    for (int part = 0; part < end.parts; ++part) {
      const Index m = end.piece[part];
      const double mean_u = column.u(b, m) * (1.0 + s.spread_ohm * column.a(b, m));
      const double before = b > 0 ? column.current(b - 1, m) : 0.0;
      const double slope = s.cell_ohm * column.u(b, m) * (before + column.current(b, m));
      out.lengths[i - s.padding] +=
          end.weight() *
          ((by.x(i, column.bin[m]) + by.charge * g[i]) * (mean_u * mean_u + s.offset(i % s.length) * slope) +
           by_a(b, m) * g[i] / levels.duration(m));
    }
  }
  const auto l = static_cast<double>(s.length);
  out.wire->cell_ohm += by_cell + l * by_wire.head(last).sum() +
                           (half_end + s.end_cells) * by_wire[last] +
                           by_spread * (l * l - 1.0) / (6.0 * l);
  out.wire->end_ohm += by_wire[last];
}

}  // namespace crosstile::tilemodel
