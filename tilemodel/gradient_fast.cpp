// Gradients of batches through the float32 closure.
#include <type_traits>

#include "tilemodel/load_codes.hpp"
#include "tilemodel/model_impl.hpp"

namespace crosstile::tilemodel {

namespace {

// Derivatives by the charges of one vector, in the kernel's order of columns.
template <typename Scalar>
void load_charges(const Scalar* by_charge, double factor, const std::vector<ColumnRun>& runs, float* out) {
  const auto scale = static_cast<Scalar>(factor);
  for (const ColumnRun& run : runs) {
    const Scalar* from = by_charge + run.column;
    float* to = out + run.place;
    if (run.step == 1)
      for (Index k = 0; k < run.count; ++k) to[k] = static_cast<float>(scale * from[k]);
    else
      for (Index k = 0; k < run.count; ++k) to[k] = static_cast<float>(scale * from[k * run.step]);
  }
}

// by_length: by position; codes and out: by row. fresh: out is written, not added to.
template <bool fresh, typename Scalar>
void put_by_codes(const float* by_length, const PassTable::Entry::Slope& slope, Index rows, bool north,
                  const Scalar* codes, Scalar* out) {
  const auto along = static_cast<Scalar>(slope.along), at_zero = static_cast<Scalar>(slope.at_zero);
  const auto positive = static_cast<Scalar>(slope.positive);
  const auto put = [&](Index row, float by) {
    const Scalar code = positive * codes[row];  // 0 for signed drive, which has at_zero = along
    const Scalar factor = code > 0 ? along : code < 0 ? Scalar(0) : at_zero;
    out[row] = (fresh ? Scalar(0) : out[row]) + factor * static_cast<Scalar>(by);
  };
  if (north)
    for (Index p = 0; p < rows; ++p) put(rows - 1 - p, by_length[p]);
  else
    for (Index p = 0; p < rows; ++p) put(p, by_length[p]);
}

// A piece of a run of columns within one panel of the kernel.
struct PanelPiece {
  const ColumnRun& run;
  Index place, done, count;  // first place, columns of the run before it, columns
};
template <typename Visit>
void for_each_piece(const Group& group, Visit visit) {
  const Index width = group.fast->panel_cols();
  for (const ColumnRun& run : group.runs)
    for (Index done = 0; done < run.count;) {
      const Index place = run.place + done, count = std::min(run.count - done, width - place % width);
      visit(PanelPiece{run, place, done, count});
      done += count;
    }
}

// Whole panels of neighbouring columns have a place of their own in a float32 gradient.
bool is_own_panel(const PanelPiece& piece, Index width) {
  return piece.run.step == 1 && piece.count == width;
}
void find_targets(const Group& group, MatrixF& by_g, std::vector<ClosureFast::PanelTarget>& targets) {
  const Index width = group.fast->panel_cols(), rows = by_g.rows();
  for_each_piece(group, [&](const PanelPiece& piece) {
    if (!is_own_panel(piece, width)) return;
    targets[static_cast<std::size_t>(piece.place / width)] = {
        &by_g(group.columns.row(0, rows), piece.run.column + piece.done),
        group.columns.north ? -by_g.cols() : by_g.cols()};
  });
}
void find_targets(const Group&, Matrix&, std::vector<ClosureFast::PanelTarget>&) {}

// By the conductances of panels that have no place of their own.
template <typename Dense>
void add_by_g(const Group& group, const ClosureFast::GradientScratch& scratch, bool fresh, Dense& by_g) {
  using Scalar = typename Dense::Scalar;
  const Index width = group.fast->panel_cols(), rows = by_g.rows();
  for_each_piece(group, [&](const PanelPiece& piece) {
    if (std::is_same_v<Dense, MatrixF> && is_own_panel(piece, width)) return;
    const Index inside = piece.place % width, step = piece.run.step;
    for (Index p = 0; p < rows; ++p) {
      const float* from = group.fast->gradient_by_g(p, piece.place - inside, scratch) + inside;
      Scalar* to = &by_g(group.columns.row(p, rows), piece.run.column + piece.done * step);
      if (fresh)
        for (Index k = 0; k < piece.count; ++k) to[k * step] = static_cast<Scalar>(from[k]);
      else
        for (Index k = 0; k < piece.count; ++k) to[k * step] += static_cast<Scalar>(from[k]);
    }
  });
}

}  // namespace

// One pass of some vectors through one sense end. fresh: nothing has been written to these vectors' codes, fresh_g: nor to
// the conductances.
template <typename Dense>
void TileModel::Impl::gradient_part(const GradientPart<Dense>& part, const Group& group, bool fresh, bool fresh_g,
                                    Workspace::Impl& scratch, WireGradient& wire,
                                    BasicGradient<Dense>& out) const {
  const auto& [codes, charge_gradient, options, pass, first, count, whole, followed] = part;
  const ClosureFast& fast = *group.fast;
  ClosureFast::GradientScratch& own = scratch.fast_gradient;
  const bool idle = !has_sign(codes, first, count, pass), north = group.columns.north;
  const ClosureFast::Input input = fast.start(count, pass.longest_code, whole, scratch.fast);
  const auto codes_of = [&](Index v) { return codes.data() + (first + v) * tile.rows; };
  const auto load = [&](Index v) { load_vector(input, codes_of(v), tile.rows, north, pass, passes); };
  float* by_charge = fast.gradient_start(count, own);
  for (Index v = 0; v < count; ++v) {
    load_charges(charge_gradient.data() + (first + v) * tile.cols, pass.weight * charge_unit(), group.runs,
                 by_charge + v * fast.padded_cols());
    if (idle || followed) continue;
    load(v);
    fast.follow(v, count, input, scratch.fast);
  }
  std::vector<ClosureFast::PanelTarget>& targets = scratch.panel_targets;
  targets.assign(static_cast<std::size_t>(fast.panels()), {});
  if (options.g_siemens) find_targets(group, out.g_siemens, targets);
  const bool by_reference = options.codes || options.wire;
  if (idle)
    fast.gradient_columns_idle(count, own);
  else
    fast.gradient_columns(count, scratch.fast, {by_reference, options.g_siemens, fresh_g}, targets, own);
  const auto slope = pass.slope(passes, options.rising_zero);
  for (Index v = 0; v < count && by_reference; ++v) {
    if (!idle) load(v);
    const float* by_length =
        idle ? fast.gradient_vector_idle(v, count, own)
             : fast.gradient_vector(v, count, input, scratch.fast, own, wire);
    if (!options.codes) continue;
    auto* by_code = out.codes.data() + (first + v) * tile.rows;
    if (fresh)
      put_by_codes<true>(by_length, slope, tile.rows, north, codes_of(v), by_code);
    else
      put_by_codes<false>(by_length, slope, tile.rows, north, codes_of(v), by_code);
  }
  if (!idle && options.g_siemens) add_by_g(group, own, fresh_g, out.g_siemens);
}

template <typename Dense>
void TileModel::Impl::gradient_fast(const Dense& codes, const Dense& charge_gradient,
                                    const GradientOptions& options, Workspace::Impl& scratch,
                                    BasicGradient<Dense>& out) const {
  WireGradient wire;
  bool fresh_g = true;
  for (Index first = 0; first < codes.rows(); first += kGradientBlock) {
    const Index count = std::min(kGradientBlock, codes.rows() - first);
    const bool followed = options.after_charge && scratch.followed == this && count == codes.rows();
    const bool whole = passes.whole_codes() && all_whole(codes, first, count);
    bool fresh = true;
    for (const PassTable::Entry& pass : passes.passes()) {
      const bool idle = !has_sign(codes, first, count, pass);
      if (idle && (!options.codes || pass.slope(passes, options.rising_zero).at_zero == 0.0)) continue;
      const GradientPart<Dense> part{codes, charge_gradient, options, pass, first, count, whole, followed};
      for (const Group& group : groups) {
        gradient_part(part, group, fresh, fresh_g, scratch, wire, out);
        fresh = false;
      }
      fresh_g = fresh_g && idle;
    }
    if (fresh && options.codes) out.codes.middleRows(first, count).setZero();
  }
  scratch.followed = nullptr;
  if (fresh_g && options.g_siemens) out.g_siemens.setZero();
  out.r_col_ohm = wire.cell_ohm;
  out.r_sense_ohm = wire.end_ohm;
}

template void TileModel::Impl::gradient_fast(const Matrix&, const Matrix&, const GradientOptions&,
                                             Workspace::Impl&, Gradient&) const;
template void TileModel::Impl::gradient_fast(const MatrixF&, const MatrixF&, const GradientOptions&,
                                             Workspace::Impl&, GradientF&) const;

}  // namespace crosstile::tilemodel
