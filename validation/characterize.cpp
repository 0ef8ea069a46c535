#include "validation/characterize.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>
#include <sstream>

#include "core/error.hpp"
#include "core/random.hpp"
#include "data/csv.hpp"
#include "device/model_file.hpp"
#include "device/noise_statistics.hpp"
#include "validation/characterize_fit.hpp"

namespace crosstile::validation {

namespace {

constexpr Index kFewestDevices = 10;
constexpr double kMicro = 1e-6;

std::string shown(double value, int digits = 6) {
  std::ostringstream out;
  out.precision(digits);
  out << value;
  return out.str();
}

[[noreturn]] void refuse_reads(const std::string& why) { throw Error(ErrorKind::bad_data, "device reads: " + why); }

// What the reads of one device say: ln G(t0), drift exponent, their covariance per unit of squared read noise, and the sum of
// squared residuals.
struct DeviceFit {
  double target = 0.0, g = 0.0;
  double programmed = 0.0, nu = 0.0;
  double programmed_unit = 0.0, nu_unit = 0.0;  // variances of ln G(t0) and nu over Q^2
  double squares = 0.0, dof = 0.0;
};

struct Series {
  double target = 0.0;
  std::vector<double> time_s, conductance;
};

class Population {
 public:
  Population(const DeviceReads& reads, const CharacterizeOptions& options, Characterization& out);
  std::vector<DeviceFit> devices;
  double t0_s = 0.0, g_max = 0.0;

 private:
  DeviceFit fit_device(const Series& series) const;
  device::AccumulatedReadNoise clock_;
};

Population::Population(const DeviceReads& reads, const CharacterizeOptions& options, Characterization& out) {
  std::map<double, Series> series;
  const std::size_t count = reads.device.size();
  if (reads.target_siemens.size() != count || reads.time_s.size() != count || reads.conductance_siemens.size() != count)
    throw Error(ErrorKind::usage, "device reads: the columns differ in length");
  double earliest = std::numeric_limits<double>::infinity(), largest = 0.0;
  for (std::size_t k = 0; k < count; ++k) {
    if (!(reads.conductance_siemens[k] > 0.0)) {
      ++out.ignored_reads;
      continue;
    }
    Series& one = series[reads.device[k]];
    if (one.time_s.empty()) one.target = reads.target_siemens[k];
    if (one.target != reads.target_siemens[k])
      refuse_reads("device " + shown(reads.device[k], 12) + " has the targets " + shown(one.target) + " and " + shown(reads.target_siemens[k]));
    if (!(one.target > 0.0)) refuse_reads("device " + shown(reads.device[k], 12) + " has the target " + shown(one.target) + "; allowed: above 0");
    one.time_s.push_back(reads.time_s[k]);
    one.conductance.push_back(reads.conductance_siemens[k]);
    earliest = std::min(earliest, reads.time_s[k]);
    largest = std::max(largest, one.target);
    ++out.reads;
  }
  if (static_cast<Index>(series.size()) < kFewestDevices)
    refuse_reads(std::to_string(series.size()) + " devices; at least " + std::to_string(kFewestDevices) + " are needed");
  t0_s = options.t0_s > 0.0 ? options.t0_s : earliest;
  g_max = options.g_max_siemens > 0.0 ? options.g_max_siemens : largest;
  if (largest > g_max * (1.0 + 1e-9)) refuse_reads("the target " + shown(largest) + " S is above g_max = " + shown(g_max) + " S");
  clock_.t_r_s = options.read_s;
  if (!(earliest >= options.read_s)) refuse_reads("a read at " + shown(earliest) + " s is earlier than one read takes, " + shown(options.read_s) + " s");
  for (const auto& [number, one] : series) {
    const auto [first, last] = std::minmax_element(one.time_s.begin(), one.time_s.end());
    if (one.time_s.size() < 3 || !(*last > *first))
      refuse_reads("device " + shown(number, 12) + " has " + std::to_string(one.time_s.size()) +
                   " positive reads; at least 3 are needed, not all at the same time");
    devices.push_back(fit_device(one));
  }
}

// G(t) = G(t0) (t / t0)^-nu (1 + Q f(t) n): weights 1 / f^2, solved for ln G(t0) and nu by scoring.
DeviceFit Population::fit_device(const Series& series) const {
  const auto n = static_cast<Index>(series.time_s.size());
  Eigen::ArrayXd lag(n), weight(n), y(n);
  for (Index k = 0; k < n; ++k) {
    const auto at = static_cast<std::size_t>(k);
    lag(k) = std::log(series.time_s[at] / t0_s);
    const double factor = std::max(clock_.time_factor(series.time_s[at]), 1e-3);
    weight(k) = 1.0 / (factor * factor);
    y(k) = series.conductance[at];
  }
  const double w = weight.sum(), wl = (weight * lag).sum(), wll = (weight * lag * lag).sum(), det = w * wll - wl * wl;
  double log_start = std::log(y.mean()), nu = 0.0;
  Eigen::ArrayXd rest;
  for (int round = 0; round < 50; ++round) {
    rest = y / (log_start - nu * lag).exp() - 1.0;
    const double a = (weight * rest).sum(), b = -(weight * rest * lag).sum();  // normal equations of (ln G(t0), nu)
    double up = (wll * a + wl * b) / det, turn = (wl * a + w * b) / det;
    const double longest = std::max(std::abs(up), std::abs(turn));
    if (longest > 1.0) up /= longest, turn /= longest;
    log_start += up;
    nu += turn;
    if (longest < 1e-12) break;
  }
  DeviceFit fit;
  fit.target = series.target;
  fit.g = series.target / g_max;
  fit.programmed = std::exp(log_start);
  fit.nu = nu;
  fit.programmed_unit = wll / det;
  fit.nu_unit = w / det;
  fit.squares = (weight * rest.square()).sum();
  fit.dof = static_cast<double>(n - 2);
  return fit;
}

Vector column_of(const std::vector<DeviceFit>& devices, double DeviceFit::* field) {
  Vector out(static_cast<Index>(devices.size()));
  for (Index d = 0; d < out.size(); ++d) out(d) = devices[static_cast<std::size_t>(d)].*field;
  return out;
}

// 1, u, u^2, ... with `terms` columns.
Matrix powers_of(const Vector& u, Index terms) {
  Matrix out(u.size(), terms);
  for (Index k = 0; k < terms; ++k) out.col(k) = u.array().pow(static_cast<double>(k));
  return out;
}

// A line b + a (ln g - c) as it stands in files: slope, then value at g = 1.
void put_line(Characterization& out, const std::string& log_key, const std::string& zero_key, const Vector& line, const Matrix& covariance,
              double centre) {
  const bool slope = line.size() > 1;
  const double a = slope ? line(1) : 0.0, variance_a = slope ? covariance(1, 1) : 0.0, mixed = slope ? covariance(0, 1) : 0.0;
  if (slope) out.numbers.push_back({log_key, "1", a, std::sqrt(variance_a)});
  const double variance = covariance(0, 0) - 2.0 * centre * mixed + centre * centre * variance_a;
  out.numbers.push_back({zero_key, "1", line(0) - a * centre, std::sqrt(std::max(variance, 0.0))});
}

double number_of(const Characterization& out, const std::string& key, double fallback) {
  for (const FittedNumber& number : out.numbers)
    if (number.key == key) return number.value;
  return fallback;
}

class Fitter {
 public:
  Fitter(const std::vector<DeviceFit>& devices, Characterization& out)
      : devices_(devices), out_(out), g_(column_of(devices, &DeviceFit::g)), log_g_(g_.array().log()) {
    levels_ = static_cast<Index>(std::set<double>(g_.begin(), g_.end()).size());
    centre_ = log_g_.mean();
    line_ = powers_of(log_g_.array() - centre_, std::min<Index>(2, levels_));
  }

  void read_noise() {
    const SpreadFit fit = fit_log_variance(column_of(devices_, &DeviceFit::squares), column_of(devices_, &DeviceFit::dof), line_);
    auto& read = out_.model.read;
    Characterization scratch;
    put_line(scratch, "read_noise.q_power", "ln q_1", fit.spread, fit.spread_covariance, centre_);
    read.q_power = number_of(scratch, "read_noise.q_power", 0.0);
    read.q_1 = std::exp(number_of(scratch, "ln q_1", 0.0));
    for (FittedNumber number : scratch.numbers) {
      if (number.key == "ln q_1") number = {"read_noise.q_1", "1", read.q_1, read.q_1 * number.standard_error};
      out_.numbers.push_back(number);
    }
    read.q_max = read.q_1 * std::max(std::pow(out_.g_low, read.q_power), std::pow(out_.g_high, read.q_power));
  }

  void drift() {
    const Vector nu = column_of(devices_, &DeviceFit::nu);
    Vector known = column_of(devices_, &DeviceFit::nu_unit);
    for (Index d = 0; d < known.size(); ++d) known(d) *= square_of_q(d);
    Vector start = Vector::Zero(line_.cols());
    const double spread = (nu.array() - nu.mean()).square().mean() - known.mean();
    start(0) = std::sqrt(std::max(spread, 0.01 * nu.array().square().mean()));
    const SpreadFit fit = fit_normal_spread(nu, known, line_, line_, start);
    put_line(out_, "drift.mu_log", "drift.mu_0", fit.mean, fit.mean_covariance, centre_);
    put_line(out_, "drift.s_log", "drift.s_0", fit.spread, fit.spread_covariance, centre_);
    auto& drift = out_.model.drift;
    drift.mu_log = number_of(out_, "drift.mu_log", 0.0), drift.mu_0 = number_of(out_, "drift.mu_0", 0.0);
    drift.s_log = number_of(out_, "drift.s_log", 0.0), drift.s_0 = number_of(out_, "drift.s_0", 0.0);
    // Beyond the measured range the ends of the lines are kept.
    const auto limits = [&](double slope, double zero, double& low, double& high) {
      const double a = std::max(0.0, slope * std::log(out_.g_low) + zero), b = std::max(0.0, slope * std::log(out_.g_high) + zero);
      low = std::min(a, b);
      high = std::max(a, b);
    };
    limits(drift.mu_log, drift.mu_0, drift.mu_low, drift.mu_high);
    limits(drift.s_log, drift.s_0, drift.s_low, drift.s_high);
  }

  void programming() {
    Vector error(g_.size()), known(g_.size());
    for (Index d = 0; d < g_.size(); ++d) {
      const DeviceFit& one = devices_[static_cast<std::size_t>(d)];
      error(d) = (one.programmed - one.target) / kMicro;
      known(d) = one.programmed_unit * square_of_q(d) * std::pow(one.programmed / kMicro, 2);
    }
    for (Index terms = std::min<Index>(3, levels_); terms >= 1; --terms) {
      Vector start = Vector::Zero(terms);
      start(0) = std::sqrt(std::max(error.array().square().mean() - known.mean(), 0.01 * error.array().square().mean()));
      const SpreadFit fit = fit_normal_spread(error, known, Matrix(g_.size(), 0), powers_of(g_, terms), start);
      auto& sigma = out_.model.programming.sigma_siemens;
      sigma.assign(static_cast<std::size_t>(terms), 0.0);
      for (Index k = 0; k < terms; ++k) sigma[static_cast<std::size_t>(k)] = fit.spread(k) * kMicro;
      bool usable = fit.spread.allFinite();
      for (int k = 0; k <= 100; ++k) usable = usable && out_.model.programming.sigma(k / 100.0) >= 0.0;
      if (!usable && terms > 1) continue;  // negative somewhere in 0 .. 1: a simpler curve
      for (Index k = 0; k < terms; ++k)
        out_.numbers.push_back({"programming.sigma_uS[" + std::to_string(k) + "]", "uS", fit.spread(k), std::sqrt(fit.spread_covariance(k, k))});
      return;
    }
  }

 private:
  double square_of_q(Index d) const { return std::pow(out_.model.read.q_s(g_(d)), 2); }

  const std::vector<DeviceFit>& devices_;
  Characterization& out_;
  Vector g_, log_g_;
  Matrix line_;
  double centre_ = 0.0;
  Index levels_ = 1;
};

Goodness goodness_of(const std::string& what, const Vector& z) {
  Goodness out;
  out.what = what;
  out.count = z.size();
  if (z.size() == 0) return out;
  out.mean = z.mean();
  out.rms = std::sqrt(z.array().square().mean());
  out.p_value = normal_p_value(z);
  return out;
}

std::vector<Goodness> judge(const device::PcmModel& model, const std::vector<DeviceFit>& devices) {
  const auto n = static_cast<Index>(devices.size());
  Vector programming(n), drift(n), read(n);
  for (Index d = 0; d < n; ++d) {
    const DeviceFit& one = devices[static_cast<std::size_t>(d)];
    const double q = model.read.q_s(one.g), q2 = q * q;
    programming(d) = (one.programmed - one.target) /
                     std::sqrt(std::pow(model.programming.sigma(one.g), 2) + one.programmed * one.programmed * one.programmed_unit * q2);
    drift(d) = (one.nu - model.drift.mean(one.g)) / std::sqrt(std::pow(model.drift.spread(one.g), 2) + one.nu_unit * q2);
    const double third = 2.0 / (9.0 * one.dof);  // chi^2 as a normal number (Wilson and Hilferty)
    read(d) = (std::cbrt(one.squares / (q2 * one.dof)) - (1.0 - third)) / std::sqrt(third);
  }
  return {goodness_of("programming error", programming), goodness_of("drift exponent", drift), goodness_of("read noise", read)};
}

}  // namespace

double FittedNumber::low() const { return value - device::kConfidence95 * standard_error; }
double FittedNumber::high() const { return value + device::kConfidence95 * standard_error; }

void CharacterizeOptions::validate() const {
  require_in_range("g_max_siemens", g_max_siemens, 0.0, 1.0);
  require_in_range("t0_s", t0_s, 0.0, 1e12);
  require_in_range("read_s", read_s, 1e-15, 1e6);
  require_in_range("held_out_share", held_out_share, 0.0, 0.9);
}

DeviceReads read_device_reads(const std::filesystem::path& path, double common_target_siemens) {
  const bool common = common_target_siemens > 0.0;
  const Matrix table = data::read_table(path, {.what = "device reads", .cols = common ? 3 : 4});
  DeviceReads out;
  for (Index k = 0; k < table.rows(); ++k) {
    const double time = table(k, common ? 1 : 2), target = common ? common_target_siemens : table(k, 1);
    const std::string place = path.string() + ": read " + std::to_string(k + 1) + ": ";
    if (!(time > 0.0)) throw Error(ErrorKind::bad_data, place + "time " + shown(time) + " s; allowed: above 0, counted from programming");
    if (!(target > 0.0 && target <= 1.0)) throw Error(ErrorKind::bad_data, place + "target " + shown(target) + " S; allowed: above 0 to 1");
    const double g = table(k, common ? 2 : 3);
    if (!(g >= -1.0 && g <= 1.0)) throw Error(ErrorKind::bad_data, place + "conductance " + shown(g) + " S; allowed: -1 to 1");
    out.device.push_back(table(k, 0));
    out.target_siemens.push_back(target);
    out.time_s.push_back(time);
    out.conductance_siemens.push_back(g);
  }
  return out;
}

DeviceReads simulate_reads(const device::PcmModel& model, const std::vector<double>& target_siemens, Index devices,
                           const std::vector<double>& times_s, std::uint64_t seed) {
  Matrix targets(static_cast<Index>(target_siemens.size()), devices);
  for (Index i = 0; i < targets.rows(); ++i) targets.row(i).setConstant(target_siemens[static_cast<std::size_t>(i)]);
  const auto array = device::program(model, targets, seed, 0);
  DeviceReads out;
  for (std::size_t k = 0; k < times_s.size(); ++k) {
    const Matrix g = device::conductance_at(model, array, times_s[k], seed, 0, k);
    for (Index i = 0; i < g.rows(); ++i)
      for (Index j = 0; j < g.cols(); ++j) {
        out.device.push_back(static_cast<double>(i * devices + j));
        out.target_siemens.push_back(targets(i, j));
        out.time_s.push_back(times_s[k]);
        out.conductance_siemens.push_back(g(i, j));
      }
  }
  return out;
}

Characterization characterize(const DeviceReads& reads, const CharacterizeOptions& options) {
  options.validate();
  Characterization out;
  const Population population(reads, options, out);
  const auto count = static_cast<Index>(population.devices.size());
  out.held_out_devices = static_cast<Index>(std::floor(options.held_out_share * static_cast<double>(count)));
  out.devices = count - out.held_out_devices;
  const auto order = random_permutation({options.seed, Stream::subset, 0}, count);
  std::vector<DeviceFit> fitted, held_out;
  for (Index k = 0; k < count; ++k)
    (k < out.held_out_devices ? held_out : fitted).push_back(population.devices[static_cast<std::size_t>(order[static_cast<std::size_t>(k)])]);
  const Vector g = column_of(fitted, &DeviceFit::g);
  out.g_low = g.minCoeff();
  out.g_high = g.maxCoeff();

  out.model = device::pcm_default(population.g_max);
  out.model.name = options.name;
  out.model.source = options.source.empty() ? "measured reads (characterize)" : options.source;
  out.model.stuck.g_high_siemens = population.g_max;
  out.model.drift.t0_s = population.t0_s;
  out.model.read.t_r_s = options.read_s;
  Fitter fitter(fitted, out);
  fitter.read_noise();
  fitter.drift();
  fitter.programming();
  for (const FittedNumber& number : out.numbers)
    if (!std::isfinite(number.value) || !std::isfinite(number.standard_error))
      throw Error(ErrorKind::not_converged, "device reads: " + number.key + " is not determined by these reads");
  out.model.validate();
  out.fitted = judge(out.model, fitted);
  out.held_out = judge(out.model, held_out);
  return out;
}

std::string characterization_to_toml(const Characterization& fit) {
  std::ostringstream text;
  text << "Device model fitted to measured reads: " << fit.reads << " reads, " << fit.devices << " devices in the fit, "
       << fit.held_out_devices << " held out; targets " << shown(fit.g_low, 3) << " to " << shown(fit.g_high, 3) << " of g_max.\n"
       << "Number, value, 95 % interval:\n";
  for (const FittedNumber& number : fit.numbers)
    text << "  " << number.key << " = " << shown(number.value) << "  [" << shown(number.low()) << ", " << shown(number.high()) << "]\n";
  text << "Residuals over their predicted standard deviation, devices held out (normal: mean 0, rms 1):\n";
  for (const Goodness& one : fit.held_out)
    text << "  " << one.what << ": mean " << shown(one.mean, 3) << ", rms " << shown(one.rms, 3) << ", p " << shown(one.p_value, 3) << "\n";
  text << "verify, stuck, trace and telegraph are defaults: these reads do not determine them.\n";
  return device::device_model_to_toml(fit.model, text.str());
}

std::vector<Table> characterization_tables(const Characterization& fit) {
  Table numbers;
  numbers.title = "Device model with 95 % intervals";
  numbers.columns = {"key", "value", "low", "high"};
  for (const FittedNumber& number : fit.numbers) numbers.rows.push_back({number.key, number.value, number.low(), number.high()});
  numbers.caption = std::to_string(fit.reads) + " reads of " + std::to_string(fit.devices) + " devices, " +
                    std::to_string(fit.held_out_devices) + " more held out.";
  Table goodness;
  goodness.title = "Residuals over their predicted standard deviation";
  goodness.columns = {"of", "devices", "mean", "rms", "p value"};
  const auto add = [&](const std::string& set, const std::vector<Goodness>& list) {
    for (const Goodness& one : list)
      goodness.rows.push_back({one.what + ", " + set, static_cast<double>(one.count), one.mean, one.rms, one.p_value});
  };
  add("fitted", fit.fitted);
  add("held out", fit.held_out);
  goodness.caption = "A model that is right has mean 0 and rms 1; the p value is that of Kolmogorov and Smirnov against the normal distribution.";
  return {numbers, goodness};
}

}  // namespace crosstile::validation
