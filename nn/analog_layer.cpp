#include <cmath>
#include <sstream>

#include "core/error.hpp"
#include "nn/analog.hpp"
#include "nn/analog_product.hpp"
#include "nn/pulsed_array.hpp"
#include "nn/train.hpp"

namespace crosstile::nn {

namespace {

constexpr std::uint32_t kNoiseFamily = 0x50000000U;  // RandomKey::tile: kNoiseFamily + 16 layer + purpose
enum NoisePurpose : std::uint32_t { training_noise, evaluation_noise, backward_noise, transfer_noise };
constexpr const char* kFast = "fast_weights";
constexpr const char* kSlow = "slow_weights";

BulkKey noise_key(const LayerSlot& slot, NoisePurpose purpose) {
  const auto layer = static_cast<std::uint32_t>(slot.number);
  return bulk_key({slot.seed, Stream::output_noise, kNoiseFamily + 16 * layer + purpose});
}

// Products of an analog layer: forward, backward, and forward in an evaluation, with noise of their own.
class AnalogLayer : public Layer {
 public:
  AnalogLayer(const LayerSlot& slot, const AnalogSettings& settings)
      : slot_(slot),
        settings_(settings),
        array_(settings.device, settings.pulses, slot.seed, 2 * static_cast<std::uint32_t>(slot.number),
               slot.inputs(), slot.outputs()),
        training_(settings.forward, noise_key(slot, training_noise)),
        evaluation_(settings.forward, noise_key(slot, evaluation_noise)),
        backward_(settings.backward, noise_key(slot, backward_noise)) {
    array_.clip(slot_.parameters.weights);
  }

  void forward(const Pass& pass, const BatchIn& x, BatchOut y) override {
    auto& product = pass.purpose == Pass::Purpose::training ? training_ : evaluation_;
    product.run(x, slot_.parameters.weights, pass.step, pass.threads, y);
    y.rowwise() += slot_.parameters.bias;
  }
  void backward(const Pass& pass, const BatchIn&, const BatchIn& delta, BatchOut input_delta) override {
    backward_.run_transposed(delta, slot_.parameters.weights, pass.step, pass.threads, input_delta);
  }
  void update(const Pass& pass, const BatchIn& x, const BatchIn& delta) override {
    if (settings_.update == AnalogUpdate::exact) {
      digital_update(slot_, pass, x, delta);
      array_.clip(slot_.parameters.weights);
      return;
    }
    array_.update(x, delta, pass.learning_rate, pass.step, pass.threads, slot_.parameters.weights);
    digital_update_bias(slot_, pass, delta);
  }

 protected:
  LayerSlot slot_;
  AnalogSettings settings_;
  PulsedArray array_;

 private:
  AnalogProduct training_, evaluation_, backward_;
};

// Two arrays: pulses of the gradient go to the fast one; its lines are read in turn, and what was read moves
// the slow one (array_) by pulses.
class TikiTakaLayer final : public AnalogLayer {
 public:
  TikiTakaLayer(const LayerSlot& slot, const AnalogSettings& settings)
      : AnalogLayer(slot, settings),
        fast_array_(settings.device, settings.pulses, slot.seed,
                    2 * static_cast<std::uint32_t>(slot.number) + 1, slot.inputs(), slot.outputs()),
        read_(settings.forward, noise_key(slot, transfer_noise)),
        symmetry_(MatrixF::Zero(slot.inputs(), slot.outputs())),
        fast_(slot.memory.matrix(kFast, slot.inputs(), slot.outputs(),
                                 [&](MatrixF& fast) { start_fast(fast); })),
        slow_(slot.memory.matrix(kSlow, slot.inputs(), slot.outputs(),
                                 [&](MatrixF& slow) { slow = slot.parameters.weights; })) {
    if (settings.tiki_taka.zero_shift) symmetry_ = symmetry_points();
    compose();
  }

  void update(const Pass& pass, const BatchIn& x, const BatchIn& delta) override {
    const TikiTakaOptions& options = settings_.tiki_taka;
    fast_array_.update(x, delta, options.fast_rate * pass.learning_rate, pass.step, pass.threads, fast_);
    const auto lines = static_cast<std::uint64_t>(slot_.inputs());
    for (int k = 0; k < options.transfer_lines; ++k) {
      const std::uint64_t count =
          pass.step * static_cast<std::uint64_t>(options.transfer_lines) + static_cast<std::uint64_t>(k);
      transfer(static_cast<Index>(count % lines), count);
    }
    compose();
    digital_update_bias(slot_, pass, delta);
  }

 private:
  void compose() {
    slot_.parameters.weights = slow_;
    const auto share = static_cast<float>(settings_.tiki_taka.fast_share);
    if (share > 0.0F) slot_.parameters.weights += share * (fast_ - symmetry_);
  }
  MatrixF symmetry_points() const {
    MatrixF points(slot_.inputs(), slot_.outputs());
    for (Index i = 0; i < points.rows(); ++i)
      for (Index j = 0; j < points.cols(); ++j) points(i, j) = fast_array_.symmetry_point(i, j);
    return points;
  }
  void start_fast(MatrixF& fast) const {
    if (settings_.tiki_taka.zero_shift) fast = symmetry_points();
  }
  // The read of a line is a product with a unit vector, through the converters of the forward product.
  void transfer(Index line, std::uint64_t count) {
    const MatrixF one = MatrixF::Ones(1, 1);
    const MatrixF stored = fast_.row(line) - symmetry_.row(line);
    MatrixF read(1, slot_.outputs());
    read_.run(one, stored, count, 1, read);
    array_.update_line(line, -read.row(0), settings_.tiki_taka.transfer_rate, count, slow_);
  }

  PulsedArray fast_array_;
  AnalogProduct read_;
  MatrixF symmetry_;
  MatrixF& fast_;
  MatrixF& slow_;
};

class AnalogKind final : public LayerKind {
 public:
  explicit AnalogKind(const AnalogSettings& settings) : settings_(settings) { settings_.validate(); }
  std::unique_ptr<Layer> make(const LayerSlot& slot) const override {
    if (settings_.update == AnalogUpdate::tiki_taka) return std::make_unique<TikiTakaLayer>(slot, settings_);
    return std::make_unique<AnalogLayer>(slot, settings_);
  }
  std::string settings() const override;

 private:
  AnalogSettings settings_;
};

// "name = value" lines of one table.
class SettingsText {
 public:
  SettingsText() { text_.precision(17); }
  template <typename Value>
  SettingsText& line(const std::string& name, const Value& value) {
    text_ << name << " = " << value << "\n";
    return *this;
  }
  std::string str() const { return text_.str(); }

 private:
  std::ostringstream text_;
};

void add_io(SettingsText& text, const std::string& table, const AnalogIo& io) {
  text.line(table + ".exact", io.is_exact);
  if (io.is_exact) return;
  text.line(table + ".dac_bits", io.dac_bits)
      .line(table + ".dac_bound", io.dac_bound)
      .line(table + ".adc_bits", io.adc_bits)
      .line(table + ".adc_bound", io.adc_bound)
      .line(table + ".output_noise", io.output_noise)
      .line(table + ".noise_kind", data::to_name(io.noise_kind))
      .line(table + ".noise_management", io.noise_management)
      .line(table + ".bound_management", io.bound_management)
      .line(table + ".most_halvings", io.most_halvings);
}

void add_device(SettingsText& text, const AnalogDevice& device) {
  text.line("device.law", data::to_name(device.law))
      .line("device.step", device.step)
      .line("device.step_spread", device.step_spread)
      .line("device.cycle_spread", device.cycle_spread)
      .line("device.bound", device.bound)
      .line("device.bound_spread", device.bound_spread)
      .line("device.asymmetry", device.asymmetry)
      .line("device.asymmetry_spread", device.asymmetry_spread);
  if (device.law == DeviceLaw::linear_step)
    text.line("device.slope_up", device.slope_up)
        .line("device.slope_down", device.slope_down)
        .line("device.slope_spread", device.slope_spread);
  if (device.law == DeviceLaw::exponential_step)
    text.line("device.exponential_a_up", device.exponential_a_up)
        .line("device.exponential_gamma_up", device.exponential_gamma_up)
        .line("device.exponential_a_down", device.exponential_a_down)
        .line("device.exponential_gamma_down", device.exponential_gamma_down)
        .line("device.exponential_a", device.exponential_a)
        .line("device.exponential_b", device.exponential_b);
}

std::string AnalogKind::settings() const {
  SettingsText text;
  text.line("kind", "analog").line("update", data::to_name(settings_.update));
  add_io(text, "forward", settings_.forward);
  add_io(text, "backward", settings_.backward);
  add_device(text, settings_.device);
  if (settings_.update == AnalogUpdate::exact) return text.str();
  text.line("pulses.desired_pulses", settings_.pulses.desired_pulses)
      .line("pulses.update_management", settings_.pulses.update_management)
      .line("pulses.length_management", settings_.pulses.length_management);
  if (settings_.update != AnalogUpdate::tiki_taka) return text.str();
  const TikiTakaOptions& options = settings_.tiki_taka;
  text.line("tiki_taka.fast_rate", options.fast_rate)
      .line("tiki_taka.transfer_rate", options.transfer_rate)
      .line("tiki_taka.transfer_lines", options.transfer_lines)
      .line("tiki_taka.fast_share", options.fast_share)
      .line("tiki_taka.zero_shift", options.zero_shift);
  return text.str();
}

constexpr double kTiny = 1e-12, kLarge = 1e6;
constexpr int kMostBits = 20;  // levels are exact in single precision

void check_bits(const std::string& field, int bits) {
  if (bits != 0) require_in_range(field, bits, 2, kMostBits);
}

}  // namespace

void AnalogIo::validate(const std::string& table) const {
  check_bits(table + ".dac_bits", dac_bits);
  check_bits(table + ".adc_bits", adc_bits);
  require_in_range(table + ".dac_bound", dac_bound, kTiny, kLarge);
  require_in_range(table + ".adc_bound", adc_bound, kTiny, kLarge);
  require_in_range(table + ".output_noise", output_noise, 0.0, kLarge);
  require_in_range(table + ".most_halvings", most_halvings, 0, 100);
}

void AnalogDevice::validate(const std::string& table) const {
  require_in_range(table + ".step", step, kTiny, kLarge);
  require_in_range(table + ".step_spread", step_spread, 0.0, 10.0);
  require_in_range(table + ".cycle_spread", cycle_spread, 0.0, 100.0);
  require_in_range(table + ".bound", bound, kTiny, kLarge);
  require_in_range(table + ".bound_spread", bound_spread, 0.0, 10.0);
  require_in_range(table + ".asymmetry", asymmetry, -1.0, 1.0);
  require_in_range(table + ".asymmetry_spread", asymmetry_spread, 0.0, 1.0);
  require_in_range(table + ".slope_up", slope_up, 0.0, 10.0);
  require_in_range(table + ".slope_down", slope_down, 0.0, 10.0);
  require_in_range(table + ".slope_spread", slope_spread, 0.0, 10.0);
  require_in_range(table + ".exponential_a_up", exponential_a_up, 0.0, kLarge);
  require_in_range(table + ".exponential_gamma_up", exponential_gamma_up, 0.0, 1e3);
  require_in_range(table + ".exponential_a_down", exponential_a_down, 0.0, kLarge);
  require_in_range(table + ".exponential_gamma_down", exponential_gamma_down, 0.0, 1e3);
  require_in_range(table + ".exponential_a", exponential_a, -1e3, 1e3);
  require_in_range(table + ".exponential_b", exponential_b, -1e3, 1e3);
}

void PulseOptions::validate(const std::string& table) const {
  require_in_range(table + ".desired_pulses", desired_pulses, 1, kMostPulses);
}

void TikiTakaOptions::validate(const std::string& table) const {
  require_in_range(table + ".fast_rate", fast_rate, 0.0, kLarge);
  require_in_range(table + ".transfer_rate", transfer_rate, 0.0, kLarge);
  require_in_range(table + ".transfer_lines", transfer_lines, 1, 1000);
  require_in_range(table + ".fast_share", fast_share, 0.0, 1e3);
}

void AnalogSettings::validate() const {
  forward.validate("forward");
  backward.validate("backward");
  device.validate("device");
  pulses.validate("pulses");
  tiki_taka.validate("tiki_taka");
}

LayerKindPtr analog_kind(const AnalogSettings& settings) {
  return std::make_shared<AnalogKind>(settings);
}

}  // namespace crosstile::nn
