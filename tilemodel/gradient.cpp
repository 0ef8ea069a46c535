#include <string>

#include "core/error.hpp"
#include "tilemodel/model_impl.hpp"

namespace crosstile::tilemodel {

void TileModel::Impl::gradient(const Matrix& codes, const Matrix& charge_gradient, Workspace::Impl& scratch,
                               Gradient& out) const {
  check_codes(codes);
  if (charge_gradient.rows() != codes.rows() || charge_gradient.cols() != tile.cols)
    throw Error(ErrorKind::usage, "charge_gradient is " + std::to_string(charge_gradient.rows()) + " x " +
                                      std::to_string(charge_gradient.cols()) + "; expected " +
                                      std::to_string(codes.rows()) + " x " + std::to_string(tile.cols));
  if (spec.correction.coefficients.size() != 0)
    throw Error(ErrorKind::usage, "a model with a fitted correction has no gradient; use the form without it");
  out.codes.setZero(codes.rows(), tile.rows);
  out.g_siemens.setZero(tile.rows, tile.cols);
  out.r_col_ohm = out.r_sense_ohm = 0.0;
  const double scale = charge_unit();
  if (is_fast()) {
    gradient_fast(codes, charge_gradient, scratch, out);
  } else if (is_product()) {
    const Panels& weights = std::get<Panels>(groups[0].kernel);
    for (Index v = 0; v < codes.rows(); ++v)
      for (Index i = 0; i < tile.rows; ++i) {
        double sum = 0.0;
        for (Index j = 0; j < tile.cols; ++j) {
          sum += charge_gradient(v, j) * weights(i, j);
          out.g_siemens(i, j) += scale * charge_gradient(v, j) * codes(v, i);
        }
        out.codes(v, i) = scale * sum;
      }
  } else {
    for (Index v = 0; v < codes.rows(); ++v)
      for (const PassTable::Entry& pass : passes.passes())
        for (std::size_t g = 0; g < groups.size(); ++g)
          add_gradient(g, codes, v, &pass, charge_gradient, scratch, out);
  }
  out.g_siemens.array() *= g_scale.array();
  out.r_col_ohm *= factor(kColumnWireFactor);
  out.r_sense_ohm *= factor(kColumnWireFactor);
}

void TileModel::Impl::add_gradient(std::size_t index, const Matrix& codes, Index vector,
                                   const PassTable::Entry* pass, const Matrix& charge_gradient,
                                   Workspace::Impl& scratch, Gradient& out) const {
  const Group& group = groups[index];
  const auto cols = static_cast<Index>(group.columns.columns.size());
  GradientScratch& own = scratch.gradient;
  const double factor = pass->weight * charge_unit();
  own.charge.resize(cols);
  for (Index c = 0; c < cols; ++c)
    own.charge[c] = factor * charge_gradient(vector, group.columns.columns[static_cast<std::size_t>(c)]);
  own.lengths.setZero(tile.rows);
  own.g.setZero(tile.rows, cols);
  scratch.lengths.resize(1, tile.rows);
  for (Index i = 0; i < tile.rows; ++i)
    scratch.lengths(0, i) = pass->length(codes(vector, group.columns.row(i, tile.rows)), passes);
  WireGradient wire;
  const GradientTargets targets{own.lengths.data(), &own.g, &wire};
  const double* lengths = scratch.lengths.data();
  if (const auto* ladder = std::get_if<Ladder>(&group.kernel))
    ladder_gradient(ladder->wire(), ladder->conductances(), lengths, passes.signed_drive(), own.charge.data(),
                    own.ladder, targets);
  else if (const auto* binned = std::get_if<BinnedLadder>(&group.kernel))
    binned_gradient(*binned, lengths, pass->longest_code, passes.signed_drive(), own.charge.data(),
                    own.ladder, targets);
  else
    std::get<Closure>(group.kernel)
        .gradient(lengths, pass->longest_code, own.charge.data(), scratch.closure, targets);
  out.r_col_ohm += wire.cell_ohm;
  out.r_sense_ohm += wire.end_ohm;
  for (Index i = 0; i < tile.rows; ++i) {
    const Index row = group.columns.row(i, tile.rows);
    out.codes(vector, row) += pass->slope(codes(vector, row), passes) * own.lengths[i];
    for (Index c = 0; c < cols; ++c)
      out.g_siemens(row, group.columns.columns[static_cast<std::size_t>(c)]) += own.g(i, c);
  }
}

}  // namespace crosstile::tilemodel
