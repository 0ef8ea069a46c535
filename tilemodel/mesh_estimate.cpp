#include "tilemodel/mesh_estimate.hpp"

#include <cstdlib>

#include "tilemodel/row_wires.hpp"

namespace crosstile::tilemodel {

MeshEstimate::MeshEstimate(const data::TileSpec& tile, const std::vector<ColumnGroup>& groups,
                           const Matrix& g, const Matrix& p)
    : wire_(tile), rows_(g.rows()) {
  const Matrix used = g.cwiseProduct(p);
  const Matrix row_lost = g - used;
  // share(k, j): part of node j's row-wire drop that is due to the cell of column k, on the tile's mean row.
  const Vector mean_row = g.colwise().mean().transpose();
  Matrix share = mean_row.asDiagonal() * row_wire_resistance(tile, mean_row);
  for (Index j = 0; j < share.cols(); ++j)
    if (const double sum = share.col(j).sum(); sum > 0.0) share.col(j) /= sum;

  for (const ColumnGroup& group : groups) {
    End end{group,
            Vector::Zero(rows_),
            Panels(used, group.columns, group.north),
            Panels(row_lost, group.columns, group.north),
            {}};
    for (const Index j : group.columns) end.mean += used.col(j) / static_cast<double>(group.columns.size());
    for (std::size_t source = 0; source < groups.size(); ++source) {
      Matrix from(static_cast<Index>(groups[source].columns.size()), share.cols());
      for (Index k = 0; k < from.rows(); ++k)
        from.row(k) = share.row(groups[source].columns[static_cast<std::size_t>(k)]);
      end.neighbours[source] = Panels(from, group.columns);
    }
    ends_.push_back(std::move(end));
  }
}

void MeshEstimate::prepare(Index capacity, Scratch& scratch) const {
  for (std::size_t e = 0; e < ends_.size(); ++e) {
    Side& side = scratch.side[e];
    const Index padded = ends_[e].used.padded_cols();
    for (std::size_t source = 0; source < ends_.size(); ++source) {
      side.reference[source].resize(capacity, rows_);
      side.injected[source].resize(capacity, padded);
    }
    side.drop.resize(capacity, rows_);
    side.expected_loss.resize(capacity, padded);
    side.ratio.resize(capacity, ends_[e].used.cols());
    side.neighbours.resize(capacity, padded);
    scratch.column[e].resize(rows_);
  }
}

// Column voltage over drive voltage at the conducting rows of one interval, in the order of the rungs (row
// order).
void MeshEstimate::reference_column(const End& end, const Rung* rungs, Index count, double* column) const {
  const Index step = end.group.north ? -1 : 1;
  const Index last = end.group.north ? 0 : count - 1;
  double u = 1.0, current = 0.0;
  for (Index k = count - 1 - last;; k += step) {
    column[k] = u;
    current += end.mean[rungs[k].position] * u;
    if (k == last) break;
    u += wire_.cell_ohm * static_cast<double>(std::abs(rungs[k + step].position - rungs[k].position)) *
         current;
  }
  const Index to_end = end.group.north ? rungs[last].position : rows_ - 1 - rungs[last].position;
  u += (wire_.cell_ohm * static_cast<double>(to_end) + wire_.end_ohm) * current;
  const double scale = 1.0 / u;
  for (Index k = 0; k < count; ++k) column[k] = 1.0 - column[k] * scale;
}

void MeshEstimate::integrate(const double* lengths, Index vector, Scratch& scratch) const {
  const std::size_t count = ends_.size();
  for (std::size_t e = 0; e < count; ++e) {
    for (std::size_t source = 0; source < count; ++source)
      scratch.side[e].reference[source].row(vector).setZero();
    scratch.side[e].drop.row(vector).setZero();
  }
  scratch.schedule.start(lengths, rows_);
  while (scratch.schedule.next(wire_)) {
    for (const Schedule::Interval& interval : scratch.schedule.intervals()) {
      const Rung* rungs = scratch.schedule.rungs().data() + interval.first;
      for (std::size_t e = 0; e < count; ++e)
        reference_column(ends_[e], rungs, interval.count, scratch.column[e].data());
      for (std::size_t e = 0; e < count; ++e) {
        const double* own = scratch.column[e].data();
        double* drop = scratch.side[e].drop.row(vector).data();
        for (Index k = 0; k < interval.count; ++k)
          drop[ends_[e].group.row(rungs[k].position, rows_)] += interval.duration * own[k];
        for (std::size_t source = 0; source < count; ++source) {
          const double* other = scratch.column[source].data();
          double* reference = scratch.side[e].reference[source].row(vector).data();
          for (Index k = 0; k < interval.count; ++k)
            reference[ends_[e].group.row(rungs[k].position, rows_)] +=
                interval.duration * other[k] * (1.0 - own[k]);
        }
      }
    }
  }
}

void MeshEstimate::evaluate(const Matrix& lengths, Index vectors, const std::array<const Matrix*, 2>& loss,
                            const std::array<Matrix*, 2>& out, Scratch& scratch) const {
  for (Index v = 0; v < vectors; ++v) integrate(lengths.data() + v * lengths.cols(), v, scratch);
  for (std::size_t e = 0; e < ends_.size(); ++e) {
    Side& side = scratch.side[e];
    panel_product(side.drop, vectors, ends_[e].used, side.expected_loss);
    for (std::size_t source = 0; source < ends_.size(); ++source)
      panel_product(side.reference[source], vectors, ends_[e].row_lost, side.injected[source]);
    const auto expected = side.expected_loss.topLeftCorner(vectors, side.ratio.cols()).array();
    side.ratio.topRows(vectors) =
        (expected > 0.0).select(loss[e]->topLeftCorner(vectors, side.ratio.cols()).array() / expected, 0.0);
  }
  for (std::size_t e = 0; e < ends_.size(); ++e) {
    Side& side = scratch.side[e];
    const Index cols = side.ratio.cols();
    auto estimate = out[e]->topLeftCorner(vectors, cols).array();
    out[e]->topRows(vectors).setZero();
    estimate = -side.injected[e].topLeftCorner(vectors, cols).array() * side.ratio.topRows(vectors).array();
    for (std::size_t source = 0; source < ends_.size(); ++source) {
      panel_product(scratch.side[source].ratio, vectors, ends_[e].neighbours[source], side.neighbours);
      estimate += side.injected[source].topLeftCorner(vectors, cols).array() *
                  side.neighbours.topLeftCorner(vectors, cols).array();
    }
  }
}

}  // namespace crosstile::tilemodel
