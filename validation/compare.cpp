#include "validation/compare.hpp"

#include <time.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "core/error.hpp"

namespace crosstile::validation {

namespace {

// Processor time of this thread: a ratio of two of them still says something
// on a machine that does other things too.
double compare_seconds() {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

Matrix stacked(const ArrayCharges& charges) {
  Matrix both(charges.plus.rows() + charges.minus.rows(), charges.plus.cols());
  both.topRows(charges.plus.rows()) = charges.plus;
  if (charges.minus.rows() > 0) both.bottomRows(charges.minus.rows()) = charges.minus;
  return both;
}

Matrix differential(const ArrayCharges& charges) {
  return charges.minus.size() > 0 ? Matrix(charges.plus - charges.minus) : charges.plus;
}

ArrayCharges empty_charges(Index vectors, Index cols, bool has_minus) {
  return {Matrix(vectors, cols), has_minus ? Matrix(vectors, cols) : Matrix()};
}

/// The fast model programmed with every draw that has vectors to compare.
class FastModel {
 public:
  FastModel(const data::ReferenceSet& set, const std::vector<Index>& vectors, const DrawFactory& factory)
      : vectors_(static_cast<Index>(vectors.size())), cols_(set.charge_plus_coulomb.cols()) {
    has_minus_ = set.charge_minus_coulomb.size() > 0;
    const IntMatrix codes = rows_of(set.codes, vectors);
    const auto positions = positions_by_draw(set, vectors);
    for (std::size_t d = 0; d < positions.size(); ++d) {
      if (positions[d].empty()) continue;
      const double begin = compare_seconds();
      for (int minus = 0; minus <= (has_minus_ ? 1 : 0); ++minus) {
        arrays_.push_back({factory(set, static_cast<Index>(d), minus == 1), minus == 1, positions[d],
                           rows_of(codes, positions[d])});
        require_fit(arrays_.back().model, codes.cols());
      }
      setup_seconds_ += compare_seconds() - begin;
      ++draws_;
    }
  }

  ArrayCharges charges() {
    ArrayCharges out = empty_charges(vectors_, cols_, has_minus_);
    for (const Array& array : arrays_) {
      array.model.charge(array.codes, buffer_, workspace_);
      put_rows(buffer_, array.positions, array.is_minus ? out.minus : out.plus);
    }
    return out;
  }

  /// Seconds of one pass over all vectors.
  double time_once() {
    const double begin = compare_seconds();
    for (const Array& array : arrays_) array.model.charge(array.codes, buffer_, workspace_);
    return compare_seconds() - begin;
  }

  double setup_seconds_per_draw() const { return setup_seconds_ / static_cast<double>(draws_); }

 private:
  struct Array {
    tilemodel::TileModel model;
    bool is_minus;
    std::vector<Index> positions;
    IntMatrix codes;
  };

  void require_fit(const tilemodel::TileModel& model, Index rows) const {
    if (model.rows() == rows && model.cols() == cols_) return;
    throw Error(ErrorKind::usage, "compare: the model is " + std::to_string(model.rows()) + " x " +
                                      std::to_string(model.cols()) + ", the tile " + std::to_string(rows) +
                                      " x " + std::to_string(cols_));
  }

  Index vectors_, cols_;
  bool has_minus_ = false;
  Index draws_ = 0;
  double setup_seconds_ = 0.0;
  std::vector<Array> arrays_;
  Matrix buffer_;
  tilemodel::Workspace workspace_;
};

void require_finite(const ArrayCharges& charges, const Comparison& comparison) {
  const Matrix all = stacked(charges);
  for (Index k = 0; k < all.rows(); ++k)
    for (Index j = 0; j < all.cols(); ++j)
      if (!std::isfinite(all(k, j)))
        throw Error(
            ErrorKind::not_converged,
            "compare: " + comparison.model_name + " returned a charge that is not finite for vector " +
                std::to_string(comparison.vectors[static_cast<std::size_t>(k % charges.plus.rows())]) +
                ", column " + std::to_string(j));
}

Timing measure(FastModel& model, Index vectors, const CompareOptions& options) {
  std::vector<double> passes;
  double total = 0.0;
  while (passes.size() < 3 || total < options.timing_seconds) {
    passes.push_back(model.time_once());
    total += passes.back();
    report_progress(options.progress,
                    0.5 + 0.5 * std::min(1.0, total / std::max(options.timing_seconds, 1e-9)),
                    "timing the fast model");
  }
  Timing timing;
  timing.fast_seconds_per_vector = quantile(passes, 0.5) / static_cast<double>(vectors);
  timing.setup_seconds_per_draw = model.setup_seconds_per_draw();
  timing.repetitions = static_cast<Index>(passes.size());
  timing.circuit_seconds_per_vector = options.circuit_seconds_per_vector;
  if (timing.circuit_seconds_per_vector && timing.fast_seconds_per_vector > 0.0)
    timing.speed_up = *timing.circuit_seconds_per_vector / timing.fast_seconds_per_vector;
  return timing;
}

IrDrop ir_drop_of(const Matrix& full, const Matrix& ideal) {
  IrDrop drop;
  const double smallest = 0.1 * ideal.cwiseAbs().maxCoeff();
  if (!(smallest > 0.0)) return drop;
  const Array sign = ideal.array().sign();
  const Array lost = ideal.array().abs() - full.array() * sign;
  drop.mean_loss = lost.sum() / ideal.cwiseAbs().sum();
  bool first = true;
  for (Index n = 0; n < ideal.size(); ++n) {
    const double size = std::abs(ideal.data()[n]);
    if (size < smallest) continue;
    const double loss = lost.data()[n] / size;
    drop.max_loss = first ? loss : std::max(drop.max_loss, loss);
    first = false;
  }
  return drop;
}

/// Charges of the three fitted baselines, in the order one gain, gain per column, linear map.
std::array<ArrayCharges, 3> baseline_charges(const data::ReferenceSet& set, const std::vector<Index>& vectors,
                                             const ArrayCharges& ideal) {
  const Baselines fit = fit_baselines(set);
  const bool has_minus = ideal.minus.size() > 0;
  const IntMatrix codes = rows_of(set.codes, vectors);
  std::array<ArrayCharges, 3> out;
  out[0] = {ideal.plus * fit.one_gain, has_minus ? Matrix(ideal.minus * fit.one_gain) : Matrix()};
  out[1] = out[2] = empty_charges(codes.rows(), ideal.plus.cols(), has_minus);
  const auto positions = positions_by_draw(set, vectors);
  const auto apply = [&](const std::vector<LinearMap>& maps, const Matrix& ideal_array, Matrix& gained,
                         Matrix& mapped) {
    for (std::size_t d = 0; d < positions.size(); ++d) {
      if (positions[d].empty()) continue;
      const Matrix here = rows_of(ideal_array, positions[d]);
      put_rows(Matrix(here * maps[d].gains.asDiagonal()), positions[d], gained);
      put_rows(maps[d].predict(rows_of(codes, positions[d]), here), positions[d], mapped);
    }
  };
  apply(fit.plus, ideal.plus, out[1].plus, out[2].plus);
  if (has_minus) apply(fit.minus, ideal.minus, out[1].minus, out[2].minus);
  return out;
}

void add_competitor(Comparison& comparison, const std::string& key, const std::string& name,
                    ArrayCharges charge) {
  Competitor one;
  one.key = key;
  one.name = name;
  one.bit_line = error_metrics(stacked(charge), stacked(comparison.full), comparison.scale);
  one.differential = error_metrics(differential(charge), differential(comparison.full), comparison.scale);
  one.charge = std::move(charge);
  comparison.competitors.push_back(std::move(one));
}

// One set of edges for all, so that the histograms can be laid over each other: from a thousandth of the
// smallest RMS error (but not below 1e-9 LSB, where doubles end) to the largest error.
void fill_histograms(Comparison& comparison, Index bins_per_decade) {
  double low = 1e300, high = 0.0;
  for (const Competitor& one : comparison.competitors) {
    low = std::min(low, 1e-3 * one.bit_line.rms_lsb);
    high = std::max(high, one.bit_line.max_lsb);
  }
  low = std::max(low, 1e-9);
  const Vector edges = decade_edges(low, std::max(high, 10.0 * low), bins_per_decade);
  for (Competitor& one : comparison.competitors) {
    const Matrix error = (stacked(one.charge) - stacked(comparison.full)) / comparison.scale.lsb_coulomb;
    one.error = histogram(error.cwiseAbs(), edges);
  }
}

void find_worst(Comparison& comparison) {
  const ErrorMetrics& error = comparison.fast().bit_line;
  const Index compared = comparison.full.plus.rows();
  comparison.worst_vector = comparison.vectors[static_cast<std::size_t>(error.worst_row % compared)];
  comparison.worst_column = error.worst_column;
  comparison.worst_is_minus = error.worst_row >= compared;
}

std::string note_of(const data::ReferenceSet& set, bool held_out_only) {
  if (!held_out_only)
    return "No vector of the set is held out: all were compared, and the baselines were fitted to the very "
           "vectors they are judged on.";
  const Index fit = static_cast<Index>(vectors_where(set, 0).size());
  if (fit == 0)
    return "All vectors of the set are held out: the baselines could not be fitted and are the ideal "
           "product.";
  Index without = 0;
  for (const auto& here : positions_by_draw(set, vectors_where(set, 0))) without += here.empty() ? 1 : 0;
  if (without > 0)
    return std::to_string(without) +
           " weight draws have held-out vectors only; there the baselines use the one gain of the others.";
  return {};
}

}  // namespace

Comparison compare(const data::ReferenceSet& set, const ModelFactory& factory,
                   const CompareOptions& options) {
  if (set.tile.weight_layout == data::WeightLayout::bipolar)
    throw Error(ErrorKind::usage,
                "compare: weight_layout = bipolar has two conductances on a bit line; give a DrawFactory");
  const DrawFactory of_draw = [&factory](const data::ReferenceSet& s, Index draw, bool minus_array) {
    return factory(s.tile,
                   (minus_array ? s.g_minus_siemens : s.g_plus_siemens)[static_cast<std::size_t>(draw)]);
  };
  return compare(set, of_draw, options);
}

Comparison compare(const data::ReferenceSet& set, const DrawFactory& factory, const CompareOptions& options) {
  set.validate();
  if (options.circuit_seconds_per_vector)
    require_in_range("circuit_seconds_per_vector", *options.circuit_seconds_per_vector, 0.0, 1e9);
  require_in_range("timing_seconds", options.timing_seconds, 0.0, 3600.0);

  Comparison out;
  out.model_name = options.model_name;
  out.rows = set.codes.cols();
  out.cols = set.charge_plus_coulomb.cols();
  out.scale = scale_of(set);
  out.fit_vectors = static_cast<Index>(vectors_where(set, 0).size());
  out.vectors = vectors_where(set, 1);
  out.held_out_only = !out.vectors.empty();
  if (!out.held_out_only) out.vectors = vectors_where(set, 0);
  out.note = note_of(set, out.held_out_only);
  out.full.plus = rows_of(set.charge_plus_coulomb, out.vectors);
  if (set.charge_minus_coulomb.size() > 0) out.full.minus = rows_of(set.charge_minus_coulomb, out.vectors);

  report_progress(options.progress, 0.0, "programming the fast model");
  FastModel model(set, out.vectors, factory);
  ArrayCharges fast = model.charges();
  require_finite(fast, out);
  report_progress(options.progress, 0.25, "fitting the baselines");
  ArrayCharges ideal = ideal_charges(set, out.vectors);
  std::array<ArrayCharges, 3> baselines = baseline_charges(set, out.vectors, ideal);
  out.ir_drop = ir_drop_of(stacked(out.full), stacked(ideal));
  out.timing = measure(model, static_cast<Index>(out.vectors.size()), options);

  add_competitor(out, "fast", options.model_name, std::move(fast));
  add_competitor(out, "linear_map", "best linear map", std::move(baselines[2]));
  add_competitor(out, "column_gain", "ideal product, one gain per column", std::move(baselines[1]));
  add_competitor(out, "one_gain", "ideal product, one gain", std::move(baselines[0]));
  add_competitor(out, "ideal", "ideal product (no wires)", std::move(ideal));
  fill_histograms(out, options.bins_per_decade);
  find_worst(out);
  return out;
}

}  // namespace crosstile::validation
