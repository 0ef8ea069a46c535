#include "circuit/reference_inputs.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "core/error.hpp"
#include "data/pulse.hpp"

namespace crosstile::circuit {

namespace {

// Events of the stream `weights`: which numbers of a draw make what. Part of what a seed means: append only.
enum WeightEvent : std::uint64_t {
  kIndependent = 0,
  kCorrelated = 1,
  kRows = 2,
  kColumns = 3,
  kSpread = 4,
  kSign = 5
};

// x[k] <- rho x[k-1] + sqrt(1 - rho^2) x[k] down the rows: unit variance stays unit variance.
template <typename Values>
void autoregress(Values&& x, double length) {
  if (length <= 0.0) return;
  const double keep = std::exp(-1.0 / length);
  const double fresh = std::sqrt(-std::expm1(-2.0 / length));
  for (Index i = 1; i < x.rows(); ++i) x.row(i) = keep * x.row(i - 1) + fresh * x.row(i);
}

// The standard normal field behind the weights.
Matrix weight_field(const DrawOptions& options, const RandomKey& key, Index rows, Index cols) {
  Matrix z = random_normal_matrix(key, rows, cols, kIndependent);
  const double common = options.correlated_share + options.row_share + options.column_share;
  if (common == 0.0) return z;
  z *= std::sqrt(std::max(0.0, 1.0 - common));
  if (options.correlated_share > 0.0)
    z += std::sqrt(options.correlated_share) *
         correlated_field(key, rows, cols, options.correlation_length_rows, options.correlation_length_cols);
  if (options.row_share > 0.0)
    z += std::sqrt(options.row_share) * random_normal_matrix(key, rows, 1, kRows).replicate(1, cols);
  if (options.column_share > 0.0)
    z += std::sqrt(options.column_share) *
         random_normal_matrix(key, cols, 1, kColumns).transpose().replicate(rows, 1);
  return z;
}

Matrix bimodal(const Matrix& z, const Array& size, bool positive) {
  if (positive) return (z.array() > 0.0).select(size, 1.0 - size).matrix();
  return (z.array() > 0.0).select(size, -size).matrix();
}

// Conductances of both devices of every weight (share: weight over the largest weight).
void map_weights(data::ReferenceSet& set, const Matrix& share) {
  const data::TileSpec& tile = set.tile;
  const double span = tile.g_max_siemens - tile.g_min_siemens;
  if (tile.weight_layout == data::WeightLayout::single) {
    set.g_plus_siemens.push_back((tile.g_min_siemens + span * share.array()).matrix());
    return;
  }
  set.g_plus_siemens.push_back((tile.g_min_siemens + span * share.array().max(0.0)).matrix());
  set.g_minus_siemens.push_back((tile.g_min_siemens + span * (-share.array()).max(0.0)).matrix());
}

double drawn_input(InputDistribution kind, const RandomKey& key, std::uint64_t vector, std::uint64_t row,
                   double uniform) {
  switch (kind) {
    case InputDistribution::half_normal:
      return std::abs(random_normal(key, vector, row, 3));
    case InputDistribution::uniform:
      return uniform;
    case InputDistribution::constant:
      break;
  }
  return 1.0;
}

IntVector draw_codes(const data::TileSpec& tile, const DrawOptions& options, std::uint64_t seed,
                     Index vector) {
  const RandomKey key{seed, Stream::inputs, 0};
  const auto v = static_cast<std::uint64_t>(vector);
  const auto shape = random_uniform4(key, v, 0, 1);
  const double scale = options.scale_low + (options.scale_high - options.scale_low) * shape[0];
  const double density = options.density_low + (options.density_high - options.density_low) * shape[1];
  IntVector codes(tile.rows);
  for (Index i = 0; i < tile.rows; ++i) {
    const auto row = static_cast<std::uint64_t>(i);
    const auto u = random_uniform4(key, v, row, 2);
    const double size = std::min(1.0, scale * drawn_input(options.inputs, key, v, row, u[2]));
    const double sign = options.signed_inputs && u[1] < 0.5 ? -1.0 : 1.0;
    codes[i] = u[0] < density ? data::dac_code(sign * size, tile.pulse.dac_bits) : 0;
  }
  return codes;
}

}  // namespace

void DrawOptions::validate() const {
  require_in_range("reference.draws", static_cast<double>(draws), 1, 1e6);
  require_in_range("reference.vectors", static_cast<double>(vectors), 1, 1e9);
  require_in_range("reference.held_out_share", held_out_share, 0.0, 1.0);
  require_in_range("reference.held_out_draws", static_cast<double>(held_out_draws), 0, 1e6);
  require_in_range("reference.weight_clip", weight_clip, 0.1, 100.0);
  require_in_range("reference.lognormal_sigma", lognormal_sigma, 0.0, 10.0);
  require_in_range("reference.bimodal_spread", bimodal_spread, 0.0, 1.0);
  require_in_range("reference.correlated_share", correlated_share, 0.0, 1.0);
  require_in_range("reference.row_share", row_share, 0.0, 1.0);
  require_in_range("reference.column_share", column_share, 0.0, 1.0);
  require_in_range("reference.correlated_share + row_share + column_share",
                   correlated_share + row_share + column_share, 0.0, 1.0 + 1e-9);
  require_in_range("reference.correlation_length_rows", correlation_length_rows, 0.0, 1e6);
  require_in_range("reference.correlation_length_cols", correlation_length_cols, 0.0, 1e6);
  require_in_range("reference.scale_low", scale_low, 0.0, 10.0);
  require_in_range("reference.scale_high", scale_high, scale_low, 10.0);
  require_in_range("reference.density_low", density_low, 0.0, 1.0);
  require_in_range("reference.density_high", density_high, density_low, 1.0);
}

Matrix correlated_field(const RandomKey& key, Index rows, Index cols, double length_rows,
                        double length_cols) {
  Matrix field = random_normal_matrix(key, rows, cols, kCorrelated);
  autoregress(field, length_rows);
  autoregress(field.transpose(), length_cols);
  return field;
}

Matrix draw_weights(const DrawOptions& options, std::uint64_t seed, std::uint32_t draw, Index rows,
                    Index cols, bool positive) {
  const RandomKey key{seed, Stream::weights, draw};
  const Matrix z = weight_field(options, key, rows, cols);
  switch (options.weights) {
    case WeightDistribution::normal: {
      const Matrix share = (z.array() / options.weight_clip).max(-1.0).min(1.0).matrix();
      return positive ? Matrix(share.cwiseAbs()) : share;
    }
    case WeightDistribution::uniform: {
      const Matrix share = z.unaryExpr([](double x) { return std::erf(x / std::numbers::sqrt2); });
      return positive ? Matrix(0.5 * (1.0 + share.array())) : share;
    }
    case WeightDistribution::lognormal: {
      const Matrix size =
          ((options.lognormal_sigma * z.array()).exp() / options.weight_clip).min(1.0).matrix();
      const Matrix sign = random_uniform_matrix(key, rows, cols, kSign);
      return positive ? size : Matrix((sign.array() < 0.5).select(-size, size));
    }
    case WeightDistribution::bimodal:
      break;
  }
  const Array normal = random_normal_matrix(key, rows, cols, kSpread).array();
  return bimodal(z, (1.0 - options.bimodal_spread * normal.abs()).max(0.0), positive);
}

void add_drawn_weights(data::ReferenceSet& set, const DrawOptions& options) {
  const bool positive = set.tile.weight_layout == data::WeightLayout::single;
  for (Index d = 0; d < options.draws; ++d)
    map_weights(set, draw_weights(options, set.seed, static_cast<std::uint32_t>(d), set.tile.rows,
                                  set.tile.cols, positive));
}

void add_drawn_codes(data::ReferenceSet& set, const DrawOptions& options) {
  set.codes.resize(options.vectors, set.tile.rows);
  for (Index v = 0; v < options.vectors; ++v)
    set.codes.row(v) = draw_codes(set.tile, options, set.seed, v).transpose();
}

void assign_vectors(data::ReferenceSet& set, const DrawOptions& options) {
  const auto draws = static_cast<Index>(set.g_plus_siemens.size());
  require_in_range("reference.held_out_draws", static_cast<double>(options.held_out_draws), 0,
                   static_cast<double>(draws - 1));
  set.draw.resize(set.vectors());
  set.held_out.setZero(set.vectors());
  const auto passed = [&](Index k) {
    return std::floor(static_cast<double>(k) * options.held_out_share + 1e-9);
  };
  for (Index v = 0; v < set.vectors(); ++v) {
    const Index d = v % draws, k = v / draws;
    set.draw[v] = static_cast<int>(d);
    // The k-th vector of a draw is held out when the running share passes a whole number: evenly spread, the
    // same share in every draw.
    set.held_out[v] = d >= draws - options.held_out_draws || passed(k + 1) > passed(k) ? 1 : 0;
  }
}

data::ReferenceSet draw_reference_inputs(const data::TileSpec& tile, const DrawOptions& options,
                                         std::uint64_t seed) {
  tile.validate();
  options.validate();
  data::ReferenceSet set;
  set.tile = tile;
  set.seed = seed;
  add_drawn_weights(set, options);
  add_drawn_codes(set, options);
  assign_vectors(set, options);
  return set;
}

}  // namespace crosstile::circuit
