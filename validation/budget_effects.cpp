// Effects of an error budget: how each is left out, and how each grows; and the search for the largest
// factor.
#include <algorithm>
#include <cmath>
#include <numbers>

#include "core/error.hpp"
#include "validation/budget.hpp"

namespace crosstile::validation {

namespace {

constexpr std::array<const char*, kEffects> kEffectNames{
    "column wire", "row wire", "selector", "front end", "pwm", "adc", "read noise", "programming", "drift"};
constexpr int kFinePwmBits = 12, kFineAdcBits = 16;
constexpr double kBracketStep = 4.0;
constexpr double kSlopeRange = 1.6;  // samples within this ratio of the root give the slope

double of(const Strengths& strengths, Effect effect) {
  return strengths[static_cast<std::size_t>(effect)];
}

// Bits of a converter whose step is `factor` times that of `bits` bits; steps: 2^b - 1 over the range.
int bits_at(int bits, double factor, int fine_bits) {
  if (factor <= 0.0) return fine_bits;
  const double steps = (std::exp2(bits) - 1.0) / factor;
  return std::clamp(static_cast<int>(std::lround(std::log2(steps + 1.0))), 2, fine_bits);
}

void scale_drift(device::Drift& drift, double factor) {
  for (double* value : {&drift.mu_log, &drift.mu_0, &drift.mu_low, &drift.mu_high, &drift.s_log, &drift.s_0,
                        &drift.s_low, &drift.s_high})
    *value *= factor;
}

// Slope of the value over ln factor near the root, by least squares; that of the bracket where it is not
// negative.
double slope_near(const FactorRoot& root, const std::pair<double, FactorSample>& low,
                  const std::pair<double, FactorSample>& high) {
  double n = 0.0, x = 0.0, y = 0.0, xx = 0.0, xy = 0.0;
  for (const auto& [factor, sample] : root.samples) {
    const double ln = std::log(factor / root.factor);
    if (std::abs(ln) > std::log(kSlopeRange)) continue;
    n += 1.0;
    x += ln;
    y += sample.value;
    xx += ln * ln;
    xy += ln * sample.value;
  }
  const double spread = n * xx - x * x;
  const double slope = spread > 0.0 ? (n * xy - x * y) / spread : 0.0;
  return slope < 0.0 ? slope : (high.second.value - low.second.value) / std::log(high.first / low.first);
}

// The root between two neighbouring factors, linear in the value over ln factor.
void interpolate(const std::pair<double, FactorSample>& low, const std::pair<double, FactorSample>& high,
                 double level, FactorRoot& root) {
  std::sort(root.samples.begin(), root.samples.end(),
            [](const auto& a, const auto& b) { return a.first < b.first; });
  const double share = (low.second.value - level) / (low.second.value - high.second.value);
  root.factor = low.first * std::pow(high.first / low.first, share);
  const double slope = slope_near(root, low, high);
  root.log_error = std::hypot(low.second.error, high.second.error) / std::numbers::sqrt2 / std::abs(slope);
}

FactorRoot at_end(FactorRoot root, FactorRoot::Verdict verdict, double factor) {
  std::sort(root.samples.begin(), root.samples.end(),
            [](const auto& a, const auto& b) { return a.first < b.first; });
  root.verdict = verdict;
  root.factor = factor;
  return root;
}

}  // namespace

std::string effect_name(std::size_t effect) {
  return kEffectNames[effect];
}

Strengths all_effects(double strength) {
  Strengths out;
  out.fill(strength);
  return out;
}
Strengths only_effect(std::size_t effect, double strength) {
  Strengths out = all_effects(0.0);
  out[effect] = strength;
  return out;
}
Strengths without_effect(std::size_t effect, double strength) {
  Strengths out = all_effects(1.0);
  out[effect] = strength;
  return out;
}

data::TileSpec tile_with(const BudgetStudy& study, const Strengths& strengths) {
  data::TileSpec tile = study.tile;
  tile.r_col_ohm *= of(strengths, Effect::column_wire);
  tile.r_row_ohm *= of(strengths, Effect::row_wire);
  tile.r_driver_ohm *= of(strengths, Effect::row_wire);
  tile.selector.r_on_ohm *= of(strengths, Effect::selector);
  const double front_end = of(strengths, Effect::front_end);
  tile.r_sense_ohm *= front_end;
  tile.adc.enabled = true;
  tile.adc.bits = bits_at(study.tile.adc.bits, of(strengths, Effect::adc), kFineAdcBits);
  tile.adc.gain_spread = std::min(0.5, tile.adc.gain_spread * front_end);
  // In steps of the configured converter, whatever the bits are now.
  tile.adc.offset_spread_lsb *=
      front_end * (std::exp2(tile.adc.bits) - 1.0) / (std::exp2(study.tile.adc.bits) - 1.0);
  tile.pulse.dac_bits =
      bits_at(study.tile.pulse.dac_bits - 1, of(strengths, Effect::pwm), kFinePwmBits - 1) + 1;
  if (of(strengths, Effect::pwm) <= 0.0) tile.pulse.passes = data::Passes::conventional;
  if (tile.pulse.passes == data::Passes::split)
    tile.pulse.split_bits = std::clamp(tile.pulse.split_bits, 1, std::max(1, tile.pulse.dac_bits - 2));
  return tile;
}

device::PcmModel devices_with(const BudgetStudy& study, const Strengths& strengths) {
  device::PcmModel devices = study.device;
  const double programming = of(strengths, Effect::programming), read = of(strengths, Effect::read_noise);
  for (double& coefficient : devices.programming.sigma_siemens) coefficient *= programming;
  devices.stuck.share_low *= programming;
  devices.stuck.share_high *= programming;
  if (programming <= 0.0) devices.verify = {};
  devices.read.q_1 *= read;
  devices.read.q_max *= std::max(read, 1e-12);
  scale_drift(devices.drift, of(strengths, Effect::drift));
  return devices;
}

bool is_configured(const BudgetStudy& study, std::size_t effect) {
  const auto& tile = study.tile;
  const auto any = [](const std::vector<double>& values) {
    return std::any_of(values.begin(), values.end(), [](double v) { return v != 0.0; });
  };
  switch (static_cast<Effect>(effect)) {
    case Effect::column_wire:
      return tile.r_col_ohm > 0.0;
    case Effect::row_wire:
      return tile.r_row_ohm > 0.0 || tile.r_driver_ohm > 0.0;
    case Effect::selector:
      return tile.selector.kind == data::SelectorKind::resistor && tile.selector.r_on_ohm > 0.0;
    case Effect::front_end:
      return tile.r_sense_ohm > 0.0 || tile.adc.gain_spread > 0.0 || tile.adc.offset_spread_lsb > 0.0;
    case Effect::read_noise:
      return study.device.read.q_1 > 0.0;
    case Effect::programming:
      return any(study.device.programming.sigma_siemens) || study.device.stuck.share_low > 0.0 ||
             study.device.stuck.share_high > 0.0;
    case Effect::drift:
      return study.device.drift.mu_high > 0.0;
    default:
      return true;
  }
}

FactorRoot largest_factor(const std::function<FactorSample(double)>& value_at, double level, double most,
                          double precision) {
  require_in_range("most", most, 1.0, 1e12);
  require_in_range("precision", precision, 1.0 + 1e-9, 1e6);
  FactorRoot root;
  const auto ask = [&](double factor) {
    root.samples.emplace_back(factor, value_at(factor));
    return root.samples.back();
  };
  auto low = ask(1.0), high = low;
  if (low.second.value >= level) {
    while (high.second.value >= level) {
      if (high.first >= most) return at_end(root, FactorRoot::Verdict::above, most);
      low = high;
      high = ask(std::min(most, kBracketStep * high.first));
    }
  } else {
    while (low.second.value < level) {
      if (low.first <= 1.0 / most) return at_end(root, FactorRoot::Verdict::below, 1.0 / most);
      high = low;
      low = ask(std::max(1.0 / most, low.first / kBracketStep));
    }
  }
  while (high.first / low.first > precision) {
    const auto middle = ask(std::sqrt(low.first * high.first));
    (middle.second.value >= level ? low : high) = middle;
  }
  interpolate(low, high, level, root);
  return root;
}

FactorRoot largest_factor_of(const std::vector<double>& factors,
                             const std::function<FactorSample(double)>& value_at, double level) {
  if (factors.empty()) throw_out_of_range("factors (count)", 0, "allowed: at least 1");
  FactorRoot root;
  const auto ask = [&](std::size_t k) {
    root.samples.emplace_back(factors[k], value_at(factors[k]));
    return root.samples.back();
  };
  std::size_t k = 0;
  for (std::size_t i = 1; i < factors.size(); ++i)
    if (std::abs(std::log(factors[i])) < std::abs(std::log(factors[k]))) k = i;
  auto low = ask(k), high = low;
  if (low.second.value >= level) {
    while (high.second.value >= level) {
      if (k + 1 == factors.size()) return at_end(root, FactorRoot::Verdict::above, factors.back());
      low = high;
      high = ask(++k);
    }
  } else {
    while (low.second.value < level) {
      if (k == 0) return at_end(root, FactorRoot::Verdict::below, factors.front());
      high = low;
      low = ask(--k);
    }
  }
  interpolate(low, high, level, root);
  return root;
}

}  // namespace crosstile::validation
