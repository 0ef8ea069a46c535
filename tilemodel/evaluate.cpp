#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <string>
#include <type_traits>

#include "core/error.hpp"
#include "tilemodel/model_impl.hpp"

namespace crosstile::tilemodel {

template <typename Codes>
void TileModel::Impl::check_codes(const Codes& codes) const {
  if (codes.cols() != tile.rows)
    throw Error(ErrorKind::usage, "codes have " + std::to_string(codes.cols()) +
                                      " rows of the tile in each vector; the tile has " +
                                      std::to_string(tile.rows));
  const int largest = passes.max_code();
  const auto limit = static_cast<typename Codes::Scalar>(largest);
  int outside = 0;  // a plain loop, so that the compiler makes vectors of it; a NaN is outside
  for (Index k = 0; k < codes.size(); ++k)
    outside |= static_cast<int>(!(codes.data()[k] <= limit)) | static_cast<int>(!(codes.data()[k] >= -limit));
  const bool inside = outside == 0;
  for (Index v = 0; v < codes.rows() && !inside; ++v)
    for (Index i = 0; i < codes.cols(); ++i)
      if (!(codes(v, i) <= limit && codes(v, i) >= -limit))
        throw_out_of_range("code of vector " + std::to_string(v) + ", row " + std::to_string(i), codes(v, i),
                           "allowed: -" + std::to_string(largest) + " to " + std::to_string(largest));
  if (std::is_same_v<Codes, IntMatrix> || is_product() || passes.whole_codes()) return;
  for (Index v = 0; v < codes.rows(); ++v)
    for (Index i = 0; i < codes.cols(); ++i)
      if (static_cast<typename Codes::Scalar>(static_cast<int>(codes(v, i))) != codes(v, i))
        throw_out_of_range("code of vector " + std::to_string(v) + ", row " + std::to_string(i), codes(v, i),
                           "allowed with pulse.passes = \"" + std::string(data::to_name(tile.pulse.passes)) +
                               "\": whole codes");
}

void TileModel::Impl::prepare(Workspace::Impl& scratch) const {
  scratch.lengths.resize(kBlock, tile.rows);
  scratch.activity.resize(kBlock);
  for (std::size_t g = 0; g < groups.size(); ++g) {
    const Index cols = groups[g].position.size();
    const Index padded = (cols + kPanelCols - 1) / kPanelCols * kPanelCols;
    GroupScratch& group = scratch.group[g];
    group.lengths.resize(kBlock, tile.rows);
    group.base.resize(kBlock, padded);
    for (Matrix& feature : group.feature) feature.resize(kBlock, padded);
  }
  if (mesh) mesh->prepare(kBlock, scratch.mesh);
}

template <typename Codes>
void TileModel::Impl::evaluate(const Codes& codes, Workspace::Impl& scratch, Matrix& charge,
                               std::vector<Matrix>* features) const {
  check_codes(codes);
  prepare(scratch);
  charge.resize(codes.rows(), tile.cols);
  charge.setZero();
  const double scale = charge_unit();
  const bool corrected = spec.correction.coefficients.size() != 0;
  const std::size_t pass_count = is_product() ? 1 : passes.passes().size();
  for (Index first = 0; first < codes.rows(); first += kBlock) {
    const Index count = std::min(kBlock, codes.rows() - first);
    for (std::size_t p = 0; p < pass_count; ++p) {
      const PassTable::Entry* pass = is_product() ? nullptr : &passes.passes()[p];
      if (!load_pass(codes, first, count, pass, scratch)) continue;
      compute_base(count, pass ? pass->longest_code : 0, scratch);
      const double factor = pass ? pass->weight * scale : scale;
      if (features || corrected) compute_features(count, features != nullptr, scratch);
      if (features)
        add_features(first, count, factor, scratch, charge, *features);
      else
        add_corrected(first, count, factor, scratch, charge);
    }
  }
}

// False when no vector of the block has a pulse in this pass.
template <typename Codes>
bool TileModel::Impl::load_pass(const Codes& codes, Index first, Index count,
                                const PassTable::Entry* pass, Workspace::Impl& scratch) const {
  bool any = false;
  const double largest = pass ? pass->longest_code - 1 : passes.max_code();
  for (Index v = 0; v < count; ++v) {
    double sum = 0.0;
    for (Index i = 0; i < tile.rows; ++i) {
      const auto code = codes(first + v, i);
      const double part = pass ? pass->length(code, passes) : static_cast<double>(code);
      scratch.lengths(v, i) = part;
      sum += std::abs(part);
    }
    any = any || sum > 0.0;
    scratch.activity[v] = sum / (largest * static_cast<double>(tile.rows));
  }
  if (!any) return false;
  for (std::size_t g = 0; g < groups.size(); ++g) {
    GroupScratch& group = scratch.group[g];
    if (groups[g].columns.north)
      group.lengths.topRows(count) = scratch.lengths.topRows(count).rowwise().reverse();
    else
      group.lengths.topRows(count) = scratch.lengths.topRows(count);
  }
  return true;
}

void TileModel::Impl::compute_base(Index count, int longest_code, Workspace::Impl& scratch) const {
  for (std::size_t g = 0; g < groups.size(); ++g) {
    GroupScratch& group = scratch.group[g];
    group.base.topRows(count).setZero();
    if (const auto* product = std::get_if<Panels>(&groups[g].kernel)) {
      panel_product(group.lengths, count, *product, group.base);
      continue;
    }
    if (groups[g].fast) {
      const ClosureFast& fast = *groups[g].fast;
      scratch.followed = nullptr;
      const ClosureFast::Input input = fast.start(count, longest_code, false, scratch.fast);
      for (Index v = 0; v < count; ++v) {
        for (Index i = 0; i < tile.rows; ++i)
          input.lengths[i] = input.place(static_cast<float>(group.lengths(v, i)));
        fast.follow(v, count, input, scratch.fast);
      }
      const float* charge = fast.charges(count, scratch.fast);
      for (Index v = 0; v < count; ++v)
        for (Index place = 0; place < fast.padded_cols(); ++place)
          if (const Index c = fast.columns()[static_cast<std::size_t>(place)]; c >= 0)
            group.base(v, c) = static_cast<double>(charge[v * fast.padded_cols() + place]);
      continue;
    }
    for (Index v = 0; v < count; ++v) {
      const double* lengths = group.lengths.data() + v * tile.rows;
      double* out = group.base.data() + v * group.base.cols();
      if (groups[g].fast_ladder)
        groups[g].fast_ladder->charge(lengths, out, scratch.fast_ladder);
      else if (const auto* ladder = std::get_if<Ladder>(&groups[g].kernel))
        ladder->charge(lengths, passes.signed_drive(), out, scratch.schedule);
      else if (const auto* closure = std::get_if<Closure>(&groups[g].kernel))
        closure->charge(lengths, longest_code, out, scratch.closure);
      else
        std::get<BinnedLadder>(groups[g].kernel)
            .charge(lengths, longest_code, passes.signed_drive(), out, scratch.binned);
    }
  }
}

void TileModel::Impl::compute_features(Index count, bool all, Workspace::Impl& scratch) const {
  for (std::size_t g = 0; g < groups.size(); ++g) {
    GroupScratch& group = scratch.group[g];
    for (std::size_t f = kColumnLoss; f < group.feature.size(); ++f)
      group.feature[f].topRows(count).setZero();
    group.feature[kCharge].topRows(count) = group.base.topRows(count);
    group.feature[kChargeActivity].topRows(count) =
        scratch.activity.head(count).asDiagonal() * group.base.topRows(count);
    const Index cols = groups[g].position.size();
    group.feature[kChargePosition].topRows(count).setZero();
    group.feature[kChargePosition].topLeftCorner(count, cols) =
        group.base.topLeftCorner(count, cols) * groups[g].position.asDiagonal();
  }
  if (!is_product()) compute_wire_features(count, all, scratch);
}

void TileModel::Impl::compute_wire_features(Index count, bool all, Workspace::Impl& scratch) const {
  std::array<const Matrix*, 2> loss{};
  std::array<Matrix*, 2> estimate{};
  for (std::size_t g = 0; g < groups.size(); ++g) {
    GroupScratch& group = scratch.group[g];
    Matrix& column_loss = group.feature[kColumnLoss];
    Matrix& squared = group.feature[kColumnLossSquared];
    panel_product(group.lengths, count, groups[g].used, squared);
    const auto lossless = squared.topRows(count).array();
    column_loss.topRows(count) = squared.topRows(count) - group.base.topRows(count);
    group.feature[kColumnLossActivity].topRows(count) =
        scratch.activity.head(count).asDiagonal() * column_loss.topRows(count);
    // With signed drive the lossless charge passes through zero.
    if (passes.signed_drive())
      squared.topRows(count).setZero();
    else
      squared.topRows(count).array() =
          (lossless > 0.0).select(column_loss.topRows(count).array().square() / lossless, 0.0);
    if (groups[g].row_lost) panel_product(group.lengths, count, *groups[g].row_lost, group.feature[kRowLoss]);
    loss[g] = &column_loss;
    estimate[g] = &group.feature[kMesh];
  }
  if (mesh && (all || spec.correction.coefficients[kMesh] != 0.0))
    mesh->evaluate(scratch.lengths, count, loss, estimate, scratch.mesh);
}

void TileModel::Impl::add_corrected(Index first, Index count, double factor, const Workspace::Impl& scratch,
                                    Matrix& charge) const {
  const Vector& coefficients = spec.correction.coefficients;
  for (std::size_t g = 0; g < groups.size(); ++g) {
    const GroupScratch& group = scratch.group[g];
    for (Index v = 0; v < count; ++v)
      for (std::size_t c = 0; c < groups[g].columns.columns.size(); ++c) {
        const auto k = static_cast<Index>(c);
        double sum = group.base(v, k);
        for (Index f = 0; f < coefficients.size(); ++f)
          sum += coefficients[f] * group.feature[static_cast<std::size_t>(f)](v, k);
        charge(first + v, groups[g].columns.columns[c]) += factor * sum;
      }
  }
}

void TileModel::Impl::add_features(Index first, Index count, double factor, const Workspace::Impl& scratch,
                                   Matrix& charge, std::vector<Matrix>& features) const {
  for (std::size_t g = 0; g < groups.size(); ++g) {
    const GroupScratch& group = scratch.group[g];
    for (Index v = 0; v < count; ++v)
      for (std::size_t c = 0; c < groups[g].columns.columns.size(); ++c) {
        const Index column = groups[g].columns.columns[c];
        charge(first + v, column) += factor * group.base(v, static_cast<Index>(c));
        for (std::size_t f = 0; f < features.size(); ++f)
          features[f](first + v, column) += factor * group.feature[f](v, static_cast<Index>(c));
      }
  }
}

template void TileModel::Impl::check_codes(const IntMatrix&) const;
template void TileModel::Impl::check_codes(const Matrix&) const;
template void TileModel::Impl::check_codes(const MatrixF&) const;
template void TileModel::Impl::evaluate(const IntMatrix&, Workspace::Impl&, Matrix&,
                                        std::vector<Matrix>*) const;
template void TileModel::Impl::evaluate(const Matrix&, Workspace::Impl&, Matrix&, std::vector<Matrix>*) const;

}  // namespace crosstile::tilemodel
