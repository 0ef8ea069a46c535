#include "tilemodel/fit.hpp"

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>

#include "core/error.hpp"
#include "core/parallel.hpp"
#include "tilemodel/validity.hpp"

namespace crosstile::tilemodel {

namespace {

constexpr double kExact = 1e-9;       // RMS error over RMS charge below which a form counts as exact
constexpr double kNoFeature = 1e-12;  // RMS over RMS charge below which a feature is rounding noise
constexpr double kRankThreshold = 1e-8;
constexpr double kSignificant = 3.0;  // standard errors
constexpr double kTiny = 1e-300;      // coulomb; keeps 0 / 0 away
constexpr Index kChunk = 32;          // vectors evaluated by one thread at a time

// Model and reference of one array ("plus" or "minus") on all vectors.
struct ArrayData {
  Matrix base;                  // vectors x cols
  Matrix reference;             // the same
  std::vector<Matrix> feature;  // kFeatureCount of the same
};

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

void evaluate_draw(const data::ReferenceSet& set, const TileModel& model, const std::vector<Index>& vectors,
                   ArrayData& out) {
  const auto total = static_cast<Index>(vectors.size());
  parallel_for((total + kChunk - 1) / kChunk, 0, [&](Index chunk, int) {
    const Index first = chunk * kChunk;
    const Index count = std::min(kChunk, total - first);
    IntMatrix codes(count, set.codes.cols());
    for (Index v = 0; v < count; ++v)
      codes.row(v) = set.codes.row(vectors[static_cast<std::size_t>(first + v)]);
    Matrix base;
    std::vector<Matrix> feature;
    model.base_and_features(codes, base, feature);
    for (Index v = 0; v < count; ++v) {
      const Index target = vectors[static_cast<std::size_t>(first + v)];
      out.base.row(target) = base.row(v);
      for (std::size_t f = 0; f < feature.size(); ++f) out.feature[f].row(target) = feature[f].row(v);
    }
  });
}

std::vector<ArrayData> evaluate(const data::ReferenceSet& set, const ModelSpec& spec,
                                const EffectiveMatrices& w_eff, const Progress& progress) {
  ModelSpec bare = spec;
  bare.correction = {};
  std::vector<ArrayData> arrays(set.charge_minus_coulomb.size() != 0 ? 2 : 1);
  const std::size_t draws = set.g_plus_siemens.size();
  for (std::size_t a = 0; a < arrays.size(); ++a) {
    arrays[a].reference = a == 0 ? set.charge_plus_coulomb : set.charge_minus_coulomb;
    arrays[a].base = Matrix::Zero(set.vectors(), set.tile.cols);
    arrays[a].feature.assign(static_cast<std::size_t>(kFeatureCount), arrays[a].base);
    for (std::size_t draw = 0; draw < draws; ++draw) {
      report_progress(progress,
                      static_cast<double>(a * draws + draw) / static_cast<double>(arrays.size() * draws),
                      "fast model of the reference vectors");
      evaluate_draw(set, make_model(set, bare, w_eff, a == 1, draw),
                    vectors_of_draw(set, static_cast<Index>(draw)), arrays[a]);
    }
  }
  return arrays;
}

// Least squares of the residual on the features, over the vectors that are not held out.
struct Regression {
  Regression(const std::vector<ArrayData>& arrays, const std::vector<Index>& vectors);
  struct Solution {
    Vector coefficients;  // of scaled features, coulomb
    Vector errors;        // standard errors
  };
  Solution solve(const std::vector<Index>& features) const;
  Correction correction() const;

  Eigen::MatrixXd x;  // samples x features, each of unit RMS or zero; samples ordered by vector
  Vector y;           // residual, coulomb
  Vector scale;       // features; RMS, coulomb
  double charge_rms;  // coulomb
  Index per_vector;   // samples of one vector
};

Regression::Regression(const std::vector<ArrayData>& arrays, const std::vector<Index>& vectors) {
  const Index cols = arrays[0].base.cols();
  per_vector = static_cast<Index>(arrays.size()) * cols;
  const Index samples = per_vector * static_cast<Index>(vectors.size());
  x.resize(samples, kFeatureCount);
  y.resize(samples);
  double square = 0.0;
  Index row = 0;
  for (const Index v : vectors) {
    for (const ArrayData& array : arrays) {
      y.segment(row, cols) = (array.reference.row(v) - array.base.row(v)).transpose();
      square += array.reference.row(v).squaredNorm();
      for (Index f = 0; f < kFeatureCount; ++f)
        x.col(f).segment(row, cols) = array.feature[static_cast<std::size_t>(f)].row(v).transpose();
      row += cols;
    }
  }
  const auto n = static_cast<double>(std::max<Index>(samples, 1));
  charge_rms = std::sqrt(square / n);
  scale = (x.colwise().squaredNorm().transpose() / n).cwiseSqrt();
  for (Index f = 0; f < kFeatureCount; ++f) {
    if (scale[f] <= kNoFeature * charge_rms) scale[f] = 0.0;
    x.col(f) *= scale[f] > 0.0 ? 1.0 / scale[f] : 0.0;
  }
}

Regression::Solution Regression::solve(const std::vector<Index>& features) const {
  const Eigen::MatrixXd part = x(Eigen::all, features);
  Eigen::ColPivHouseholderQR<Eigen::MatrixXd> qr;
  qr.setThreshold(kRankThreshold);
  qr.compute(part);
  const Index rank = qr.rank();
  Solution solution{qr.solve(y), {}};
  // Errors of one vector's columns go together: the covariance of the scores is summed by vector (a
  // "sandwich"), not by sample.
  const Vector residual = y - part * solution.coefficients;
  Eigen::MatrixXd meat = Eigen::MatrixXd::Zero(part.cols(), part.cols());
  for (Index first = 0; first < y.size(); first += per_vector) {
    const Vector score = part.middleRows(first, per_vector).transpose() * residual.segment(first, per_vector);
    meat += score * score.transpose();
  }
  // (X^T X)^-1 on the features that could be told apart: R^-1 R^-T in pivoted order.
  const auto r = qr.matrixR().topLeftCorner(rank, rank).triangularView<Eigen::Upper>();
  const Eigen::MatrixXd inverse = r.solve(Eigen::MatrixXd::Identity(rank, rank));
  Eigen::MatrixXd bread = Eigen::MatrixXd::Zero(part.cols(), part.cols());
  bread.topLeftCorner(rank, rank) = inverse * inverse.transpose();
  bread = qr.colsPermutation() * bread * qr.colsPermutation().transpose();
  solution.errors = (bread * meat * bread).diagonal().cwiseMax(0.0).cwiseSqrt();
  return solution;
}

// Backward elimination: a feature whose coefficient is not clear of its own standard error only adds noise to
// new vectors.
Correction Regression::correction() const {
  std::vector<Index> features;
  for (Index f = 0; f < kFeatureCount; ++f)
    if (scale[f] > 0.0) features.push_back(f);
  while (!features.empty()) {
    const Solution solution = solve(features);
    Index weakest = 0;
    const double significance =
        (solution.coefficients.array().abs() / (solution.errors.array() + kTiny)).minCoeff(&weakest);
    if (significance < kSignificant) {
      features.erase(features.begin() + weakest);
      continue;
    }
    Correction correction{Vector::Zero(kFeatureCount), Vector::Zero(kFeatureCount)};
    for (std::size_t k = 0; k < features.size(); ++k) {
      correction.coefficients[features[k]] =
          solution.coefficients[static_cast<Index>(k)] / scale[features[k]];
      correction.standard_errors[features[k]] = solution.errors[static_cast<Index>(k)] / scale[features[k]];
    }
    return correction;
  }
  return {};
}

double quantile_of_abs(std::vector<double>& values, double q) {
  for (double& v : values) v = std::abs(v);
  std::sort(values.begin(), values.end());
  const double place = q * static_cast<double>(values.size() - 1);
  const auto low = static_cast<std::size_t>(place);
  const std::size_t high = std::min(low + 1, values.size() - 1);
  return values[low] + (place - static_cast<double>(low)) * (values[high] - values[low]);
}

Matrix corrected(const ArrayData& array, const Correction* correction) {
  Matrix charge = array.base;
  if (correction && correction->coefficients.size() != 0)
    for (Index f = 0; f < kFeatureCount; ++f)
      charge += correction->coefficients[f] * array.feature[static_cast<std::size_t>(f)];
  return charge;
}

ErrorFigures figures(const std::vector<ArrayData>& arrays, const std::vector<Index>& vectors,
                     const Correction* correction, double lsb_coulomb) {
  ErrorFigures out;
  if (vectors.empty()) return out;
  std::vector<Matrix> error;
  for (const ArrayData& array : arrays) error.push_back(corrected(array, correction) - array.reference);
  std::vector<double> all;
  double square = 0.0, difference_square = 0.0, output_square = 0.0;
  for (const Index v : vectors) {
    for (const Matrix& e : error) {
      all.insert(all.end(), e.row(v).begin(), e.row(v).end());
      square += e.row(v).squaredNorm();
    }
    const bool pair = arrays.size() == 2;
    difference_square +=
        pair ? (error[0].row(v) - error[1].row(v)).squaredNorm() : error[0].row(v).squaredNorm();
    output_square += pair ? (arrays[0].reference.row(v) - arrays[1].reference.row(v)).squaredNorm()
                          : arrays[0].reference.row(v).squaredNorm();
  }
  out.samples = static_cast<Index>(all.size());
  out.rms_lsb = std::sqrt(square / static_cast<double>(out.samples)) / lsb_coulomb;
  out.rms_relative = output_square > 0.0 ? std::sqrt(difference_square / output_square) : 0.0;
  out.quantile_999_lsb = quantile_of_abs(all, 0.999) / lsb_coulomb;
  out.max_lsb = all.back() / lsb_coulomb;
  return out;
}

double lsb_of(const data::ReferenceSet& set) {
  std::vector<double> all(set.charge_plus_coulomb.data(),
                          set.charge_plus_coulomb.data() + set.charge_plus_coulomb.size());
  const Matrix& minus = set.charge_minus_coulomb;
  all.insert(all.end(), minus.data(), minus.data() + minus.size());
  const double lsb = quantile_of_abs(all, 0.999) / 255.0;
  if (!(lsb > 0.0))
    throw Error(ErrorKind::bad_data, "reference set: all charges are zero; there is nothing to fit");
  return lsb;
}

}  // namespace

FitReport fit(const data::ReferenceSet& set, ModelSpec& spec, const Progress& progress) {
  return fit(set, spec, {}, progress);
}

FitReport fit(const data::ReferenceSet& set, ModelSpec& spec, const EffectiveMatrices& w_eff_siemens,
              const Progress& progress) {
  set.validate();
  std::vector<Index> fitted, held_out;
  for (Index v = 0; v < set.vectors(); ++v) (set.held_out[v] != 0 ? held_out : fitted).push_back(v);
  if (fitted.empty())
    throw Error(ErrorKind::bad_data, "reference set: all vectors are held out; there is nothing to fit");

  FitReport report;
  report.tile = set.tile;
  report.lsb_coulomb = lsb_of(set);
  report.fit_vectors = static_cast<Index>(fitted.size());
  report.held_out_vectors = static_cast<Index>(held_out.size());
  report.validity = validity_of(set);

  const std::vector<ArrayData> arrays = evaluate(set, spec, w_eff_siemens, progress);
  const Regression regression(arrays, fitted);
  Correction correction;
  if (regression.y.norm() >
      kExact * regression.charge_rms * std::sqrt(static_cast<double>(regression.y.size())))
    correction = regression.correction();

  report.fit_before = figures(arrays, fitted, nullptr, report.lsb_coulomb);
  report.fit_after = figures(arrays, fitted, &correction, report.lsb_coulomb);
  report.held_out_before = figures(arrays, held_out, nullptr, report.lsb_coulomb);
  report.held_out_after = figures(arrays, held_out, &correction, report.lsb_coulomb);
  spec.correction = std::move(correction);
  report_progress(progress, 1.0, "fast model fitted");
  return report;
}

}  // namespace crosstile::tilemodel
