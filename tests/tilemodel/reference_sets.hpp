// Reference sets for the tests of fit and model file: tile, conductances and codes are there, charges are
// zero.
#pragma once

#include "data/reference_set.hpp"
#include "nodal.hpp"

namespace samples {

using namespace crosstile;

// Two weight draws taking turns, every fourth vector held out, activity varying from vector to vector.
inline data::ReferenceSet empty_set(Index rows, Index cols, Index vectors) {
  data::ReferenceSet set;
  set.tile = nodal::small_tile(rows, cols);
  set.tile.r_col_ohm = 20.0;
  set.tile.r_row_ohm = 5.0;
  set.tile.sense = data::SenseEnd::alternate;
  set.method = "charge";
  for (std::uint32_t draw = 0; draw < 2; ++draw) {
    const Matrix w = random_normal_matrix({5, Stream::weights, draw}, rows, cols);
    set.g_plus_siemens.push_back((0.1e-6 + 24.9e-6 * (w.array().max(0.0) / 2.6).min(1.0)).matrix());
    set.g_minus_siemens.push_back((0.1e-6 + 24.9e-6 * ((-w.array()).max(0.0) / 2.6).min(1.0)).matrix());
  }
  set.codes = IntMatrix::Zero(vectors, rows);
  for (Index v = 0; v < vectors; ++v) {
    const double density = 0.2 + 0.7 * random_uniform({6}, static_cast<std::uint64_t>(v), 0);
    for (Index i = 0; i < rows; ++i) {
      const auto u = random_uniform4({7}, static_cast<std::uint64_t>(v), static_cast<std::uint64_t>(i));
      if (u[0] < density) set.codes(v, i) = 1 + static_cast<int>(u[1] * 7);
    }
  }
  set.draw = IntVector::NullaryExpr(vectors, [](Index v) { return static_cast<int>(v % 2); });
  set.held_out = IntVector::NullaryExpr(vectors, [](Index v) { return v % 4 == 3 ? 1 : 0; });
  set.charge_plus_coulomb = Matrix::Zero(vectors, cols);
  set.charge_minus_coulomb = Matrix::Zero(vectors, cols);
  set.energy_joule = Matrix::Zero(vectors, 1);
  set.energy_terms = {"cells"};
  return set;
}

}  // namespace samples
