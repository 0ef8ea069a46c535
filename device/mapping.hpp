// Weights to conductances and back: how many devices a weight has, and what each of them carries.
// Equations: docs/theory.md, "Conductance mappings".
#pragma once

#include <array>
#include <vector>

#include "core/types.hpp"
#include "data/tile.hpp"
#include "device/pcm.hpp"

namespace crosstile::device {

enum class PairMode {
  one_sided,  ///< G+ carries positive weights, G- negative ones; the other device rests at g_min
  biased      ///< both devices leave a common bias in opposite directions
};
enum class Sharing {
  equal,    ///< all pairs of a weight carry the same share of their range
  in_order  ///< each pair carries what the more significant ones before it left over
};

struct MappingSpec {
  PairMode mode = PairMode::one_sided;
  Sharing sharing = Sharing::equal;
  double g_min_siemens = 0.1e-6;
  double g_max_siemens = 25e-6;
  double g_bias_siemens = 12.55e-6;        ///< biased: both devices of a zero weight
  std::vector<double> significance{1.0};   ///< one factor per pair of a weight: weight ~ sum F_k (G+_k - G-_k); falling
  /// Throws a usage Error naming the field.
  void validate() const;
  /// Largest G+ - G- of one pair.
  double pair_range_siemens() const;
  /// sum F_k pair_range: what |weight| = 1 is as a difference of conductances.
  double full_scale_siemens() const;
};

/// Conductances of the pairs of every weight: plus[k] and minus[k] are rows x cols, as the weights.
struct MappedPairs {
  std::vector<Matrix> plus, minus;
};
/// Targets of weights in -1..1. With sharing in_order the first pair takes all it can. Errors: usage (weight outside, by row and column).
MappedPairs map_weights(const MappingSpec& spec, const Matrix& weights);
/// The weights that conductances stand for: sum F_k (G+_k - G-_k) / full_scale. Inverse of map_weights. Errors: usage (shapes).
Matrix weights_of(const MappingSpec& spec, const MappedPairs& pairs);

/// Maps and programs. With sharing in_order, pair k is given what is left of the weight after the pairs before it were programmed and read at t0,
/// so that their errors are made good. Arrays number first_tile, first_tile + 1 (plus, minus of the first pair), ...
/// `arrays`, when given, receives the programmed arrays in that order. Returns the conductances at t0. Errors: usage.
MappedPairs program_weights(const PcmModel& model, const MappingSpec& spec, const Matrix& weights, std::uint64_t seed,
                            std::uint32_t first_tile, std::vector<ProgrammedArray>* arrays = nullptr);

}  // namespace crosstile::device

/// Names in files.
template <>
struct crosstile::data::EnumNames<crosstile::device::PairMode> {
  static constexpr std::array<EnumName<device::PairMode>, 2> value{
      {{device::PairMode::one_sided, "one-sided"}, {device::PairMode::biased, "biased"}}};
};
template <>
struct crosstile::data::EnumNames<crosstile::device::Sharing> {
  static constexpr std::array<EnumName<device::Sharing>, 2> value{
      {{device::Sharing::equal, "equal"}, {device::Sharing::in_order, "in-order"}}};
};
