// Weights and inputs of reference sets: what the full circuit is asked. Every number is a pure function of
// (seed, draw or vector, place), so a set does not depend on threads or shards. docs/theory.md, "Reference
// inputs".
#pragma once

#include <cstdint>

#include "core/random.hpp"
#include "data/reference_set.hpp"

namespace crosstile::circuit {

/// How a standard normal field z becomes weights. `size` is |weight| over the largest weight, at most 1.
enum class WeightDistribution {
  normal,     ///< z / weight_clip
  uniform,    ///< 2 Phi(z) - 1
  lognormal,  ///< size exp(lognormal_sigma z) / weight_clip, signs independent
  bimodal     ///< sign of z, size 1 - bimodal_spread |n| with n a normal of its own
};
/// Inputs of the rows that are not 0, in units of the vector's scale; at most 1 afterwards.
enum class InputDistribution { half_normal, uniform, constant };

/// Random weights and inputs. The field z has mean 0 and variance 1: shares of its variance are common to a
/// row, common to a column, or correlated as exp(-|di| / correlation_length_rows - |dj| /
/// correlation_length_cols); the rest is independent from cell to cell. Each vector draws its own scale and
/// density: x = min(1, scale * drawn) on a share `density` of the rows, else 0.
struct DrawOptions {
  Index draws = 2;  ///< weight matrices; vectors are spread evenly over them
  Index vectors = 200;
  double held_out_share = 0.25;  ///< of the vectors of every draw
  Index held_out_draws = 0;      ///< so many of the last weight matrices are kept out of a fit altogether

  WeightDistribution weights = WeightDistribution::normal;
  double weight_clip = 2.6;  ///< normal, lognormal: a weight of this size has g_max
  double lognormal_sigma = 0.5;
  double bimodal_spread = 0.1;
  /// Of the variance; together at most 1.
  double correlated_share = 0.0, row_share = 0.0, column_share = 0.0;
  double correlation_length_rows = 32.0;  ///< from row to row, down a bit line; cells; 0: independent
  double correlation_length_cols = 32.0;  ///< from column to column, along a word line; cells; 0: independent

  InputDistribution inputs = InputDistribution::half_normal;
  double scale_low = 0.1, scale_high = 0.6;
  double density_low = 0.1, density_high = 1.0;
  bool signed_inputs = false;  ///< half of the inputs negative
  void validate() const;       ///< usage Error naming the field
};

/// Gaussian field, mean 0, variance 1, correlation exp(-|di| / length_rows - |dj| / length_cols) between
/// cells di rows and dj columns apart: the stationary first-order autoregression along both axes.
Matrix correlated_field(const RandomKey& key, Index rows, Index cols, double length_rows, double length_cols);

/// Weight matrix number `draw`, over the largest weight: -1 .. 1, or 0 .. 1 when `positive` (layout single,
/// where only the size counts; then uniform is Phi(z), and bimodal is near 1 for z > 0 and near 0 else).
Matrix draw_weights(const DrawOptions& options, std::uint64_t seed, std::uint32_t draw, Index rows,
                    Index cols, bool positive);

/// Appends options.draws weight matrices to a set with tile and seed: |w| maps to g_min .. g_max on the side
/// of w's sign.
void add_drawn_weights(data::ReferenceSet& set, const DrawOptions& options);
/// Draws options.vectors code vectors.
void add_drawn_codes(data::ReferenceSet& set, const DrawOptions& options);
/// Spreads the set's vectors over its weight matrices and marks those held out. Errors: usage when no matrix
/// is left for the fit.
void assign_vectors(data::ReferenceSet& set, const DrawOptions& options);

/// The inputs of a set: tile, conductances, codes, held-out flags; charges are empty.
data::ReferenceSet draw_reference_inputs(const data::TileSpec& tile, const DrawOptions& options,
                                         std::uint64_t seed);

}  // namespace crosstile::circuit

template <>
struct crosstile::data::EnumNames<crosstile::circuit::WeightDistribution> {
  using WeightDistribution = crosstile::circuit::WeightDistribution;
  static constexpr std::array<EnumName<WeightDistribution>, 4> value{
      {{WeightDistribution::normal, "normal"},
       {WeightDistribution::uniform, "uniform"},
       {WeightDistribution::lognormal, "lognormal"},
       {WeightDistribution::bimodal, "bimodal"}}};
};
template <>
struct crosstile::data::EnumNames<crosstile::circuit::InputDistribution> {
  using InputDistribution = crosstile::circuit::InputDistribution;
  static constexpr std::array<EnumName<InputDistribution>, 3> value{
      {{InputDistribution::half_normal, "half-normal"},
       {InputDistribution::uniform, "uniform"},
       {InputDistribution::constant, "constant"}}};
};
