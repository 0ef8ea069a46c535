// Analog layers: products through converters with noise, weights in devices that are moved by pulses, as in
// resistive processing units (Gokmen and Vlasov, Front. Neurosci. 10, 333, 2016). docs/theory.md, "Analog
// layers". Weights, inputs and outputs are in the units of the network; steps and bounds of devices too.
#pragma once

#include "nn/layer.hpp"

namespace crosstile::nn {

enum class OutputNoise {
  constant,   ///< deviation `output_noise` in units of the normalised output
  input_norm  ///< deviation `output_noise` times the Euclidean norm of the normalised input
};

/// How one product is carried out: DAC, product, noise, ADC.
struct AnalogIo {
  bool is_exact = false;  ///< nothing of the below: a plain product
  int dac_bits = 7;       ///< 2^bits - 1 levels from -dac_bound to dac_bound; 0: not rounded
  double dac_bound = 1.0;
  int adc_bits = 9;  ///< 2^bits - 1 levels from -adc_bound to adc_bound; 0: not rounded
  double adc_bound = 12.0;
  double output_noise = 0.06;  ///< before the ADC; see noise_kind
  OutputNoise noise_kind = OutputNoise::constant;
  bool noise_management = true;  ///< every input vector is divided by its largest |x|, the output multiplied
  /// Iterative: while an output is clipped, the input is halved and the product repeated with new noise.
  bool bound_management = true;
  int most_halvings = 10;
  /// Errors: usage naming table.field, its value and the allowed range.
  void validate(const std::string& table) const;
};

enum class DeviceLaw {
  constant_step,    ///< every pulse moves the weight by the same step
  linear_step,      ///< step (1 - slope w / bound), towards the bound the pulse moves to
  soft_bounds,      ///< linear_step with slope 1: steps vanish at the bound
  exponential_step  ///< step max(0, 1 - A exp(+-gamma z)), z = 2 a w / (b_max - b_min) + b; + up, - down
};

/// What one pulse does to one device. Spreads between devices are normal and relative to the mean value
/// unless said otherwise; a drawn step or bound has the sign of its mean.
struct AnalogDevice {
  DeviceLaw law = DeviceLaw::constant_step;
  double step = 0.001;               ///< mean size dw_min of the step of one pulse at weight 0
  double step_spread = 0.3;          ///< between devices
  double cycle_spread = 0.3;         ///< from pulse to pulse: step * (1 + cycle_spread * normal)
  double bound = 0.6;                ///< weights stay between -bound and +bound
  double bound_spread = 0.3;         ///< between devices, for both bounds independently
  double asymmetry = 0.0;            ///< up steps are (1 + asymmetry), down steps (1 - asymmetry) times the step
  double asymmetry_spread = 0.01;    ///< between devices, absolute
  double slope_up = 0.0, slope_down = 0.0;  ///< linear_step
  double slope_spread = 0.05;               ///< linear_step, between devices, absolute
  double exponential_a_up = 0.00081, exponential_gamma_up = 12.44625;      ///< A and gamma
  double exponential_a_down = 0.36833, exponential_gamma_down = 12.78785;  ///< A and gamma
  double exponential_a = 0.244, exponential_b = 0.2425;                    ///< a and b of z
  /// Errors: usage naming table.field, its value and the allowed range.
  void validate(const std::string& table) const;
};

inline constexpr int kMostPulses = 31;

/// How a rank-one update becomes pulses; PulsedArray::update.
struct PulseOptions {
  int desired_pulses = 31;          ///< slots per update, 1 .. kMostPulses
  bool update_management = true;    ///< both sides fire equally often; too large updates are scaled down
  bool length_management = true;    ///< only as many slots as the update needs
  void validate(const std::string& table) const;
};

enum class AnalogUpdate {
  pulsed,     ///< pulses on the weights, sample by sample
  exact,      ///< the digital optimiser; weights are clipped to the devices' bounds
  tiki_taka   ///< pulses on a fast array, whose lines are read and transferred to the weights by pulses
};

/// Tiki-Taka (Gokmen and Haensch, Front. Neurosci. 14, 103, 2020).
struct TikiTakaOptions {
  double fast_rate = 1.0;       ///< times the learning rate: of the gradient's pulses on the fast array
  double transfer_rate = 1.0;   ///< of the pulses on the slow array, per unit that was read
  int transfer_lines = 1;       ///< word lines of the fast array that are transferred after every batch
  double fast_share = 0.0;      ///< weight = slow + fast_share * (fast - symmetry point)
  bool zero_shift = true;       ///< the fast array is read against its devices' symmetry points
  void validate(const std::string& table) const;
};

struct AnalogSettings {
  AnalogIo forward;
  AnalogIo backward{.bound_management = false};
  AnalogDevice device;
  PulseOptions pulses;
  AnalogUpdate update = AnalogUpdate::pulsed;
  TikiTakaOptions tiki_taka;
  /// Errors: usage naming the field, its value and the allowed range.
  void validate() const;
};

/// The kind of an analog layer; the bias stays digital. Errors: usage.
LayerKindPtr analog_kind(const AnalogSettings& settings);

}  // namespace crosstile::nn

template <>
struct crosstile::data::EnumNames<crosstile::nn::OutputNoise> {
  using OutputNoise = crosstile::nn::OutputNoise;
  static constexpr std::array<EnumName<OutputNoise>, 2> value{
      {{OutputNoise::constant, "constant"}, {OutputNoise::input_norm, "input_norm"}}};
};
template <>
struct crosstile::data::EnumNames<crosstile::nn::DeviceLaw> {
  using DeviceLaw = crosstile::nn::DeviceLaw;
  static constexpr std::array<EnumName<DeviceLaw>, 4> value{{{DeviceLaw::constant_step, "constant_step"},
                                                             {DeviceLaw::linear_step, "linear_step"},
                                                             {DeviceLaw::soft_bounds, "soft_bounds"},
                                                             {DeviceLaw::exponential_step, "exponential_step"}}};
};
template <>
struct crosstile::data::EnumNames<crosstile::nn::AnalogUpdate> {
  using AnalogUpdate = crosstile::nn::AnalogUpdate;
  static constexpr std::array<EnumName<AnalogUpdate>, 3> value{{{AnalogUpdate::pulsed, "pulsed"},
                                                                {AnalogUpdate::exact, "exact"},
                                                                {AnalogUpdate::tiki_taka, "tiki_taka"}}};
};
