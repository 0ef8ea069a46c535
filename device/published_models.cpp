// The published coefficient sets behind device_model(). docs/theory.md, "Device statistics", gives the sources in full.
#include <array>
#include <string>

#include "core/error.hpp"
#include "device/pcm.hpp"

namespace crosstile::device {

namespace {

constexpr double kMicro = 1e-6;
constexpr double kDay = 86400.0;

std::vector<double> micro_siemens(std::vector<double> coefficients) {
  for (double& c : coefficients) c *= kMicro;
  return coefficients;
}

PcmModel hermes(const std::string& name, double g_max_siemens, std::vector<double> sigma_micro_siemens) {
  PcmModel model = pcm_default(g_max_siemens);
  model.name = name;
  model.source = "programming: HERMES chip (14 nm PCM), published fit; drift and read noise: as pcm-2019 (assumed)";
  model.programming.sigma_siemens = micro_siemens(std::move(sigma_micro_siemens));
  return model;
}

/// Relaxation: the polynomial is the deviation from target `after_s` seconds after programming, so that time is t0.
PcmModel rram(const std::string& name, double after_s, std::vector<double> sigma_micro_siemens) {
  PcmModel model;
  model.name = name;
  model.source = "fit to Wan et al., Nature 608, 504 (2022); relaxation at t0, no drift, no accumulated read noise";
  model.g_max_siemens = 40.0 * kMicro;
  model.programming.sigma_siemens = micro_siemens(std::move(sigma_micro_siemens));
  model.drift = {.t0_s = after_s, .mu_log = 0.0, .mu_0 = 0.0, .mu_low = 0.0, .mu_high = 0.0,
                 .s_log = 0.0, .s_0 = 0.0, .s_low = 0.0, .s_high = 0.0};
  model.read.q_max = 0.0;
  return model;
}

struct NamedModel {
  const char* name;
  PcmModel (*make)();
};

const std::array<NamedModel, 6> kModels{{
    {"pcm-2019", [] { return pcm_default(); }},
    {"pcm-hermes-2", [] { return hermes("pcm-hermes-2", 20.7e-6, {0.16603, 4.71806, -8.48101, 4.68961}); }},
    {"pcm-hermes-1", [] { return hermes("pcm-hermes-1", 10.35e-6, {0.15782, 2.32444, -2.16311, 0.68842}); }},
    {"rram-1s", [] { return rram("rram-1s", 1.0, {0.348, 16.030, -43.853, 45.393, -16.815}); }},
    {"rram-1day", [] { return rram("rram-1day", kDay, {0.701, 22.086, -50.773, 47.095, -16.458}); }},
    {"rram-2days", [] { return rram("rram-2days", 2.0 * kDay, {0.782, 20.274, -43.507, 37.062, -11.934}); }},
}};

}  // namespace

PcmModel pcm_default(double g_max_siemens) {
  require_in_range("g_max_siemens", g_max_siemens, 1e-12, 1.0);
  const double scale = g_max_siemens / 25.0;  // the published polynomial is in uS for a g_max of 25 uS
  PcmModel model;
  model.source =
      "Nandakumar et al., ICECS 2019; Joshi et al., Nat. Commun. 11, 2473 (2020); Le Gallo et al. (2018)";
  model.g_max_siemens = g_max_siemens;
  model.programming.sigma_siemens = {0.26348 * scale, 1.9650 * scale, -1.1731 * scale};
  return model;
}

PcmModel device_model(std::string_view name) {
  std::string known;
  for (const auto& entry : kModels) {
    if (name == entry.name) return entry.make();
    known += (known.empty() ? "" : ", ") + std::string(entry.name);
  }
  throw Error(ErrorKind::usage, "device model \"" + std::string(name) + "\" is not known; allowed: " + known);
}

std::vector<std::string> device_model_names() {
  std::vector<std::string> names;
  for (const auto& entry : kModels) names.emplace_back(entry.name);
  return names;
}

}  // namespace crosstile::device
