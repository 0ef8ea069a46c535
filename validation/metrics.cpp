#include "validation/metrics.hpp"

#include <algorithm>
#include <cmath>
#include <string>

#include "core/error.hpp"

namespace crosstile::validation {

namespace {

std::string shape_of(const Matrix& m) {
  return std::to_string(m.rows()) + " x " + std::to_string(m.cols());
}

void require_finite(const Matrix& values, const char* what) {
  if (!values.allFinite())
    throw Error(ErrorKind::usage, std::string(what) + " holds a value that is not finite");
}

double rms(const Matrix& values) {
  return std::sqrt(values.squaredNorm() / static_cast<double>(values.size()));
}

}  // namespace

double quantile(std::vector<double> values, double q) {
  require_in_range("quantile", q, 0.0, 1.0);
  if (values.empty()) throw Error(ErrorKind::usage, "quantile of no values");
  for (const double value : values)
    if (!std::isfinite(value)) throw Error(ErrorKind::usage, "quantile of values that are not all finite");
  const double position = q * static_cast<double>(values.size() - 1);
  const auto low = static_cast<std::ptrdiff_t>(std::floor(position));
  const auto at_low = values.begin() + low;
  std::nth_element(values.begin(), at_low, values.end());
  const double fraction = position - static_cast<double>(low);
  if (fraction == 0.0) return *at_low;
  const double next = *std::min_element(at_low + 1, values.end());
  return *at_low + fraction * (next - *at_low);
}

double abs_quantile(const Matrix& values, double q) {
  std::vector<double> flat(static_cast<std::size_t>(values.size()));
  std::transform(values.data(), values.data() + values.size(), flat.begin(),
                 [](double v) { return std::abs(v); });
  return quantile(std::move(flat), q);
}

Scale scale_of(const data::ReferenceSet& set) {
  const Matrix& plus = set.charge_plus_coulomb;
  const Matrix& minus = set.charge_minus_coulomb;
  if (plus.size() == 0) throw Error(ErrorKind::bad_data, "reference set: charge_plus_coulomb is empty");
  Matrix lines(plus.rows() + minus.rows(), plus.cols());
  lines.topRows(plus.rows()) = plus;
  if (minus.rows() > 0) lines.bottomRows(minus.rows()) = minus;

  Scale scale;
  scale.lsb_coulomb = abs_quantile(lines, 0.999) / 255.0;
  scale.differential_rms_coulomb = rms(set.differential_coulomb());
  if (!(scale.lsb_coulomb > 0.0)) throw Error(ErrorKind::bad_data, "reference set: all charges are zero");
  if (!(scale.differential_rms_coulomb > 0.0))
    throw Error(ErrorKind::bad_data, "reference set: the differential output is zero for every vector");
  return scale;
}

ErrorMetrics error_metrics(const Matrix& model_coulomb, const Matrix& reference_coulomb, const Scale& scale) {
  if (model_coulomb.rows() != reference_coulomb.rows() || model_coulomb.cols() != reference_coulomb.cols())
    throw Error(ErrorKind::usage, "error metrics: model charges are " + shape_of(model_coulomb) +
                                      ", reference charges " + shape_of(reference_coulomb) +
                                      "; the shapes must be equal");
  if (model_coulomb.size() == 0) throw Error(ErrorKind::usage, "error metrics: no charges to compare");
  require_in_range("lsb_coulomb", scale.lsb_coulomb, 1e-300, 1e300);
  require_in_range("differential_rms_coulomb", scale.differential_rms_coulomb, 1e-300, 1e300);

  const Matrix error = model_coulomb - reference_coulomb;
  require_finite(error, "error metrics: the difference of the charges");
  ErrorMetrics metrics;
  metrics.count = error.size();
  metrics.rms_lsb = rms(error) / scale.lsb_coulomb;
  metrics.rms_relative = rms(error) / scale.differential_rms_coulomb;
  metrics.quantile_999_lsb = abs_quantile(error, 0.999) / scale.lsb_coulomb;
  metrics.max_lsb = error.cwiseAbs().maxCoeff(&metrics.worst_row, &metrics.worst_column) / scale.lsb_coulomb;
  metrics.bias_lsb = error.mean() / scale.lsb_coulomb;
  return metrics;
}

Histogram histogram(const Matrix& values, const Vector& edges) {
  if (edges.size() < 2) throw Error(ErrorKind::usage, "histogram: at least two edges are needed");
  for (Index k = 1; k < edges.size(); ++k)
    if (!(edges(k) > edges(k - 1))) throw Error(ErrorKind::usage, "histogram: the edges must increase");
  require_finite(values, "histogram: the data");

  Histogram out{edges, Vector::Zero(edges.size() - 1), 0.0, 0.0};
  const double* begin = edges.data();
  const double* end = begin + edges.size();
  for (Index n = 0; n < values.size(); ++n) {
    const double value = values.data()[n];
    if (value < edges(0)) {
      out.below += 1.0;
    } else if (value > *(end - 1)) {
      out.above += 1.0;
    } else {
      const auto bin = static_cast<Index>(std::upper_bound(begin, end, value) - begin) - 1;
      out.counts(std::min(bin, out.counts.size() - 1)) += 1.0;
    }
  }
  return out;
}

Vector linear_edges(double low, double high, Index bins) {
  if (!(high > low) || bins < 1)
    throw Error(ErrorKind::usage, "histogram edges: need low < high and at least one bin");
  return Vector::LinSpaced(bins + 1, low, high);
}

Vector decade_edges(double low, double high, Index per_decade) {
  if (!(low > 0.0 && high > low) || per_decade < 1)
    throw Error(ErrorKind::usage, "histogram edges: need 0 < low < high and at least one bin a decade");
  const auto first = static_cast<Index>(std::floor(std::log10(low)));
  const auto last = static_cast<Index>(std::ceil(std::log10(high)));
  Vector edges((last - first) * per_decade + 1);
  for (Index k = 0; k < edges.size(); ++k)
    edges(k) =
        std::pow(10.0, static_cast<double>(first) + static_cast<double>(k) / static_cast<double>(per_decade));
  return edges;
}

}  // namespace crosstile::validation
