#include "validation/compare_models.hpp"

namespace crosstile::validation {

circuit::Crossbar crossbar_of(const data::ReferenceSet& set, Index draw, bool minus) {
  const auto d = static_cast<std::size_t>(draw);
  if (set.tile.drive == data::Drive::bipolar)
    return {set.tile, set.g_plus_siemens[d], set.g_minus_siemens[d]};
  return {set.tile, minus ? set.g_minus_siemens[d] : set.g_plus_siemens[d]};
}

tilemodel::EffectiveMatrices effective_matrices(const data::ReferenceSet& set, int threads) {
  tilemodel::EffectiveMatrices w;
  const bool pairs = set.tile.weight_layout == data::WeightLayout::pair_columns;
  for (Index d = 0; d < static_cast<Index>(set.g_plus_siemens.size()); ++d) {
    w.plus.push_back(circuit::effective_matrix(crossbar_of(set, d, false), threads));
    if (pairs) w.minus.push_back(circuit::effective_matrix(crossbar_of(set, d, true), threads));
  }
  return w;
}

DrawFactory draw_factory(const tilemodel::ModelSpec& spec) {
  return [spec](const data::ReferenceSet& set, Index draw, bool minus) {
    const auto d = static_cast<std::size_t>(draw);
    const bool bipolar = set.tile.drive == data::Drive::bipolar;
    const Matrix g = bipolar ? Matrix(set.g_plus_siemens[d] - set.g_minus_siemens[d])
                     : minus ? set.g_minus_siemens[d]
                             : set.g_plus_siemens[d];
    if (spec.form != tilemodel::Form::effective) return tilemodel::TileModel(spec, set.tile, g);
    return tilemodel::TileModel(spec, set.tile, g, circuit::effective_matrix(crossbar_of(set, draw, minus)));
  };
}

}  // namespace crosstile::validation
