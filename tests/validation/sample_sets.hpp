// Small reference sets with known content, for the tests of the validation module.
#pragma once

#include <cmath>

#include "core/random.hpp"
#include "data/reference_set.hpp"
#include "tilemodel/model.hpp"

namespace crosstile::testing {

inline data::TileSpec small_tile(Index rows, Index cols) {
  data::TileSpec tile;
  tile.rows = rows;
  tile.cols = cols;
  tile.r_col_ohm = 20.0;
  tile.sense = data::SenseEnd::south;
  return tile;
}

/// Random pairs of conductances and codes, every third vector held out, charges zero. Draw of vector v: v %
/// draws.
inline data::ReferenceSet empty_set(const data::TileSpec& tile, Index vectors, Index draws = 1) {
  data::ReferenceSet set;
  set.tile = tile;
  set.method = "charge";
  for (Index d = 0; d < draws; ++d) {
    const auto random = [&](std::uint64_t event) {
      const Matrix u = random_uniform_matrix({7, Stream::test, static_cast<std::uint32_t>(d)}, tile.rows,
                                             tile.cols, event);
      return Matrix((tile.g_min_siemens + (tile.g_max_siemens - tile.g_min_siemens) * u.array()).matrix());
    };
    set.g_plus_siemens.push_back(random(0));
    set.g_minus_siemens.push_back(random(1));
  }
  set.codes = (random_uniform_matrix({8, Stream::test, 0}, vectors, tile.rows) * 127.999).cast<int>();
  set.draw.resize(vectors);
  set.held_out.resize(vectors);
  for (Index v = 0; v < vectors; ++v) {
    set.draw(v) = static_cast<int>(v % draws);
    set.held_out(v) = v % 3 == 2 ? 1 : 0;
  }
  set.charge_plus_coulomb = Matrix::Zero(vectors, tile.cols);
  set.charge_minus_coulomb = Matrix::Zero(vectors, tile.cols);
  return set;
}

/// charge_j = sum_i w_ij k_i, w = v_read t_lsb G * factor; computed here with plain loops.
inline Matrix planted_charge(const data::TileSpec& tile, const IntMatrix& codes, const Matrix& g,
                             const Matrix& factor) {
  Matrix charge = Matrix::Zero(codes.rows(), g.cols());
  for (Index v = 0; v < codes.rows(); ++v)
    for (Index j = 0; j < g.cols(); ++j)
      for (Index i = 0; i < g.rows(); ++i)
        charge(v, j) += tile.v_read_volt * tile.pulse.t_lsb_s * codes(v, i) * g(i, j) * factor(i, j);
  return charge;
}

/// The set whose charges are planted_charge with one factor matrix per draw (plus) and its mirror image
/// (minus).
inline data::ReferenceSet linear_set(const data::TileSpec& tile, Index vectors,
                                     const std::vector<Matrix>& factors) {
  data::ReferenceSet set = empty_set(tile, vectors, static_cast<Index>(factors.size()));
  for (Index v = 0; v < vectors; ++v) {
    const auto d = static_cast<std::size_t>(set.draw(v));
    const IntMatrix code = set.codes.row(v);
    set.charge_plus_coulomb.row(v) = planted_charge(tile, code, set.g_plus_siemens[d], factors[d]);
    set.charge_minus_coulomb.row(v) =
        planted_charge(tile, code, set.g_minus_siemens[d], factors[d].colwise().reverse());
  }
  return set;
}

inline tilemodel::TileModel ladder_model(const data::TileSpec& tile, const Matrix& g_siemens) {
  tilemodel::ModelSpec spec;
  spec.form = tilemodel::Form::ladder;
  return tilemodel::TileModel(spec, tile, g_siemens);
}

/// The set whose circuit is the exact ladder of the gated tile with ideal supply.
inline data::ReferenceSet ladder_set(const data::TileSpec& tile, Index vectors) {
  data::ReferenceSet set = empty_set(tile, vectors);
  ladder_model(tile, set.g_plus_siemens[0]).charge(set.codes, set.charge_plus_coulomb);
  ladder_model(tile, set.g_minus_siemens[0]).charge(set.codes, set.charge_minus_coulomb);
  return set;
}

}  // namespace crosstile::testing
