#include <string>
#include <type_traits>

#include "core/error.hpp"
#include "tilemodel/model_impl.hpp"

namespace crosstile::tilemodel {

template <typename Dense>
void TileModel::Impl::gradient(const Dense& codes, const Dense& charge_gradient,
                               const GradientOptions& options, Workspace::Impl& scratch,
                               BasicGradient<Dense>& out) const {
  check_codes(codes);
  if (charge_gradient.rows() != codes.rows() || charge_gradient.cols() != tile.cols)
    throw Error(ErrorKind::usage, "charge_gradient is " + std::to_string(charge_gradient.rows()) + " x " +
                                      std::to_string(charge_gradient.cols()) + "; expected " +
                                      std::to_string(codes.rows()) + " x " + std::to_string(tile.cols));
  if (spec.correction.coefficients.size() != 0)
    throw Error(ErrorKind::usage, "a model with a fitted correction has no gradient; use the form without it");
  if (options.codes) out.codes.resize(codes.rows(), tile.rows);
  if (options.g_siemens) out.g_siemens.resize(tile.rows, tile.cols);
  out.r_col_ohm = out.r_sense_ohm = 0.0;
  if (is_fast()) {
    gradient_fast(codes, charge_gradient, options, scratch, out);
  } else if constexpr (std::is_same_v<Dense, Matrix>) {
    if (options.codes) out.codes.setZero();
    if (options.g_siemens) out.g_siemens.setZero();
    gradient_plain(codes, charge_gradient, options, scratch, out);
  } else {
    Gradient whole;
    whole.codes.setZero(codes.rows(), tile.rows);
    whole.g_siemens.setZero(tile.rows, tile.cols);
    gradient_plain(codes.template cast<double>(), charge_gradient.template cast<double>(), options, scratch, whole);
    if (options.codes) out.codes = whole.codes.template cast<float>();
    if (options.g_siemens) out.g_siemens = whole.g_siemens.template cast<float>();
    out.r_col_ohm = whole.r_col_ohm;
    out.r_sense_ohm = whole.r_sense_ohm;
  }
  if (options.g_siemens && g_scale.size() != 0)
    out.g_siemens.array() *= g_scale.array().template cast<typename Dense::Scalar>();
  out.r_col_ohm *= factor(kColumnWireFactor);
  out.r_sense_ohm *= factor(kColumnWireFactor);
}

template void TileModel::Impl::gradient(const Matrix&, const Matrix&, const GradientOptions&, Workspace::Impl&,
                                        Gradient&) const;
template void TileModel::Impl::gradient(const MatrixF&, const MatrixF&, const GradientOptions&,
                                        Workspace::Impl&, GradientF&) const;

void TileModel::Impl::gradient_plain(const Matrix& codes, const Matrix& charge_gradient,
                                     const GradientOptions& options, Workspace::Impl& scratch,
                                     Gradient& out) const {
  const double scale = charge_unit();
  if (is_product()) {
    const Panels& weights = std::get<Panels>(groups[0].kernel);
    for (Index v = 0; v < codes.rows(); ++v)
      for (Index i = 0; i < tile.rows; ++i) {
        double sum = 0.0;
        for (Index j = 0; j < tile.cols; ++j) {
          sum += charge_gradient(v, j) * weights(i, j);
          if (options.g_siemens) out.g_siemens(i, j) += scale * charge_gradient(v, j) * codes(v, i);
        }
        if (options.codes) out.codes(v, i) = scale * sum;
      }
    return;
  }
  for (Index v = 0; v < codes.rows(); ++v)
    for (const PassTable::Entry& pass : passes.passes())
      for (std::size_t g = 0; g < groups.size(); ++g)
        add_gradient(g, codes, v, &pass, charge_gradient, options, scratch, out);
}

void TileModel::Impl::add_gradient(std::size_t index, const Matrix& codes, Index vector,
                                   const PassTable::Entry* pass, const Matrix& charge_gradient,
                                   const GradientOptions& options, Workspace::Impl& scratch,
                                   Gradient& out) const {
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
  const auto slope = pass->slope(passes, options.rising_zero);
  for (Index i = 0; i < tile.rows; ++i) {
    const Index row = group.columns.row(i, tile.rows);
    if (options.codes) out.codes(vector, row) += slope(codes(vector, row)) * own.lengths[i];
    for (Index c = 0; c < cols && options.g_siemens; ++c)
      out.g_siemens(row, group.columns.columns[static_cast<std::size_t>(c)]) += own.g(i, c);
  }
}

}  // namespace crosstile::tilemodel
