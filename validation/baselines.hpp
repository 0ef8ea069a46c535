// The two baselines any fast model must beat: the ideal product with fitted gains, and the best linear map.
// They are fitted to the vectors of a reference set that are not held out, and never see the others.
#pragma once

#include <vector>

#include "core/types.hpp"
#include "data/reference_set.hpp"

namespace crosstile::validation {

/// Charges of a tile without wires, Q = v_read t_lsb G^T k: the fast model's form `ideal`, whose G is that of
/// the whole cell (sinh law at the read voltage, selector in series). g_siemens: rows x cols; codes: vectors
/// x rows; result: vectors x cols, coulomb. Errors: as TileModel.
Matrix ideal_charge(const data::TileSpec& tile, const Matrix& g_siemens, const IntMatrix& codes);

/// The gain a that minimises |a P - Q|^2; 1 when P is zero.
double fit_one_gain(const Matrix& ideal, const Matrix& charge);
/// One gain per column; `fallback` for a column without any ideal charge.
Vector fit_column_gains(const Matrix& ideal, const Matrix& charge, double fallback);

/// Q_j = gain_j P_j + sum_i delta_ij k_i.
struct LinearMap {
  Vector gains;        ///< cols
  Matrix delta;        ///< rows x cols, coulomb per code step
  double ridge = 0.0;  ///< lambda; infinity when delta = 0 was best
  Matrix predict(const IntMatrix& codes, const Matrix& ideal) const;
};
/// The best linear map: gain_j by least squares, then delta by ridge regression of the residual, minimising
/// |Q - P diag(gain) - K delta|^2 + lambda |delta|^2 with K the codes. Every map of codes to charges has this
/// form, so with enough vectors it is ordinary least squares; with fewer vectors than rows the ridge draws it
/// towards the ideal product. One lambda for all columns is chosen by the leave-one-out error within the fit
/// set (of at most 64 evenly spaced columns), in closed form from the singular values of K, among 0 (only
/// with more vectors than the rank of K), 1e-10 .. 1e4 times the mean squared singular value, and infinity.
/// codes: vectors x rows; ideal, charge: vectors x cols. Errors: usage for shapes that do not fit, or no
/// vectors.
LinearMap fit_linear_map(const IntMatrix& codes, const Matrix& ideal, const Matrix& charge);

/// The linear map of a draw also holds its column gains.
struct Baselines {
  double one_gain = 1.0;               ///< one gain for all columns, arrays and draws
  std::vector<LinearMap> plus, minus;  ///< one per weight draw; minus is empty without a minus array
  Index fit_vectors = 0;               ///< vectors used; 0: nothing could be fitted and all gains are 1
  Index draws_without_fit = 0;         ///< draws whose vectors are all held out; they use one_gain
};
/// Fits to the vectors with held_out == 0 (all vectors when none is held out). Errors: bad_data from
/// set.validate().
Baselines fit_baselines(const data::ReferenceSet& set);

/// Ideal charges of some vectors of a set, each with the conductances of its weight draw; coulomb. Layout
/// bipolar has G+ and G- on one bit line: plus is then the charge of G+ - G-.
struct ArrayCharges {
  Matrix plus;   ///< vectors x cols
  Matrix minus;  ///< the same, or 0 x 0
};
ArrayCharges ideal_charges(const data::ReferenceSet& set, const std::vector<Index>& vectors);

/// Indices of the vectors with held_out == flag, in order.
std::vector<Index> vectors_where(const data::ReferenceSet& set, int flag);
/// For every weight draw the positions k with draw(vectors[k]) equal to it.
std::vector<std::vector<Index>> positions_by_draw(const data::ReferenceSet& set,
                                                  const std::vector<Index>& vectors);
/// The chosen rows of a matrix, and the way back: row k of `values` becomes row rows[k] of `out`.
template <typename Dense>
Dense rows_of(const Dense& values, const std::vector<Index>& rows) {
  Dense out(static_cast<Index>(rows.size()), values.cols());
  for (std::size_t k = 0; k < rows.size(); ++k) out.row(static_cast<Index>(k)) = values.row(rows[k]);
  return out;
}
template <typename Dense>
void put_rows(const Dense& values, const std::vector<Index>& rows, Dense& out) {
  for (std::size_t k = 0; k < rows.size(); ++k) out.row(rows[k]) = values.row(static_cast<Index>(k));
}

}  // namespace crosstile::validation
