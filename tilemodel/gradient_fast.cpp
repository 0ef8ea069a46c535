// Gradients of batches through the float32 closure.
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

// by_length: by position; codes and out: by row, which is `step` per position from `first`.
template <typename Scalar>
void add_by_codes(const float* by_length, const PassTable::Entry::Slope& slope, Index rows, bool north,
                  const Scalar* codes, Scalar* out) {
  const auto along = static_cast<Scalar>(slope.along), at_zero = static_cast<Scalar>(slope.at_zero);
  const auto positive = static_cast<Scalar>(slope.positive);
  const auto add = [&](Index row, float by) {
    const Scalar code = positive * codes[row];  // 0 for signed drive, which has at_zero = along
    const Scalar factor = code > 0 ? along : code < 0 ? Scalar(0) : at_zero;
    out[row] += factor * static_cast<Scalar>(by);
  };
  if (north)
    for (Index p = 0; p < rows; ++p) add(rows - 1 - p, by_length[p]);
  else
    for (Index p = 0; p < rows; ++p) add(p, by_length[p]);
}

// By conductances, from the kernel's panels.
template <typename Dense>
void add_by_g(const Group& group, const ClosureFast::GradientScratch& scratch, Dense& by_g) {
  const Index width = group.fast->panel_cols(), rows = by_g.rows();
  for (const ColumnRun& run : group.runs)
    for (Index done = 0; done < run.count;) {
      const Index place = run.place + done, inside = place % width;
      const Index count = std::min(run.count - done, width - inside);
      for (Index p = 0; p < rows; ++p) {
        const float* from = group.fast->gradient_by_g(p, place - inside, scratch) + inside;
        auto* to = &by_g(group.columns.row(p, rows), run.column + done * run.step);
        using Scalar = typename Dense::Scalar;
        if (run.step == 1)
          for (Index k = 0; k < count; ++k) to[k] += static_cast<Scalar>(from[k]);
        else
          for (Index k = 0; k < count; ++k) to[k * run.step] += static_cast<Scalar>(from[k]);
      }
      done += count;
    }
}

}  // namespace

template <typename Dense>
void TileModel::Impl::gradient_fast(const Dense& codes, const Dense& charge_gradient,
                                    const GradientOptions& options, Workspace::Impl& scratch,
                                    BasicGradient<Dense>& out) const {
  WireGradient wire;
  ClosureFast::GradientScratch& own = scratch.fast_gradient;
  for (Index first = 0; first < codes.rows(); first += kGradientBlock) {
    const Index count = std::min(kGradientBlock, codes.rows() - first);
    for (const PassTable::Entry& pass : passes.passes()) {
      const bool idle = !has_sign(codes, first, count, pass);
      const auto slope = pass.slope(passes, options.rising_zero);
      if (idle && (!options.codes || slope.at_zero == 0.0)) continue;
      const bool by_reference = options.codes || options.wire;
      for (const Group& group : groups) {
        const ClosureFast& fast = *group.fast;
        const ClosureFast::Input input = fast.start(count, pass.longest_code, false, scratch.fast);
        const auto load = [&](Index v) {
          return load_vector(input, codes.data() + (first + v) * tile.rows, tile.rows, group.columns.north,
                             pass, passes);
        };
        float* by_charge = fast.gradient_start(count, own);
        for (Index v = 0; v < count; ++v) {
          load_charges(charge_gradient.data() + (first + v) * tile.cols, pass.weight * charge_unit(),
                       group.runs, by_charge + v * fast.padded_cols());
          if (!idle) {
            load(v);
            fast.follow(v, count, pass.longest_code, input, scratch.fast, own);
          }
        }
        if (idle)
          fast.gradient_columns_idle(count, own);
        else
          fast.gradient_columns(count, scratch.fast, by_reference, options.g_siemens, own);
        for (Index v = 0; v < count && by_reference; ++v) {
          if (!idle) load(v);
          const float* by_length =
              idle ? fast.gradient_vector_idle(v, count, own)
                   : fast.gradient_vector(v, count, pass.longest_code, input, scratch.fast, own, wire);
          if (options.codes)
            add_by_codes(by_length, slope, tile.rows, group.columns.north,
                         codes.data() + (first + v) * tile.rows, out.codes.data() + (first + v) * tile.rows);
        }
        if (!idle && options.g_siemens) add_by_g(group, own, out.g_siemens);
      }
    }
  }
  out.r_col_ohm = wire.cell_ohm;
  out.r_sense_ohm = wire.end_ohm;
}

template void TileModel::Impl::gradient_fast(const Matrix&, const Matrix&, const GradientOptions&,
                                             Workspace::Impl&, Gradient&) const;
template void TileModel::Impl::gradient_fast(const MatrixF&, const MatrixF&, const GradientOptions&,
                                             Workspace::Impl&, GradientF&) const;

}  // namespace crosstile::tilemodel
