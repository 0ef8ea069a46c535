// Batches through the float32 closure: codes to pulse lengths by position, charges back to columns.
#include <algorithm>

#include "tilemodel/model_impl.hpp"

namespace crosstile::tilemodel {

namespace {

// Pulse lengths of one vector and pass, by position; false when there is no pulse.
template <typename PulseCode>
bool load_codes(ClosureFast::Input input, Index rows, const PulseCode& pulse_code) {
  // Plain locals and three short loops, so that the compiler makes vectors of them.
  std::uint16_t* __restrict codes = input.codes;
  float* __restrict lengths = input.lengths;
  const float first = input.first, per_first = input.per_first, per_width = input.per_width;
  unsigned all = 0;
  for (Index p = 0; p < rows; ++p) codes[p] = static_cast<std::uint16_t>(pulse_code(p));
  for (Index p = 0; p < rows; ++p) all |= codes[p];
  for (Index p = 0; p < rows; ++p) {
    const auto code = static_cast<float>(static_cast<int>(codes[p]));
    const float early = code * per_first, late = 1.0f + (code - first) * per_width;
    lengths[p] = late < early ? late : early;
  }
  return all != 0;
}

template <typename PulseLength>
bool load_lengths(ClosureFast::Input input, Index rows, const PulseLength& pulse_length) {
  bool any = false;
  for (Index p = 0; p < rows; ++p) {
    const auto length = static_cast<float>(pulse_length(p));
    any |= length > 0.0f;
    input.lengths[p] = input.place(length);
  }
  return any;
}

// One vector of codes or of pulse lengths, row 0 first.
template <typename Code>
bool load_vector(const ClosureFast::Input& input, const Code* codes, Index rows, bool north,
                 const PassTable::Entry& pass, const PassTable& table) {
  const auto load = [&](const auto& pulse) {
    const Index last = rows - 1;
    if constexpr (std::is_same_v<Code, int>)
      if (input.codes)
        return north ? load_codes(input, rows, [=](Index p) { return static_cast<int>(pulse(last - p)); })
                     : load_codes(input, rows, [=](Index p) { return static_cast<int>(pulse(p)); });
    return north ? load_lengths(input, rows, [=](Index p) { return pulse(last - p); })
                 : load_lengths(input, rows, pulse);
  };
  if (!table.whole_codes())
    return load([codes, &pass, &table](Index row) { return pass.length(codes[row], table); });
  if (pass.weight > 0.0) return load([codes](Index row) { return std::max<Code>(codes[row], 0); });
  return load([codes](Index row) { return std::max<Code>(-codes[row], 0); });
}

template <typename Scalar>
void add_columns(const float* charge, double factor, const std::vector<ColumnRun>& runs, Scalar* out) {
  const auto scale = static_cast<Scalar>(factor);
  for (const ColumnRun& run : runs) {
    const float* from = charge + run.place;
    Scalar* to = out + run.column;
    if (run.step == 1)
      for (Index k = 0; k < run.count; ++k) to[k] += scale * static_cast<Scalar>(from[k]);
    else
      for (Index k = 0; k < run.count; ++k) to[k * run.step] += scale * static_cast<Scalar>(from[k]);
  }
}

// A pass of one sign has nothing to do where no code has it.
template <typename Codes>
bool has_sign(const Codes& codes, Index first, Index count, const PassTable::Entry& pass) {
  const auto block = codes.middleRows(first, count);
  return pass.weight > 0.0 ? block.maxCoeff() > 0 : block.minCoeff() < 0;
}

}  // namespace

std::vector<ColumnRun> column_runs(const std::vector<Index>& places, const std::vector<Index>& columns) {
  std::vector<ColumnRun> runs;
  for (std::size_t place = 0; place < places.size(); ++place) {
    if (places[place] < 0) continue;
    const Index column = columns[static_cast<std::size_t>(places[place])];
    if (!runs.empty()) {
      ColumnRun& run = runs.back();
      const Index step = run.count == 1 ? column - run.column : run.step;
      if (run.place + run.count == static_cast<Index>(place) && run.column + run.count * step == column) {
        run.step = step;
        ++run.count;
        continue;
      }
    }
    runs.push_back({static_cast<Index>(place), column, 1, 1});
  }
  return runs;
}

bool TileModel::Impl::is_fast() const {
  return spec.correction.coefficients.size() == 0 &&
         std::all_of(groups.begin(), groups.end(), [](const Group& group) { return group.fast.has_value(); });
}

template <typename Codes, typename Charge>
void TileModel::Impl::evaluate_fast(const Codes& codes, Workspace::Impl& scratch, Charge& charge) const {
  check_codes(codes);
  charge.setZero(codes.rows(), tile.cols);
  constexpr bool kWhole = std::is_same_v<Codes, IntMatrix>;
  const double scale = charge_unit();
  for (Index first = 0; first < codes.rows(); first += kFastBlock) {
    const Index count = std::min(kFastBlock, codes.rows() - first);
    for (const PassTable::Entry& pass : passes.passes()) {
      if (!has_sign(codes, first, count, pass)) continue;
      for (const Group& group : groups) {
        const ClosureFast& fast = *group.fast;
        const ClosureFast::Input input = fast.start(count, pass.longest_code, kWhole, scratch.fast);
        for (Index v = 0; v < count; ++v) {
          const auto* vector = codes.data() + (first + v) * tile.rows;
          if (load_vector(input, vector, tile.rows, group.columns.north, pass, passes))
            fast.follow(v, count, pass.longest_code, input, scratch.fast);
          else
            fast.skip(v, count, scratch.fast);
        }
        const float* out = fast.charges(count, scratch.fast);
        for (Index v = 0; v < count; ++v)
          add_columns(out + v * fast.padded_cols(), pass.weight * scale, group.runs,
                      charge.data() + (first + v) * tile.cols);
      }
    }
  }
}

void TileModel::Impl::gradient_fast(const Matrix& codes, const Matrix& charge_gradient,
                                    Workspace::Impl& scratch, Gradient& out) const {
  const double scale = charge_unit();
  WireGradient wire;
  for (Index first = 0; first < codes.rows(); first += kGradientBlock) {
    const Index count = std::min(kGradientBlock, codes.rows() - first);
    for (const PassTable::Entry& pass : passes.passes()) {
      const bool idle = !has_sign(codes, first, count, pass);
      for (const Group& group : groups) {
        const ClosureFast& fast = *group.fast;
        ClosureFast::GradientScratch& own = scratch.fast_gradient;
        const ClosureFast::Input input = fast.start(count, pass.longest_code, false, scratch.fast);
        const auto load = [&](Index v) {
          load_vector(input, codes.data() + (first + v) * tile.rows, tile.rows, group.columns.north, pass,
                      passes);
        };
        float* by_charge = fast.gradient_start(count, own);
        for (Index v = 0; v < count; ++v)
          for (const ColumnRun& run : group.runs)
            for (Index k = 0; k < run.count; ++k)
              by_charge[v * fast.padded_cols() + run.place + k] = static_cast<float>(
                  pass.weight * scale * charge_gradient(first + v, run.column + k * run.step));
        for (Index v = 0; v < count && !idle; ++v) {
          load(v);
          fast.follow(v, count, pass.longest_code, input, scratch.fast);
        }
        if (idle)
          fast.gradient_columns_idle(count, own);
        else
          fast.gradient_columns(count, scratch.fast, own);
        for (Index v = 0; v < count; ++v) {
          if (!idle) load(v);
          const float* by_length =
              idle ? fast.gradient_vector_idle(v, count, own)
                   : fast.gradient_vector(v, count, pass.longest_code, input, scratch.fast, own, wire);
          for (Index p = 0; p < tile.rows; ++p) {
            const Index row = group.columns.row(p, tile.rows);
            out.codes(first + v, row) +=
                pass.slope(codes(first + v, row), passes) * static_cast<double>(by_length[p]);
          }
        }
        if (!idle) add_by_g(group, own, out.g_siemens);
      }
    }
  }
  out.r_col_ohm = wire.cell_ohm;
  out.r_sense_ohm = wire.end_ohm;
}

void TileModel::Impl::add_by_g(const Group& group, const ClosureFast::GradientScratch& scratch,
                               Matrix& by_g) const {
  const Index width = group.fast->panel_cols();
  for (const ColumnRun& run : group.runs)
    for (Index done = 0; done < run.count;) {
      const Index place = run.place + done, inside = place % width;
      const Index count = std::min(run.count - done, width - inside);
      for (Index p = 0; p < tile.rows; ++p) {
        const float* from = group.fast->gradient_by_g(p, place - inside, scratch) + inside;
        double* to = &by_g(group.columns.row(p, tile.rows), run.column + done * run.step);
        for (Index k = 0; k < count; ++k) to[k * run.step] += static_cast<double>(from[k]);
      }
      done += count;
    }
}

template void TileModel::Impl::evaluate_fast(const IntMatrix&, Workspace::Impl&, Matrix&) const;
template void TileModel::Impl::evaluate_fast(const IntMatrix&, Workspace::Impl&, MatrixF&) const;
template void TileModel::Impl::evaluate_fast(const Matrix&, Workspace::Impl&, Matrix&) const;

}  // namespace crosstile::tilemodel
