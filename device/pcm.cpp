#include "device/pcm.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <sstream>

#include "core/error.hpp"
#include "core/random.hpp"

namespace crosstile::device {

namespace {

constexpr double kLargest = std::numeric_limits<double>::max();
// Targets are often computed as w g_max + (1 - w) g_min; the last bits of that sum are forgiven.
constexpr double kTargetSlack = 1e-9;

double log_clipped(double slope, double offset, double g, double low, double high) {
  return std::clamp(slope * std::log(std::max(g, kSmallestLogG)) + offset, low, high);
}

void check_targets(const PcmModel& model, const Matrix& target) {
  const double high = model.g_max_siemens * (1.0 + kTargetSlack);
  for (Index i = 0; i < target.rows(); ++i)
    for (Index j = 0; j < target.cols(); ++j) {
      const double value = target(i, j);
      if (value >= 0.0 && value <= high) continue;
      std::ostringstream field;
      field << "target_siemens(" << i << ", " << j << ")";
      require_in_range(field.str(), value, 0.0, model.g_max_siemens);
    }
}

void require_ordered(const std::string& field, double low, double high) {
  require_in_range(field + "_low", low, 0.0, kLargest);
  require_in_range(field + "_high", high, low, kLargest);
}

}  // namespace

double ProgrammingNoise::sigma(double g) const {
  double value = 0.0;
  for (auto c = sigma_siemens.rbegin(); c != sigma_siemens.rend(); ++c) value = value * g + *c;
  return value;
}

double Drift::mean(double g) const { return log_clipped(mu_log, mu_0, g, mu_low, mu_high); }
double Drift::spread(double g) const { return log_clipped(s_log, s_0, g, s_low, s_high); }

double AccumulatedReadNoise::q_s(double g) const {
  return std::min(q_1 * std::pow(std::max(g, kSmallestLogG), q_power), q_max);
}

double AccumulatedReadNoise::time_factor(double t_s) const {
  require_in_range("read noise time t_s", t_s, t_r_s, kLargest);
  return std::sqrt(std::log((t_s + t_r_s) / (2.0 * t_r_s)));
}

void PcmModel::validate() const {
  require_in_range("g_max_siemens", g_max_siemens, 1e-12, 1.0);
  for (int k = 0; k <= 100; ++k) {
    std::ostringstream field;
    field << "programming.sigma_siemens at g = " << k / 100.0;
    require_in_range(field.str(), programming.sigma(k / 100.0), 0.0, kLargest);
  }
  require_in_range("drift.t0_s", drift.t0_s, 1e-12, kLargest);
  for (const double value : {drift.mu_log, drift.mu_0, drift.s_log, drift.s_0})
    require_in_range("drift coefficient (mu_log, mu_0, s_log, s_0)", value, -kLargest, kLargest);
  require_ordered("drift.mu", drift.mu_low, drift.mu_high);
  require_ordered("drift.s", drift.s_low, drift.s_high);
  require_in_range("read.q_1", read.q_1, 0.0, kLargest);
  require_in_range("read.q_power", read.q_power, -10.0, 10.0);
  require_in_range("read.q_max", read.q_max, 0.0, kLargest);
  require_in_range("read.t_r_s", read.t_r_s, 1e-15, drift.t0_s);
}

ProgrammedArray program(const PcmModel& model, const Matrix& target_siemens, std::uint64_t seed, std::uint32_t tile) {
  model.validate();
  check_targets(model, target_siemens);
  const Index rows = target_siemens.rows(), cols = target_siemens.cols();
  ProgrammedArray array{target_siemens, random_normal_matrix({seed, Stream::programming, tile}, rows, cols),
                        random_normal_matrix({seed, Stream::drift, tile}, rows, cols)};
  for (Index i = 0; i < rows; ++i)
    for (Index j = 0; j < cols; ++j) {
      const double g = target_siemens(i, j) / model.g_max_siemens;
      double& programmed = array.programmed_siemens(i, j);
      programmed = std::max(0.0, target_siemens(i, j) + model.programming.sigma(g) * programmed);
      array.nu(i, j) = std::abs(model.drift.mean(g) + model.drift.spread(g) * array.nu(i, j));
    }
  return array;
}

Matrix conductance_at(const PcmModel& model, const ProgrammedArray& array, double t_s, std::uint64_t seed, std::uint32_t tile,
                      std::uint64_t event) {
  model.validate();
  require_in_range("t_s (since programming)", t_s, model.drift.t0_s, kLargest);
  const Index rows = array.target_siemens.rows(), cols = array.target_siemens.cols();
  for (const Matrix* part : {&array.programmed_siemens, &array.nu})
    if (part->rows() != rows || part->cols() != cols)
      throw Error(ErrorKind::usage, "programmed array: target_siemens, programmed_siemens and nu differ in shape");

  Matrix out = random_normal_matrix({seed, Stream::read_noise, tile}, rows, cols, event);
  const double log_ratio = std::log(t_s / model.drift.t0_s);
  const double factor = model.read.time_factor(t_s);
  for (Index i = 0; i < rows; ++i)
    for (Index j = 0; j < cols; ++j) {
      const double drifted = array.programmed_siemens(i, j) * std::exp(-array.nu(i, j) * log_ratio);
      const double relative = model.read.q_s(array.target_siemens(i, j) / model.g_max_siemens) * factor;
      out(i, j) = std::max(0.0, drifted * (1.0 + relative * out(i, j)));
    }
  return out;
}

}  // namespace crosstile::device
