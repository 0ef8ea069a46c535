#include "device/mapping.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>

#include "core/error.hpp"

namespace crosstile::device {

namespace {

// Targets of one pair that shall carry `difference` = G+ - G- (siemens) of every weight; more than its range is cut off.
void pair_targets(const MappingSpec& spec, const Matrix& difference, Matrix& plus, Matrix& minus) {
  const double range = spec.pair_range_siemens();
  const Array d = difference.array().max(-range).min(range);
  if (spec.mode == PairMode::one_sided) {
    plus = spec.g_min_siemens + d.max(0.0);
    minus = spec.g_min_siemens + (-d).max(0.0);
    return;
  }
  plus = spec.g_bias_siemens + 0.5 * d;
  minus = spec.g_bias_siemens - 0.5 * d;
}

void check_weights(const Matrix& weights) {
  constexpr double kRounding = 1e-12;
  for (Index i = 0; i < weights.rows(); ++i)
    for (Index j = 0; j < weights.cols(); ++j)
      if (!(std::abs(weights(i, j)) <= 1.0 + kRounding))
        require_in_range("weight(" + std::to_string(i) + ", " + std::to_string(j) + ")", weights(i, j), -1.0, 1.0);
}

}  // namespace

void MappingSpec::validate() const {
  require_in_range("mapping.g_min_siemens", g_min_siemens, 0.0, 1.0);
  require_in_range("mapping.g_max_siemens", g_max_siemens, g_min_siemens, 1.0);
  if (!(g_max_siemens > g_min_siemens)) throw_out_of_range("mapping.g_max_siemens", g_max_siemens, "must be above g_min_siemens");
  if (mode == PairMode::biased) {
    require_in_range("mapping.g_bias_siemens", g_bias_siemens, g_min_siemens, g_max_siemens);
    if (!(pair_range_siemens() > 0.0)) throw_out_of_range("mapping.g_bias_siemens", g_bias_siemens, "must lie inside g_min..g_max");
  }
  require_in_range("mapping.significance (number of factors)", static_cast<double>(significance.size()), 1.0, 16.0);
  for (std::size_t k = 0; k < significance.size(); ++k) {
    require_in_range("mapping.significance", significance[k], 1e-6, 1e6);
    if (k > 0 && significance[k] > significance[k - 1])
      throw_out_of_range("mapping.significance", significance[k], "must not be above the factor before it");
  }
}

double MappingSpec::pair_range_siemens() const {
  if (mode == PairMode::one_sided) return g_max_siemens - g_min_siemens;
  return 2.0 * std::min(g_bias_siemens - g_min_siemens, g_max_siemens - g_bias_siemens);
}

double MappingSpec::full_scale_siemens() const {
  return pair_range_siemens() * std::accumulate(significance.begin(), significance.end(), 0.0);
}

MappedPairs map_weights(const MappingSpec& spec, const Matrix& weights) {
  spec.validate();
  check_weights(weights);
  MappedPairs pairs;
  Matrix left = weights * spec.full_scale_siemens();
  for (const double factor : spec.significance) {
    Matrix plus, minus;
    const Matrix share = spec.sharing == Sharing::equal ? Matrix(weights * spec.pair_range_siemens()) : Matrix(left / factor);
    pair_targets(spec, share, plus, minus);
    left -= factor * (plus - minus);
    pairs.plus.push_back(std::move(plus));
    pairs.minus.push_back(std::move(minus));
  }
  return pairs;
}

Matrix weights_of(const MappingSpec& spec, const MappedPairs& pairs) {
  spec.validate();
  if (pairs.plus.size() != spec.significance.size() || pairs.minus.size() != spec.significance.size())
    throw Error(ErrorKind::usage, "mapped pairs: " + std::to_string(pairs.plus.size()) + " pairs for " +
                                      std::to_string(spec.significance.size()) + " significance factors");
  Matrix sum = Matrix::Zero(pairs.plus[0].rows(), pairs.plus[0].cols());
  for (std::size_t k = 0; k < pairs.plus.size(); ++k) {
    for (const Matrix* part : {&pairs.plus[k], &pairs.minus[k]})
      if (part->rows() != sum.rows() || part->cols() != sum.cols())
        throw Error(ErrorKind::usage, "mapped pairs: the arrays of pair " + std::to_string(k) + " differ in shape from the first");
    sum += spec.significance[k] * (pairs.plus[k] - pairs.minus[k]);
  }
  return sum / spec.full_scale_siemens();
}

MappedPairs program_weights(const PcmModel& model, const MappingSpec& spec, const Matrix& weights, std::uint64_t seed,
                            std::uint32_t first_tile, std::vector<ProgrammedArray>* arrays) {
  MappedPairs targets = map_weights(spec, weights), shown;
  Matrix left = weights * spec.full_scale_siemens();
  for (std::size_t k = 0; k < spec.significance.size(); ++k) {
    if (spec.sharing == Sharing::in_order) pair_targets(spec, left / spec.significance[k], targets.plus[k], targets.minus[k]);
    for (const bool positive : {true, false}) {
      const std::uint32_t tile = first_tile + static_cast<std::uint32_t>(2 * k) + (positive ? 0 : 1);
      ProgrammedArray array = program(model, positive ? targets.plus[k] : targets.minus[k], seed, tile);
      (positive ? shown.plus : shown.minus).push_back(array.programmed_siemens);
      if (arrays) arrays->push_back(std::move(array));
    }
    left -= spec.significance[k] * (shown.plus[k] - shown.minus[k]);
  }
  return shown;
}

}  // namespace crosstile::device
