#include "nn/compensation.hpp"

#include <array>
#include <utility>

#include "core/error.hpp"

namespace crosstile::nn {

namespace {

using NonIdealityField = std::pair<const char*, bool NonIdealities::*>;
constexpr std::array<NonIdealityField, 5> kNonIdealities{{{"wires", &NonIdealities::wires},
                                                          {"adc", &NonIdealities::adc},
                                                          {"programming", &NonIdealities::programming},
                                                          {"drift", &NonIdealities::drift},
                                                          {"read noise", &NonIdealities::read_noise}}};

}  // namespace

double normalised_accuracy(double accuracy, double digital_accuracy, double chance_accuracy) {
  if (!(digital_accuracy > chance_accuracy))
    throw_out_of_range("digital_accuracy", digital_accuracy,
                       "it must be above chance, " + std::to_string(chance_accuracy));
  return 1.0 - (digital_accuracy - accuracy) / (digital_accuracy - chance_accuracy);
}

data::TileSpec with_only(const NonIdealities& present, data::TileSpec tile) {
  if (!present.wires) {
    tile.r_row_ohm = tile.r_col_ohm = tile.r_driver_ohm = tile.r_sense_ohm = 0.0;
    if (tile.selector.kind == data::SelectorKind::resistor) tile.selector.r_on_ohm = 0.0;
  }
  if (!present.adc) tile.adc.enabled = false;
  return tile;
}

device::PcmModel with_only(const NonIdealities& present, device::PcmModel devices) {
  if (!present.programming) {
    devices.programming.sigma_siemens = {0.0};
    devices.verify = {};
    devices.stuck = {};
  }
  if (!present.drift) {
    devices.drift.mu_log = devices.drift.mu_0 = devices.drift.mu_low = devices.drift.mu_high = 0.0;
    devices.drift.s_log = devices.drift.s_0 = devices.drift.s_low = devices.drift.s_high = 0.0;
  }
  if (!present.read_noise) devices.read.q_1 = 0.0;
  return devices;
}

std::vector<NonIdealityCase> each_alone_and_removed() {
  NonIdealities none;
  for (const auto& [name, field] : kNonIdealities) none.*field = false;
  std::vector<NonIdealityCase> cases = {{"all", {}}, {"none", none}};
  for (const auto& [name, field] : kNonIdealities) {
    cases.push_back({std::string("only ") + name, none});
    cases.back().present.*field = true;
  }
  for (const auto& [name, field] : kNonIdealities) {
    cases.push_back({std::string("no ") + name, {}});
    cases.back().present.*field = false;
  }
  return cases;
}

}  // namespace crosstile::nn
