// Batches through the float32 closure: codes to pulse lengths by position, charges back to columns.
#include "tilemodel/load_codes.hpp"
#include "tilemodel/model_impl.hpp"

namespace crosstile::tilemodel {

namespace {

// fresh: out is written, not added to.
template <bool fresh, typename Scalar>
void put_columns(const float* charge, double factor, const std::vector<ColumnRun>& runs, Scalar* out) {
  const auto scale = static_cast<Scalar>(factor);
  for (const ColumnRun& run : runs) {
    const float* from = charge + run.place;
    Scalar* to = out + run.column;
    const auto value = [&](Index k, Scalar before) {
      return (fresh ? Scalar(0) : before) + scale * static_cast<Scalar>(from[k]);
    };
    if (run.step == 1)
      for (Index k = 0; k < run.count; ++k) to[k] = value(k, to[k]);
    else
      for (Index k = 0; k < run.count; ++k) to[k * run.step] = value(k, to[k * run.step]);
  }
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
  charge.resize(codes.rows(), tile.cols);
  int parts = 0;  // of the batch, with a scratch of their own
  constexpr bool kWhole = std::is_same_v<Codes, IntMatrix>;
  const double scale = charge_unit();
  for (Index first = 0; first < codes.rows(); first += kFastBlock) {
    const Index count = std::min(kFastBlock, codes.rows() - first);
    bool fresh = true;  // nothing has been written of these vectors
    for (const PassTable::Entry& pass : passes.passes()) {
      if (!has_sign(codes, first, count, pass)) continue;
      for (const Group& group : groups) {
        const ClosureFast& fast = *group.fast;
        const ClosureFast::Input input = fast.start(count, pass.longest_code, kWhole, scratch.fast);
        for (Index v = 0; v < count; ++v) {
          const auto* vector = codes.data() + (first + v) * tile.rows;
          if (load_vector(input, vector, tile.rows, group.columns.north, pass, passes))
            fast.follow(v, count, input, scratch.fast);
          else
            fast.skip(v, count, scratch.fast);
        }
        ++parts;
        const float* out = fast.charges(count, scratch.fast);
        const auto put = [&]<bool is_fresh>() {
          for (Index v = 0; v < count; ++v)
            put_columns<is_fresh>(out + v * fast.padded_cols(), pass.weight * scale, group.runs,
                                  charge.data() + (first + v) * tile.cols);
        };
        fresh ? put.template operator()<true>() : put.template operator()<false>();
      }
      fresh = false;
    }
    if (fresh) charge.middleRows(first, count).setZero();
  }
  scratch.followed = parts == 1 ? this : nullptr;
}

template void TileModel::Impl::evaluate_fast(const IntMatrix&, Workspace::Impl&, Matrix&) const;
template void TileModel::Impl::evaluate_fast(const IntMatrix&, Workspace::Impl&, MatrixF&) const;
template void TileModel::Impl::evaluate_fast(const Matrix&, Workspace::Impl&, Matrix&) const;

}  // namespace crosstile::tilemodel
