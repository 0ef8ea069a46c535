#include "validation/characterize.hpp"

#include <catch2/catch.hpp>
#include <cmath>
#include <map>

#include "core/random.hpp"
#include "data/csv.hpp"
#include "device/model_file.hpp"
#include "tests/core/scratch.hpp"
#include "validation/characterize_fit.hpp"

using namespace crosstile;
using namespace crosstile::validation;
using namespace crosstile::testing;

namespace {

// Lines without clips inside the measured range, so that every coefficient is there to be found.
device::PcmModel known_model() {
  device::PcmModel model = device::pcm_default();
  model.drift = {.t0_s = 20.0, .mu_log = -0.01, .mu_0 = 0.05, .mu_low = 0.0, .mu_high = 1.0,
                 .s_log = -0.003, .s_0 = 0.01, .s_low = 0.0, .s_high = 1.0};
  return model;
}
const std::vector<double> kTargets{3e-6, 6e-6, 10e-6, 16e-6, 25e-6};
std::vector<double> log_times(int count) {
  std::vector<double> t;
  for (int k = 0; k < count; ++k) t.push_back(20.0 * std::pow(1e4, k / (count - 1.0)));
  return t;
}
std::map<std::string, double> truth() {
  return {{"programming.sigma_uS[0]", 0.26348}, {"programming.sigma_uS[1]", 1.9650}, {"programming.sigma_uS[2]", -1.1731},
          {"drift.mu_log", -0.01}, {"drift.mu_0", 0.05}, {"drift.s_log", -0.003}, {"drift.s_0", 0.01},
          {"read_noise.q_1", 0.0088}, {"read_noise.q_power", -0.65}};
}

}  // namespace

TEST_CASE("Characterisation gives the known model back inside five standard errors", "[statistics]") {
  const auto fit = characterize(simulate_reads(known_model(), kTargets, 100, log_times(12), 5));
  CHECK(fit.devices == 400);
  CHECK(fit.held_out_devices == 100);
  REQUIRE(fit.numbers.size() == 9);
  for (const auto& number : fit.numbers) {
    INFO(number.key << " = " << number.value << " +- " << number.standard_error);
    const double expected = truth().at(number.key);
    CHECK(std::abs(number.value - expected) < 5.0 * number.standard_error);
    CHECK(number.standard_error < 0.5 * std::abs(expected));
  }
  for (const auto& one : fit.held_out) {
    INFO(one.what << " mean " << one.mean << " rms " << one.rms << " p " << one.p_value);
    CHECK(one.count == 100);
    CHECK(std::abs(one.mean) < 5.0 / 10.0);
    CHECK(std::abs(one.rms - 1.0) < 5.0 / std::sqrt(200.0));
    CHECK(one.p_value > 1e-4);
  }
}

TEST_CASE("95 % intervals cover the truth in 500 fits", "[.coverage]") {
  std::map<std::string, int> inside;
  constexpr int kFits = 500;
  for (int k = 0; k < kFits; ++k) {
    const auto fit = characterize(simulate_reads(known_model(), kTargets, 80, log_times(10), static_cast<std::uint64_t>(1000 + k)),
                                  {.held_out_share = 0.0});
    for (const auto& number : fit.numbers)
      if (number.low() <= truth().at(number.key) && truth().at(number.key) <= number.high()) ++inside[number.key];
  }
  for (const auto& [key, count] : inside) {
    WARN(key << ": " << 100.0 * count / kFits << " %");
    CHECK(std::abs(count / double(kFits) - 0.95) < 5.0 * std::sqrt(0.95 * 0.05 / kFits));
  }
  CHECK(inside.size() == 9);
}

TEST_CASE("A model that is wrong is seen to be wrong on held-out devices", "[property]") {
  auto reads = simulate_reads(known_model(), kTargets, 80, log_times(10), 6);
  for (std::size_t k = 0; k < reads.device.size(); ++k)  // two populations of drift
    if (static_cast<int>(reads.device[k]) % 2 == 0) reads.conductance_siemens[k] *= std::pow(reads.time_s[k] / 20.0, -0.2);
  const auto fit = characterize(reads);
  CHECK(fit.held_out[1].p_value < 1e-3);  // drift exponents are no longer normal
  CHECK(fit.held_out[2].p_value > 1e-4);  // read noise is as before
}

TEST_CASE("The written model is read again and makes reads like the measured ones", "[identity]") {
  const ScratchFolder scratch;
  const auto fit = characterize(simulate_reads(known_model(), kTargets, 60, log_times(10), 7), {.name = "mine"});
  const std::string text = characterization_to_toml(fit);
  put_bytes(scratch / "mine.toml", text);
  const auto model = device::find_device_model((scratch / "mine.toml").string());
  CHECK(model.name == "mine");
  for (const double g : {0.12, 0.5, 1.0}) {
    CHECK(model.programming.sigma(g) == Approx(fit.model.programming.sigma(g)).epsilon(1e-12));
    CHECK(model.programming.sigma(g) == Approx(known_model().programming.sigma(g)).epsilon(0.25));
    CHECK(model.drift.mean(g) == Approx(known_model().drift.mean(g)).epsilon(0.1));
    CHECK(model.read.q_s(g) == Approx(known_model().read.q_s(g)).epsilon(0.1));
  }
  CHECK(text.find("95 % interval") != std::string::npos);
  CHECK(characterization_tables(fit).size() == 2);
}

TEST_CASE("One target gives constants instead of lines", "[property]") {
  const auto fit = characterize(simulate_reads(known_model(), {15e-6}, 200, log_times(8), 8), {.g_max_siemens = 25e-6});
  CHECK(fit.numbers.size() == 4);
  CHECK(fit.model.drift.mu_log == 0.0);
  CHECK(fit.model.drift.mean(0.1) == Approx(known_model().drift.mean(0.6)).epsilon(0.1));
}

TEST_CASE("Reads come from tables, with or without a target column", "[property]") {
  const ScratchFolder scratch;
  const auto reads = simulate_reads(known_model(), {15e-6}, 20, log_times(4), 8);
  Matrix four(static_cast<Index>(reads.device.size()), 4);
  for (Index k = 0; k < four.rows(); ++k) {
    const auto at = static_cast<std::size_t>(k);
    four.row(k) << reads.device[at], reads.target_siemens[at], reads.time_s[at], reads.conductance_siemens[at];
  }
  data::write_csv(scratch / "four.csv", four, "device,target_siemens,time_s,conductance_siemens");
  Matrix three(four.rows(), 3);
  three << four.col(0), four.col(2), four.col(3);
  data::write_csv(scratch / "three.csv", three);
  CHECK(read_device_reads(scratch / "four.csv").conductance_siemens == reads.conductance_siemens);
  CHECK(read_device_reads(scratch / "three.csv", 15e-6).target_siemens == reads.target_siemens);
  CHECK(characterize(read_device_reads(scratch / "four.csv")).numbers[0].value == characterize(reads).numbers[0].value);
}

TEST_CASE("The p value of normal numbers is uniform, that of others is not", "[statistics]") {
  int small = 0;
  for (std::uint64_t k = 0; k < 400; ++k)
    small += normal_p_value(random_normal_matrix({3, Stream::test, 0}, 1, 50, k).row(0).transpose()) < 0.1 ? 1 : 0;
  CHECK(std::abs(small / 400.0 - 0.1) < 5.0 * std::sqrt(0.09 / 400.0));
  CHECK(normal_p_value(1.5 * random_normal_matrix({3, Stream::test, 1}, 1, 300).row(0).transpose()) < 1e-3);
}

TEST_CASE("Reads that determine no model are refused with the reason", "[error]") {
  const ScratchFolder scratch;
  const auto bad = [](const DeviceReads& reads, const CharacterizeOptions& options = {}) { return error_of([&] { characterize(reads, options); }); };
  auto reads = simulate_reads(known_model(), {15e-6}, 5, log_times(4), 8);
  require_error(bad(reads), ErrorKind::bad_data, {"5 devices", "at least 10"});
  reads = simulate_reads(known_model(), {15e-6}, 20, log_times(2), 8);
  require_error(bad(reads), ErrorKind::bad_data, {"device 0", "2 positive reads", "3 are needed"});
  reads = simulate_reads(known_model(), {15e-6}, 20, {30.0, 30.0, 30.0}, 8);
  require_error(bad(reads), ErrorKind::bad_data, {"same time"});
  reads = simulate_reads(known_model(), {15e-6}, 20, log_times(4), 8);
  require_error(bad(reads, {.g_max_siemens = 10e-6}), ErrorKind::bad_data, {"1.5e-05", "g_max = 1e-05"});
  require_error(bad(reads, {.held_out_share = 1.0}), ErrorKind::usage, {"held_out_share = 1"});
  reads.target_siemens[3] = 1e-6;
  require_error(bad(reads), ErrorKind::bad_data, {"device 3", "targets"});
  put_bytes(scratch / "bad.csv", "device,target,time,g\n1,1e-5,0,1e-5\n");
  require_error(error_of([&] { read_device_reads(scratch / "bad.csv"); }), ErrorKind::bad_data, {"bad.csv", "read 1", "time 0"});
  put_bytes(scratch / "wide.csv", "1,2,3,4,5\n");
  require_error(error_of([&] { read_device_reads(scratch / "wide.csv"); }), ErrorKind::bad_data, {"wide.csv"});
}
