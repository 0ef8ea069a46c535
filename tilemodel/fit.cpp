#include "tilemodel/fit.hpp"

#include <algorithm>
#include <cmath>

#include "core/error.hpp"
#include "core/parallel.hpp"
#include "tilemodel/fit_figures.hpp"
#include "tilemodel/regression.hpp"
#include "tilemodel/validity.hpp"

namespace crosstile::tilemodel {

namespace {

constexpr Index kChunk = 32;  // vectors evaluated by one thread at a time

std::vector<Index> vectors_of_draw(const data::ReferenceSet& set, Index draw) {
  std::vector<Index> list;
  for (Index v = 0; v < set.vectors(); ++v)
    if (set.draw[v] == draw) list.push_back(v);
  return list;
}

TileModel make_model(const data::ReferenceSet& set, const ModelSpec& spec, const EffectiveMatrices& w_eff,
                     bool minus, std::size_t draw) {
  const Matrix& g = minus ? set.g_minus_siemens[draw] : set.g_plus_siemens[draw];
  const bool signed_weights = set.tile.weight_layout == data::WeightLayout::bipolar;
  const Matrix weights = signed_weights ? Matrix(g - set.g_minus_siemens[draw]) : g;
  if (spec.form != Form::effective) return TileModel(spec, set.tile, weights);
  const std::vector<Matrix>& list = minus ? w_eff.minus : w_eff.plus;
  if (draw >= list.size())
    throw Error(ErrorKind::usage, std::string("form \"effective\": there are ") +
                                      std::to_string(list.size()) + (minus ? " minus" : " plus") +
                                      " matrices for " + std::to_string(set.g_plus_siemens.size()) +
                                      " weight draws");
  return TileModel(spec, set.tile, weights, list[draw]);
}

// What an evaluation wants of a model: its charge, and with it the correction's features or not.
enum class Wanted { charge, features };

void evaluate_draw(const data::ReferenceSet& set, const TileModel& model, const std::vector<Index>& vectors,
                   Wanted wanted, ArrayData& out) {
  const auto total = static_cast<Index>(vectors.size());
  parallel_for((total + kChunk - 1) / kChunk, 0, [&](Index chunk, int) {
    const Index first = chunk * kChunk;
    const Index count = std::min(kChunk, total - first);
    IntMatrix codes(count, set.codes.cols());
    for (Index v = 0; v < count; ++v)
      codes.row(v) = set.codes.row(vectors[static_cast<std::size_t>(first + v)]);
    Matrix base;
    std::vector<Matrix> feature;
    if (wanted == Wanted::features)
      model.base_and_features(codes, base, feature);
    else
      model.charge(codes, base);
    for (Index v = 0; v < count; ++v) {
      const Index target = vectors[static_cast<std::size_t>(first + v)];
      out.base.row(target) = base.row(v);
      for (std::size_t f = 0; f < feature.size(); ++f) out.feature[f].row(target) = feature[f].row(v);
    }
  });
}

std::vector<ArrayData> evaluate(const data::ReferenceSet& set, const ModelSpec& spec,
                                const EffectiveMatrices& w_eff, Wanted wanted, const Progress& progress) {
  std::vector<ArrayData> arrays(set.charge_minus_coulomb.size() != 0 ? 2 : 1);
  const std::size_t draws = set.g_plus_siemens.size();
  for (std::size_t a = 0; a < arrays.size(); ++a) {
    arrays[a].reference = a == 0 ? set.charge_plus_coulomb : set.charge_minus_coulomb;
    arrays[a].base = Matrix::Zero(set.vectors(), set.tile.cols);
    if (wanted == Wanted::features)
      arrays[a].feature.assign(static_cast<std::size_t>(kFeatureCount), arrays[a].base);
    for (std::size_t draw = 0; draw < draws; ++draw) {
      report_progress(progress,
                      static_cast<double>(a * draws + draw) / static_cast<double>(arrays.size() * draws),
                      "fast model of the reference vectors");
      evaluate_draw(set, make_model(set, spec, w_eff, a == 1, draw),
                    vectors_of_draw(set, static_cast<Index>(draw)), wanted, arrays[a]);
    }
  }
  return arrays;
}

// Vectors by their part in a fit.
struct Split {
  explicit Split(const data::ReferenceSet& set) {
    std::vector<bool> known(set.g_plus_siemens.size(), false);
    for (Index v = 0; v < set.vectors(); ++v)
      if (set.held_out[v] == 0) {
        fitted.push_back(v);
        known[static_cast<std::size_t>(set.draw[v])] = true;
      }
    for (Index v = 0; v < set.vectors(); ++v)
      if (set.held_out[v] != 0)
        (known[static_cast<std::size_t>(set.draw[v])] ? held_out : new_weights).push_back(v);
  }
  std::vector<Index> fitted, held_out, new_weights;
};

struct AllFigures {
  ErrorFigures fitted, held_out, new_weights;
};
AllFigures all_figures(const std::vector<ArrayData>& arrays, const Split& split, double lsb_coulomb) {
  return {figures(arrays, split.fitted, lsb_coulomb), figures(arrays, split.held_out, lsb_coulomb),
          figures(arrays, split.new_weights, lsb_coulomb)};
}

void store_before(const AllFigures& f, FitReport& report) {
  report.fit_before = f.fitted;
  report.held_out_before = f.held_out;
  report.new_weights_before = f.new_weights;
}
void store_after(const AllFigures& f, FitReport& report) {
  report.fit_after = f.fitted;
  report.held_out_after = f.held_out;
  report.new_weights_after = f.new_weights;
}

// Backward elimination on the correction's features.
Correction fitted_correction(const std::vector<ArrayData>& arrays, const Split& split) {
  const Regression regression(arrays, split.fitted);
  if (regression.nothing_to_explain()) return {};
  std::vector<Index> features = regression.present();
  Regression::Solution solution;
  do solution = regression.solve(features);
  while (drop_weakest(solution.coefficients, solution.standard_errors, features));
  if (solution.empty) return {};
  return {solution.coefficients, solution.standard_errors};
}

void correct(const data::ReferenceSet& set, const Split& split, const EffectiveMatrices& w_eff,
             const Progress& progress, ModelSpec& spec, FitReport& report) {
  ModelSpec bare = spec;
  bare.correction = {};
  std::vector<ArrayData> arrays = evaluate(set, bare, w_eff, Wanted::features, progress);
  store_before(all_figures(arrays, split, report.lsb_coulomb), report);
  spec.correction = fitted_correction(arrays, split);
  for (Index f = 0; f < spec.correction.coefficients.size(); ++f)
    for (ArrayData& array : arrays)
      array.base += spec.correction.coefficients[f] * array.feature[static_cast<std::size_t>(f)];
  store_after(all_figures(arrays, split, report.lsb_coulomb), report);
}

// Charges with the derivatives by the calibration's factors as features, from central differences.
std::vector<ArrayData> linearised(const data::ReferenceSet& set, const ModelSpec& spec,
                                  const Progress& progress) {
  constexpr double kStep = 0.02;  // the charge is close to linear in a factor over this, and far above rounding
  std::vector<ArrayData> arrays = evaluate(set, spec, {}, Wanted::charge, progress);
  for (std::size_t f = 0; f < kCalibrationNames.size(); ++f) {
    ModelSpec high = spec, low = spec;
    high.calibration.factor[f] += kStep;
    low.calibration.factor[f] -= kStep;
    const std::vector<ArrayData> above = evaluate(set, high, {}, Wanted::charge, progress);
    const std::vector<ArrayData> below = evaluate(set, low, {}, Wanted::charge, progress);
    for (std::size_t a = 0; a < arrays.size(); ++a)
      arrays[a].feature.emplace_back((above[a].base - below[a].base) / (2.0 * kStep));
  }
  return arrays;
}

// Gauss-Newton on the factors; factors that cannot be told from 1 are set to 1 and the rest fitted again.
void calibrate(const data::ReferenceSet& set, const Split& split, const Progress& progress, ModelSpec& spec,
               FitReport& report) {
  constexpr int kMostSteps = 8;
  constexpr double kSettled = 1e-4, kSmallest = 0.2, kLargest = 5.0;
  spec.calibration = {};
  spec.correction = {};
  std::vector<ArrayData> arrays = linearised(set, spec, progress);
  store_before(all_figures(arrays, split, report.lsb_coulomb), report);
  std::vector<Index> factors = Regression(arrays, split.fitted).present();
  for (bool dropped = true; dropped;) {
    Vector errors;
    for (int step = 0; step < kMostSteps; ++step) {
      const auto solution = Regression(arrays, split.fitted).solve(factors);
      errors = solution.standard_errors;
      double largest = 0.0;
      for (std::size_t f = 0; f < kCalibrationNames.size(); ++f) {
        const double before = spec.calibration.factor[f];
        double& factor = spec.calibration.factor[f];
        factor = std::clamp(before + solution.coefficients[static_cast<Index>(f)], kSmallest, kLargest);
        largest = std::max(largest, std::abs(factor - before));
      }
      if (largest < kSettled) break;
      arrays = linearised(set, spec, progress);
    }
    Vector away(errors.size());
    for (Index f = 0; f < away.size(); ++f) {
      away[f] = spec.calibration.factor[static_cast<std::size_t>(f)] - 1.0;
      spec.calibration.standard_error[static_cast<std::size_t>(f)] = errors[f];
    }
    const std::vector<Index> before = factors;
    dropped = drop_weakest(away, errors, factors);
    for (const Index f : before)
      if (std::find(factors.begin(), factors.end(), f) == factors.end())
        spec.calibration.factor[static_cast<std::size_t>(f)] = 1.0;
    if (dropped) arrays = linearised(set, spec, progress);
  }
  store_after(all_figures(arrays, split, report.lsb_coulomb), report);
}

}  // namespace

FitReport fit(const data::ReferenceSet& set, ModelSpec& spec, const Progress& progress) {
  return fit(set, spec, {}, progress);
}

FitReport fit(const data::ReferenceSet& set, ModelSpec& spec, const EffectiveMatrices& w_eff_siemens,
              const Progress& progress) {
  set.validate();
  const Split split(set);
  if (split.fitted.empty())
    throw Error(ErrorKind::bad_data, "reference set: all vectors are held out; there is nothing to fit");
  FitReport report;
  report.tile = set.tile;
  report.lsb_coulomb = lsb_of(set);
  report.fit_vectors = static_cast<Index>(split.fitted.size());
  report.held_out_vectors = static_cast<Index>(split.held_out.size() + split.new_weights.size());
  report.validity = validity_of(set);
  if (spec.form == Form::calibrated)
    calibrate(set, split, progress, spec, report);
  else
    correct(set, split, w_eff_siemens, progress, spec, report);
  report_progress(progress, 1.0, "fast model fitted");
  return report;
}

}  // namespace crosstile::tilemodel
