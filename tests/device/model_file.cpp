#include "device/model_file.hpp"

#include <catch2/catch.hpp>
#include <cmath>
#include <sstream>

#include "device/nanosecond_noise.hpp"
#include "device/spectrum_fit.hpp"
#include "tests/core/scratch.hpp"

using namespace crosstile;
using namespace crosstile::device;
using namespace crosstile::testing;

namespace {

PcmModel model_from(const std::string& text) {
  auto config = data::Config::from_text(text, "m.toml");
  const auto model = read_device_model(config);
  config.finish();
  return model;
}

}  // namespace

TEST_CASE("A device model survives its file, for every published set", "[device][identity]") {
  for (const auto& name : device_model_names()) {
    INFO(name);
    const auto before = device_model(name);
    const std::string text = device_model_to_toml(before);
    const auto after = model_from(text);
    CHECK(device_model_to_toml(after) == text);
    CHECK(after.name == before.name);
    CHECK(after.g_max_siemens == before.g_max_siemens);
    REQUIRE(after.programming.sigma_siemens.size() == before.programming.sigma_siemens.size());
    for (const double g : {0.0, 0.3, 1.0}) {
      CHECK(after.programming.sigma(g) == Approx(before.programming.sigma(g)).epsilon(1e-14));
      CHECK(after.drift.mean(g) == before.drift.mean(g));
      CHECK(after.drift.spread(g) == before.drift.spread(g));
      CHECK(after.read.q_s(g) == before.read.q_s(g));
    }
    CHECK(after.read.t_r_s == before.read.t_r_s);
    CHECK(after.drift.t0_s == before.drift.t0_s);
  }
}

TEST_CASE("Every number of a device model can be replaced", "[device][property]") {
  // Each line of the written model with a number is changed alone; the model that is read must change with it.
  auto base = pcm_default();
  base.verify.max_pulses = 3;
  base.telegraph.traps_per_device = 0.5;
  const std::string text = device_model_to_toml(base);
  std::istringstream lines(text);
  std::string before;
  int changed = 0;
  for (std::string line; std::getline(lines, line); before += line + "\n") {
    const auto equals = line.find(" = ");
    if (equals == std::string::npos || line.find('"') < line.find('#')) continue;
    const bool list = line[equals + 3] == '[';
    const std::string digits = line.substr(equals + (list ? 4 : 3), line.find('#') - equals);
    const bool whole = digits.substr(0, digits.find(' ')).find_first_of(".e") == std::string::npos;
    const double value = std::stod(digits);
    const std::string now = whole ? std::to_string(std::stoi(digits) + 1) : std::to_string(value == 0.0 ? 0.01 : value * 1.001);
    std::ostringstream exact;
    exact.precision(12);
    exact << line.substr(0, equals + 3) << (list ? "[" : "");
    if (whole) exact << now; else exact << std::scientific << (value == 0.0 ? 0.01 : value * 1.001);
    if (list) exact << "]";
    const std::string rest = text.substr(before.size() + line.size());
    INFO(exact.str());
    CHECK(device_model_to_toml(model_from(before + exact.str() + rest)) != text);
    ++changed;
  }
  CHECK(changed == 35);
}

TEST_CASE("A model file says only what differs from its base", "[device][property]") {
  const auto model = model_from("[device]\nname = \"mine\"\nbase = \"pcm-hermes-1\"\n[device.drift]\nmu_0 = 0.03\n");
  CHECK(model.name == "mine");
  CHECK(model.g_max_siemens == Approx(10.35e-6));
  CHECK(model.drift.mu_0 == 0.03);
  CHECK(model.drift.mu_log == -0.0155);
  const auto scaled = model_from("[device]\ng_max_uS = 50.0\n");  // the polynomial scales with g_max, as pcm_default(50 uS)
  CHECK(scaled.programming.sigma(1.0) == Approx(2.11076e-6).epsilon(1e-12));
  CHECK(model_from("[device]\ng_max_uS = 50.0\nprogramming.sigma_uS = [1.0]\n").programming.sigma(0.7) == Approx(1e-6));
}

TEST_CASE("Models are found by name or by file", "[device][property]") {
  const ScratchFolder scratch;
  put_bytes(scratch / "m.toml", "name = \"bare\"\ndrift.mu_log = 0.0\n");
  put_bytes(scratch / "n.toml", device_model_to_toml(pcm_default(), "two\nlines"));
  CHECK(find_device_model((scratch / "m.toml").string()).name == "bare");
  CHECK(find_device_model((scratch / "n.toml").string()).name == "pcm-2019");
  CHECK(get_bytes(scratch / "n.toml").rfind("# two\n# lines\n[device]\n", 0) == 0);
  CHECK(find_device_model("rram-1s").g_max_siemens == Approx(40e-6));
}

TEST_CASE("Mistakes in a model file are all reported with their place and range", "[device][error]") {
  const ScratchFolder scratch;
  put_bytes(scratch / "bad.toml", "[device]\nbase = \"pcm\"\n[device.drift]\nmu_logg = 1.0\nt0_s = -3.0\n[device.stuck]\nshare_low = 0.9\nshare_high = 0.2\n");
  const auto error = error_of([&] { load_device_model(scratch / "bad.toml"); });
  require_error(error, ErrorKind::usage, {"bad.toml", "device.base", "pcm-hermes-2", "device.drift.mu_logg", "mu_log", "t0_s = -3", "share_high"});
  put_bytes(scratch / "lists.toml", "programming.sigma_uS = []\nread_noise.q_1 = \"much\"\n");
  require_error(error_of([&] { load_device_model(scratch / "lists.toml"); }), ErrorKind::usage, {"sigma_uS", "read_noise.q_1", "a number"});
  require_error(error_of([&] { find_device_model((scratch / "none.toml").string()); }), ErrorKind::io, {"none.toml"});
  require_error(error_of([&] { find_device_model("pcm-2091"); }), ErrorKind::usage, {"pcm-2091", "rram-1day", ".toml"});
}

TEST_CASE("The stated short-time spectrum is the fit to the published nanosecond noise", "[device][regression]") {
  const auto fit = fit_nanosecond_process({});
  const ShortNoise stated;
  CHECK(stated.shape.exponent == Approx(fit.fit.shape.exponent).epsilon(1e-4));
  CHECK(stated.shape.variance == Approx(fit.fit.shape.variance).epsilon(1e-4));
  CHECK(stated.shape.white_per_hz == Approx(fit.fit.shape.white_per_hz).epsilon(1e-4));
  CHECK(stated.g_offset_siemens == Approx(fit.g_offset_siemens).epsilon(1e-4));
  const NanosecondReadNoise published;
  const auto relative = stated.relative();
  for (int k = 0; k <= 60; ++k) {
    const double t_s = 1e-9 * std::pow(10.0, k / 20.0);
    for (const double g : {2e-6, 10e-6, 25e-6})
      CHECK(std::sqrt(relative.window_variance(t_s)) * (g + stated.g_offset_siemens) == Approx(published.sigma_siemens(g, t_s)).epsilon(0.05));
  }
}
