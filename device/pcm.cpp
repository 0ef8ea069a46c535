#include "device/pcm.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <sstream>

#include "core/error.hpp"
#include "core/random.hpp"

namespace crosstile::device {

namespace {

constexpr double kPcmMost = std::numeric_limits<double>::max();
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

// Pulses after the first one: docs/theory.md, "Program and verify". Pulse p draws from event p of the programming stream.
void verify_device(const PcmModel& model, const RandomKey& key, Index row, Index column, ProgrammedArray& array) {
  const ProgramVerify& verify = model.verify;
  const double target = array.target_siemens(row, column), sigma = model.programming.sigma(target / model.g_max_siemens);
  double& g = array.programmed_siemens(row, column);
  int& pulses = array.pulses(row, column);
  for (pulses = 1; pulses <= verify.max_pulses; ++pulses) {
    const auto normals = random_normal4(key, static_cast<std::uint64_t>(row), static_cast<std::uint64_t>(column),
                                        static_cast<std::uint64_t>(pulses));
    const double error = target - (g + verify.read_sigma_siemens * normals[0]);
    if (std::abs(error) <= verify.tolerance_siemens) return;
    g = std::max(0.0, g + verify.gain * error + verify.pulse_noise * sigma * normals[1]);
  }
  // Not verified after the last pulse: pulses = max_pulses + 1 were spent.
}

void stick_devices(const PcmModel& model, const RandomKey& key, ProgrammedArray& array) {
  const StuckDevices& stuck = model.stuck;
  if (stuck.share_low + stuck.share_high == 0.0) return;
  constexpr std::uint64_t kStuckEvent = std::uint64_t{1} << 32;
  const Matrix draw = random_uniform_matrix(key, array.target_siemens.rows(), array.target_siemens.cols(), kStuckEvent);
  for (Index i = 0; i < draw.rows(); ++i)
    for (Index j = 0; j < draw.cols(); ++j) {
      if (draw(i, j) >= stuck.share_low + stuck.share_high) continue;
      const bool low = draw(i, j) < stuck.share_low;
      array.stuck(i, j) = low ? -1 : 1;
      array.programmed_siemens(i, j) = low ? stuck.g_low_siemens : stuck.g_high_siemens;
      array.nu(i, j) = 0.0;
    }
}

void require_ordered(const std::string& field, double low, double high) {
  require_in_range(field + "_low", low, 0.0, kPcmMost);
  require_in_range(field + "_high", high, low, kPcmMost);
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
  require_in_range("read noise time t_s", t_s, t_r_s, kPcmMost);
  return std::sqrt(std::log((t_s + t_r_s) / (2.0 * t_r_s)));
}

void PcmModel::validate() const {
  require_in_range("g_max_siemens", g_max_siemens, 1e-12, 1.0);
  for (int k = 0; k <= 100; ++k) {
    std::ostringstream field;
    field << "programming.sigma_siemens at g = " << k / 100.0;
    require_in_range(field.str(), programming.sigma(k / 100.0), 0.0, kPcmMost);
  }
  require_in_range("drift.t0_s", drift.t0_s, 1e-12, kPcmMost);
  for (const double value : {drift.mu_log, drift.mu_0, drift.s_log, drift.s_0})
    require_in_range("drift coefficient (mu_log, mu_0, s_log, s_0)", value, -kPcmMost, kPcmMost);
  require_ordered("drift.mu", drift.mu_low, drift.mu_high);
  require_ordered("drift.s", drift.s_low, drift.s_high);
  require_in_range("read.q_1", read.q_1, 0.0, kPcmMost);
  require_in_range("read.q_power", read.q_power, -10.0, 10.0);
  require_in_range("read.q_max", read.q_max, 0.0, kPcmMost);
  require_in_range("read.t_r_s", read.t_r_s, 1e-15, drift.t0_s);
  require_in_range("verify.max_pulses", verify.max_pulses, 0, 1'000'000);
  require_in_range("verify.tolerance_siemens", verify.tolerance_siemens, 0.0, 1.0);
  require_in_range("verify.gain", verify.gain, 0.0, 2.0);
  require_in_range("verify.pulse_noise", verify.pulse_noise, 0.0, 100.0);
  require_in_range("verify.read_sigma_siemens", verify.read_sigma_siemens, 0.0, 1.0);
  require_in_range("stuck.share_low", stuck.share_low, 0.0, 1.0);
  require_in_range("stuck.share_high (with share_low at most 1)", stuck.share_high, 0.0, 1.0 - stuck.share_low);
  require_in_range("stuck.g_low_siemens", stuck.g_low_siemens, 0.0, 1.0);
  require_in_range("stuck.g_high_siemens", stuck.g_high_siemens, 0.0, 1.0);
  trace.validate();
  telegraph.validate();
}

ProgrammedArray program(const PcmModel& model, const Matrix& target_siemens, std::uint64_t seed, std::uint32_t tile) {
  model.validate();
  check_targets(model, target_siemens);
  const Index rows = target_siemens.rows(), cols = target_siemens.cols();
  const RandomKey programming{seed, Stream::programming, tile};
  ProgrammedArray array{target_siemens, random_normal_matrix(programming, rows, cols),
                        random_normal_matrix({seed, Stream::drift, tile}, rows, cols), IntMatrix::Ones(rows, cols),
                        IntMatrix::Zero(rows, cols)};
  for (Index i = 0; i < rows; ++i)
    for (Index j = 0; j < cols; ++j) {
      const double g = target_siemens(i, j) / model.g_max_siemens;
      double& programmed = array.programmed_siemens(i, j);
      programmed = std::max(0.0, target_siemens(i, j) + model.programming.sigma(g) * programmed);
      if (model.verify.max_pulses > 0) verify_device(model, programming, i, j, array);
      array.nu(i, j) = std::abs(model.drift.mean(g) + model.drift.spread(g) * array.nu(i, j));
    }
  stick_devices(model, programming, array);
  return array;
}

double programming_yield(const ProgrammedArray& array, double tolerance_siemens) {
  require_in_range("tolerance_siemens", tolerance_siemens, 0.0, kPcmMost);
  const auto inside = (array.programmed_siemens - array.target_siemens).array().abs() <= tolerance_siemens;
  return inside.size() == 0 ? 1.0 : static_cast<double>(inside.count()) / static_cast<double>(inside.size());
}

Matrix conductance_at(const PcmModel& model, const ProgrammedArray& array, double t_s, std::uint64_t seed, std::uint32_t tile,
                      std::uint64_t event) {
  model.validate();
  require_in_range("t_s (since programming)", t_s, model.drift.t0_s, kPcmMost);
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
      const bool stuck = array.stuck.size() > 0 && array.stuck(i, j) != 0;
      const double written = stuck ? array.programmed_siemens(i, j) : array.target_siemens(i, j);
      const double relative = model.read.q_s(written / model.g_max_siemens) * factor;
      out(i, j) = std::max(0.0, drifted * (1.0 + relative * out(i, j)));
    }
  return out;
}

}  // namespace crosstile::device
