#include "tilemodel/clusters.hpp"

#include <algorithm>
#include <limits>

namespace crosstile::tilemodel {

namespace {

constexpr int kMostSweeps = 50;
// A further cluster must reduce the mean square distance to this share, and columns must differ more than columns of independent cells
// do, by this factor: sums along those are random walks, of which splitting along the first principal component leaves 48 %, which alone
// is not worth a reference.
constexpr double kWorthwhile = 0.5;
constexpr double kMoreThanRandom = 2.0;
constexpr double kNegligible = 1e-6;  // share of the features' mean square below which columns count as equal

// columns x steps: conductance summed from the far end.
Matrix cumulative(const Matrix& g, Index length) {
  const Index steps = (g.rows() + length - 1) / length;
  Matrix sums(g.cols(), steps);
  Vector total = Vector::Zero(g.cols());
  for (Index s = 0; s < steps; ++s) {
    const Index first = s * length;
    total += g.middleRows(first, std::min(length, g.rows() - first)).colwise().sum().transpose();
    sums.col(s) = total;
  }
  return sums;
}

struct Partition {
  std::vector<Index> cluster;  // of each column
  double spread = 0.0;         // sum of square distances
};

// Nearest centre of every column; ties go to the first.
void assign(const Matrix& features, const Matrix& centre, Partition& partition) {
  partition.spread = 0.0;
  for (Index j = 0; j < features.rows(); ++j) {
    double nearest = std::numeric_limits<double>::infinity();
    for (Index k = 0; k < centre.rows(); ++k) {
      const double distance = (features.row(j) - centre.row(k)).squaredNorm();
      if (distance >= nearest) continue;
      nearest = distance;
      partition.cluster[static_cast<std::size_t>(j)] = k;
    }
    partition.spread += nearest;
  }
}

void move_centres(const Matrix& features, const Partition& partition, Matrix& centre) {
  const Matrix before = centre;
  centre.setZero();
  Vector count = Vector::Zero(centre.rows());
  for (Index j = 0; j < features.rows(); ++j) {
    const Index k = partition.cluster[static_cast<std::size_t>(j)];
    centre.row(k) += features.row(j);
    count[k] += 1.0;
  }
  for (Index k = 0; k < centre.rows(); ++k)
    centre.row(k) = count[k] > 0.0 ? Matrix(centre.row(k) / count[k]) : Matrix(before.row(k));
}

// Lloyd's iteration from centres that are far from each other: the column farthest from the mean, then always
// the one farthest from all chosen before.
Partition partition_columns(const Matrix& features, Index count) {
  Partition partition{std::vector<Index>(static_cast<std::size_t>(features.rows()), 0), 0.0};
  Matrix centre(count, features.cols());
  Vector distance = (features.rowwise() - features.colwise().mean()).rowwise().squaredNorm();
  for (Index k = 0; k < count; ++k) {
    Index farthest = 0;
    distance.maxCoeff(&farthest);
    centre.row(k) = features.row(farthest);
    const Vector next = (features.rowwise() - features.row(farthest)).rowwise().squaredNorm();
    distance = k == 0 ? next : Vector(distance.cwiseMin(next));
  }
  std::vector<Index> before;
  for (int sweep = 0; sweep < kMostSweeps && before != partition.cluster; ++sweep) {
    before = partition.cluster;
    if (sweep > 0 || count == 1) move_centres(features, partition, centre);
    assign(features, centre, partition);
    if (sweep == 0) before.clear();
  }
  return partition;
}

// Sum of the squared distances to the mean that the cumulative sums would have if a column's cells were independent.
double random_spread(const Matrix& g, Index length) {
  const Vector mean = g.rowwise().mean();
  double variance = 0.0, spread = 0.0;  // both summed over the columns
  for (Index i = 0; i < g.rows(); ++i) {
    variance += (g.row(i).array() - mean[i]).square().sum();
    if ((i + 1) % length == 0 || i + 1 == g.rows()) spread += variance;
  }
  return spread;
}

Partition choose_partition(const Matrix& features, double random, int count) {
  if (count > 0) return partition_columns(features, std::min<Index>(count, features.rows()));
  const double floor = std::max(kNegligible * features.squaredNorm(), kMoreThanRandom * random);
  Partition best = partition_columns(features, 1);
  for (Index k = 2; k <= std::min<Index>(kMostAutomatic, features.rows()) && best.spread > floor; ++k) {
    Partition next = partition_columns(features, k);
    if (next.spread > kWorthwhile * best.spread) break;
    best = std::move(next);
  }
  return best;
}

}  // namespace

Clusters cluster_columns(const Matrix& g, Index length, int count) {
  const Partition partition = choose_partition(cumulative(g, length), random_spread(g, length), count);
  std::vector<std::vector<Index>> members(partition.cluster.size());
  for (Index j = 0; j < g.cols(); ++j)
    members[static_cast<std::size_t>(partition.cluster[static_cast<std::size_t>(j)])].push_back(j);
  std::erase_if(members, [](const auto& list) { return list.empty(); });
  Clusters clusters{std::move(members), {}};
  clusters.centre.resize(static_cast<Index>(clusters.members.size()), g.rows());
  for (Index k = 0; k < clusters.centre.rows(); ++k)
    clusters.centre.row(k) =
        g(Eigen::all, clusters.members[static_cast<std::size_t>(k)]).rowwise().mean().transpose();
  return clusters;
}

}  // namespace crosstile::tilemodel
