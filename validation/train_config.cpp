#include "validation/train_config.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <sstream>

#include "core/error.hpp"
#include "data/hdf5_file.hpp"
#include "device/model_file.hpp"

namespace crosstile::validation {

namespace {

const std::vector<std::string> kKindNames{"digital", "analog", "hardware_aware", "abstract", "tile"};
constexpr double kTiny = 1e-12, kLarge = 1e6;

std::string shown_number(double value) {
  std::ostringstream brief, full;
  brief.precision(9);
  full.precision(17);
  brief << value;
  full << value;
  std::string text = std::stod(brief.str()) == value ? brief.str() : full.str();
  if (text.find_first_of(".en") == std::string::npos) text += ".0";
  return text;
}

// The two things done with a key: reading it, and writing it out.
class ReadKeys {
 public:
  explicit ReadKeys(data::Config& config) : config_(config) {}
  void table(const std::string& name, const std::string&) { table_ = name + "."; }
  void number(const std::string& key, double& value, double low, double high, const std::string& = {}) {
    value = config_.number(table_ + key, value, low, high);
  }
  void integer(const std::string& key, int& value, int low, int high, const std::string& = {}) {
    value = static_cast<int>(config_.integer(table_ + key, value, low, high));
  }
  void whole(const std::string& key, Index& value, Index low, Index high, const std::string& = {}) {
    value = static_cast<Index>(config_.integer(table_ + key, value, low, high));
  }
  void scaled(const std::string& key, double& value, double unit, double low, double high,
              const std::string& = {}) {
    value = unit * config_.number(table_ + key, value / unit, low, high);
  }
  void text(const std::string& key, std::string& value, const std::string& = {}) {
    value = config_.text(table_ + key, value);
  }
  void bits(const std::string& key, int& value, const std::string&) {
    integer(key, value, 0, 20);
    if (value != 1) return;
    config_.mistake(table_ + key, "= 1 is not allowed; allowed: 0 (not rounded), 2 to 20");
    value = 0;
  }
  void flag(const std::string& key, bool& value, const std::string& = {}) {
    value = config_.boolean(table_ + key, value);
  }
  template <typename Enum>
  void choice(const std::string& key, Enum& value, const std::string& = {}) {
    value = config_.choice_of<Enum>(table_ + key, value);
  }

 private:
  data::Config& config_;
  std::string table_;
};

class WriteKeys {
 public:
  void table(const std::string& name, const std::string& comment) {
    text_ << "\n[" << name << "]  # " << comment << "\n";
  }
  void number(const std::string& key, double value, double, double, const std::string& comment = {}) {
    line(key, shown_number(value), comment);
  }
  void integer(const std::string& key, int value, int, int, const std::string& comment = {}) {
    line(key, std::to_string(value), comment);
  }
  void whole(const std::string& key, Index value, Index, Index, const std::string& comment = {}) {
    line(key, std::to_string(value), comment);
  }
  void scaled(const std::string& key, double value, double unit, double, double,
              const std::string& comment = {}) {
    std::ostringstream text;  // without the last bits that the unit costs
    text.precision(12);
    text << value / unit;
    line(key, shown_number(std::stod(text.str())), comment);
  }
  void text(const std::string& key, const std::string& value, const std::string& comment = {}) {
    line(key, "\"" + value + "\"", comment);
  }
  void bits(const std::string& key, int value, const std::string& comment) {
    line(key, std::to_string(value), comment);
  }
  void flag(const std::string& key, bool value, const std::string& comment = {}) {
    line(key, value ? "true" : "false", comment);
  }
  template <typename Enum>
  void choice(const std::string& key, Enum value, const std::string& comment = {}) {
    line(key, "\"" + std::string(data::to_name(value)) + "\"", comment);
  }
  void line(const std::string& key, const std::string& value, const std::string& comment) {
    text_ << key << " = " << value << (comment.empty() ? "" : "  # " + comment) << "\n";
  }
  std::string str() const { return text_.str(); }

 private:
  std::ostringstream text_;
};

template <typename Keys>
void visit_io(Keys& keys, nn::AnalogIo& io) {
  keys.flag("exact", io.is_exact, "a plain product; none of the below");
  keys.bits("dac_bits", io.dac_bits, "2^bits - 1 levels from -bound to bound; 0: not rounded");
  keys.number("dac_bound", io.dac_bound, kTiny, kLarge);
  keys.bits("adc_bits", io.adc_bits, "as dac_bits");
  keys.number("adc_bound", io.adc_bound, kTiny, kLarge);
  keys.number("output_noise", io.output_noise, 0.0, kLarge, "standard deviation before the ADC");
  keys.choice("noise_kind", io.noise_kind,
              "constant (of the normalised output), input_norm (times the norm of the normalised input)");
  keys.flag("noise_management", io.noise_management, "inputs are divided by their largest magnitude");
  keys.flag("bound_management", io.bound_management, "the input is halved while an output is clipped ...");
  keys.integer("most_halvings", io.most_halvings, 0, 100, "... at most so often");
}

template <typename Keys>
void visit_device(Keys& keys, nn::AnalogDevice& device) {
  keys.choice("law", device.law, "constant_step, linear_step, soft_bounds, exponential_step");
  keys.number("step", device.step, kTiny, kLarge, "of one pulse at weight 0");
  keys.number("step_spread", device.step_spread, 0.0, 10.0, "between devices, relative");
  keys.number("cycle_spread", device.cycle_spread, 0.0, 100.0, "from pulse to pulse, relative");
  keys.number("bound", device.bound, kTiny, kLarge, "of a weight, both signs");
  keys.number("bound_spread", device.bound_spread, 0.0, 10.0, "between devices, relative");
  keys.number("asymmetry", device.asymmetry, -1.0, 1.0,
              "up steps are 1 + this, down steps 1 - this times the step");
  keys.number("asymmetry_spread", device.asymmetry_spread, 0.0, 1.0, "between devices, absolute");
  keys.number("slope_up", device.slope_up, 0.0, 10.0, "linear_step: step (1 - slope weight / bound)");
  keys.number("slope_down", device.slope_down, 0.0, 10.0);
  keys.number("slope_spread", device.slope_spread, 0.0, 10.0, "between devices, absolute");
  keys.number("exponential_a_up", device.exponential_a_up, 0.0, kLarge,
              "exponential_step: step max(0, 1 - a_up exp(gamma_up z)) up,");
  keys.number("exponential_gamma_up", device.exponential_gamma_up, 0.0, 1e3);
  keys.number("exponential_a_down", device.exponential_a_down, 0.0, kLarge,
              "step max(0, 1 - a_down exp(-gamma_down z)) down,");
  keys.number("exponential_gamma_down", device.exponential_gamma_down, 0.0, 1e3);
  keys.number("exponential_a", device.exponential_a, -1e3, 1e3, "z = 2 a weight / (upper - lower bound) + b");
  keys.number("exponential_b", device.exponential_b, -1e3, 1e3);
}

template <typename Keys>
void visit_analog(Keys& keys, nn::AnalogSettings& analog) {
  keys.table("analog", "layers of kind \"analog\": converters, noise, pulsed devices");
  keys.choice("update", analog.update, "pulsed, exact (digital optimiser), tiki_taka");
  keys.table("analog.forward", "the product of the forward pass");
  visit_io(keys, analog.forward);
  keys.table("analog.backward", "the product of the backward pass");
  visit_io(keys, analog.backward);
  keys.table("analog.device", "what a pulse does");
  visit_device(keys, analog.device);
  keys.table("analog.pulses", "how an update becomes pulses");
  keys.integer("desired_pulses", analog.pulses.desired_pulses, 1, nn::kMostPulses, "slots of an update");
  keys.flag("update_management", analog.pulses.update_management, "both sides fire equally often");
  keys.flag("length_management", analog.pulses.length_management, "only as many slots as the update needs");
  keys.table("analog.tiki_taka", "update tiki_taka: a fast array whose lines are transferred to the weights");
  auto& tiki_taka = analog.tiki_taka;
  keys.number("fast_rate", tiki_taka.fast_rate, 0.0, kLarge, "times the learning rate");
  keys.number("transfer_rate", tiki_taka.transfer_rate, 0.0, kLarge, "per unit that is read");
  keys.integer("transfer_lines", tiki_taka.transfer_lines, 1, 1000, "after every batch");
  keys.number("fast_share", tiki_taka.fast_share, 0.0, 1e3, "of the fast array in the weight");
  keys.flag("zero_shift", tiki_taka.zero_shift, "read against the devices' symmetry points");
}

template <typename Keys>
void visit_hardware_aware(Keys& keys, LayerKinds& kinds) {
  nn::HardwareAwareOptions& options = kinds.hardware_aware;
  keys.table("hardware_aware",
             "layers of kind \"hardware_aware\" and \"abstract\": digital weights, noise in every step");
  keys.choice("noise", options.noise, "none, gaussian, programming (of the devices, shaped by the weight)");
  keys.number("weight_noise", options.weight_noise, 0.0, 10.0,
              "gaussian: in units of the layer's largest weight");
  keys.number("noise_scale", options.noise_scale, 0.0, 100.0,
              "programming: times the device model's deviations");
  keys.text("device_model", kinds.device_model, "programming: a published set, or a file of `characterize`");
  keys.scaled("g_min_uS", options.g_min_siemens, 1e-6, 0.0, 1e3, "programming: of the idle device of a pair");
  keys.number("ramp_epochs", options.ramp_epochs, 0.0, kLarge, "noise grows from 0 over so many epochs");
  keys.number("drop_connect", options.drop_connect, 0.0, 0.99, "share of the weights that are 0 in a step");
  keys.number("clip_sigma", options.clip_sigma, 0.0, 1e3,
              "weights are clipped at so many deviations of the layer; 0: not at all");
  keys.flag("column_scales", options.column_scales, "a learned digital factor for every output");
  keys.flag("learn_input_range", options.learn_input_range,
            "inputs are clipped at a learned range; not in layer 1");
  keys.number("input_quantile", options.input_quantile, 0.5, 1.0, "of |input|: where the range starts");
  keys.number("input_range_decay", options.input_range_decay, 0.0, 1e3,
              "pulls the range in while little is clipped");
  keys.integer("dac_bits", options.dac_bits, 0, 16, "of the inputs, with learn_input_range; 0: not rounded");
  nn::AbstractTile& tile = options.abstract_tile;
  keys.table("abstract_tile", "products of kind \"abstract\": a tile's disturbances as formulas");
  keys.whole("rows", tile.rows, 1, 65536, "inputs a tile");
  keys.integer("input_steps", tile.input_steps, 0, 1 << 20, "between -1 and 1; 0: not rounded");
  keys.integer("output_steps", tile.output_steps, 0, 1 << 20, "between -bound and bound; 0: not rounded");
  keys.number("output_bound", tile.output_bound, kTiny, kLarge);
  keys.number("output_noise", tile.output_noise, 0.0, kLarge, "standard deviation of every output");
  keys.number("read_noise", tile.read_noise, 0.0, kLarge, "times sqrt(sum |w| x^2)");
  keys.number("ir_drop", tile.ir_drop, 0.0, kLarge, "times the time-averaged IR-drop");
  keys.number("wire_ohm", tile.wire_ohm, 0.0, kLarge, "of a cell, in the IR-drop");
  keys.scaled("g_uS", tile.g_siemens, 1e-6, 0.0, kLarge, "of a weight of 1, in the IR-drop");
  keys.number("s_shape", tile.s_shape, 0.0, kLarge, "h of y / (1 + h |y|)");
}

template <typename Keys>
void visit_tile_training(Keys& keys, nn::TileLayerOptions& options) {
  keys.table("tile_training", "layers of kind \"tile\": trained through the fast model of [tile]");
  keys.choice("form", options.model.form, "closure (fast); any other form of a gated tile is slow");
  keys.integer("block_rows", options.model.block_rows, 1, tilemodel::kMostBlockRows, "closure");
  keys.integer("closure_bins", options.model.closure_bins, 1, tilemodel::kMostClosureBins, "closure");
  keys.number("wire_ramp_epochs", options.wire_ramp_epochs, 0.0, kLarge,
              "wires grow to the whole over so many epochs");
  keys.number("wire_start", options.wire_start, 0.0, 1.0, "... from this share");
  keys.whole("calibration_steps", options.calibration_steps, 1, 1000000000,
             "converters follow the batch every so many steps");
  keys.number("input_quantile", options.input_quantile, 0.5, 1.0, "of |input|: DAC input 1");
  keys.number("adc_quantile", options.adc_quantile, 0.5, 1.0, "of the bit lines' charges");
  keys.number("adc_margin", options.adc_margin, 0.1, 100.0, "full scale = margin * quantile");
  keys.flag("learn_gain", options.learn_gain, "a digital factor behind every column of every tile");
  keys.number("gain_rate", options.gain_rate, 0.0, 1e3, "times the learning rate");
  keys.number("clip_sigma", options.clip_sigma, 0.0, 1e3, "as in [hardware_aware]");
}

void read_names(data::Config& config, const nn::NetworkSpec& network, LayerKinds& kinds) {
  kinds.names = config.texts("network.kinds", kinds.names);
  const std::size_t layers = network.layers.size() - (network.layers.empty() ? 0 : 1);
  if (kinds.names.size() > 1 && kinds.names.size() != layers)
    config.mistake("network.kinds",
                   "has " + std::to_string(kinds.names.size()) +
                       " names; allowed: none (all digital), one (all alike), or one for each of the " +
                       std::to_string(layers) + " layers of weights");
  std::string allowed;
  for (const auto& name : kKindNames) allowed += (allowed.empty() ? "\"" : ", \"") + name + "\"";
  for (const auto& name : kinds.names)
    if (std::find(kKindNames.begin(), kKindNames.end(), name) == kKindNames.end())
      config.mistake("network.kinds", "\"" + name + "\" is not known; allowed: " + allowed);
}

nn::LayerKindPtr kind_named(const std::string& name, const LayerKinds& kinds) {
  if (name == "analog") return nn::analog_kind(kinds.analog);
  if (name == "tile") return nn::tile_kind(kinds.tile_training);
  if (name != "hardware_aware" && name != "abstract") return nn::digital_kind();
  nn::HardwareAwareOptions options = kinds.hardware_aware;
  options.on_abstract_tile = name == "abstract";
  return nn::hardware_aware_kind(options);
}

bool uses(const LayerKinds& kinds, const std::string& name) {
  return std::find(kinds.names.begin(), kinds.names.end(), name) != kinds.names.end();
}

// What the layers of these kinds stand on besides their own tables.
void read_surroundings(data::Config& config, LayerKinds& kinds) {
  if (uses(kinds, "hardware_aware") || uses(kinds, "abstract")) {
    try {
      kinds.hardware_aware.devices = device::find_device_model(kinds.device_model);
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::usage) throw;
      config.mistake("hardware_aware.device_model", error.what());
    }
  }
  if (!uses(kinds, "tile")) return;
  // The caller reads [tile] and reports its mistakes; here they would stand twice.
  data::Config again = data::Config::from_text(config.source(), config.name());
  kinds.tile_training.tile = data::read_tile(again);
}

// A kind whose settings do not go together (or with the tile) is a mistake of network.kinds.
void make_kinds(data::Config& config, const LayerKinds& kinds, nn::TrainOptions& training) {
  for (const auto& name : kinds.names) {
    try {
      training.kinds.push_back(kind_named(name, kinds));
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::usage) throw;
      config.mistake("network.kinds", "\"" + name + "\": " + error.what());
      return;
    }
  }
}

bool is_hdf5(const std::string& name) {
  const std::string file =
      name.substr(0, name.find(".h5:") == std::string::npos ? name.size() : name.find(".h5:") + 3);
  const auto ends = [&](const std::string& end) {
    return file.size() > end.size() && file.compare(file.size() - end.size(), end.size(), end) == 0;
  };
  return ends(".h5") || ends(".hdf5") || name.find(".hdf5:") != std::string::npos;
}

// "file.h5:name" or "file.h5".
Matrix hdf5_matrix_of(const std::string& name) {
  const auto colon = name.rfind(':');
  if (colon == std::string::npos) return data::read_hdf5_matrix(name);
  return data::read_hdf5_matrix(name.substr(0, colon), name.substr(colon + 1));
}

[[noreturn]] void bad_value(const std::string& file, Index row, const std::string& what, double value,
                            const std::string& allowed) {
  throw Error(ErrorKind::bad_data, file + ": row " + std::to_string(row) + ": " + what + " " +
                                       shown_number(value) + " is not allowed; allowed: " + allowed);
}

MatrixF hdf5_inputs(const std::string& file) {
  const Matrix read = hdf5_matrix_of(file);
  for (Index r = 0; r < read.rows(); ++r)
    for (Index k = 0; k < read.cols(); ++k)
      if (!(std::abs(read(r, k)) <= 1.0)) bad_value(file, r, "input", read(r, k), "-1 to 1");
  return read.cast<float>();
}

std::vector<std::uint8_t> hdf5_labels(const std::string& file, Index classes) {
  const Matrix read = hdf5_matrix_of(file);
  if (read.cols() != 1)
    throw Error(ErrorKind::bad_data,
                file + ": labels have " + std::to_string(read.cols()) + " columns, not 1");
  std::vector<std::uint8_t> labels;
  for (Index r = 0; r < read.rows(); ++r) {
    const double value = read(r, 0);
    if (!(value >= 0.0 && value < static_cast<double>(classes)) || value != std::floor(value))
      bad_value(file, r, "label", value, "whole numbers from 0 to " + std::to_string(classes - 1));
    labels.push_back(static_cast<std::uint8_t>(value));
  }
  return labels;
}

}  // namespace

void read_layer_kinds(data::Config& config, nn::NetworkSpec& network, nn::TrainOptions& training,
                      LayerKinds& kinds) {
  network.initial = config.choice_of<nn::Initial>("network.initial", network.initial);
  training.loss = config.choice_of<nn::Loss>("training.loss", training.loss);
  training.optimiser = config.choice_of<nn::Optimiser>("training.optimiser", training.optimiser);
  training.adam_beta1 = config.number("training.adam_beta1", training.adam_beta1, 0.0, 0.999999);
  training.adam_beta2 = config.number("training.adam_beta2", training.adam_beta2, 0.0, 0.999999);
  training.adam_epsilon = config.number("training.adam_epsilon", training.adam_epsilon, 1e-30, 1.0);
  read_names(config, network, kinds);
  ReadKeys keys(config);
  visit_analog(keys, kinds.analog);
  visit_hardware_aware(keys, kinds);
  visit_tile_training(keys, kinds.tile_training);
  read_surroundings(config, kinds);
  training.kinds.clear();
  make_kinds(config, kinds, training);
}

std::string network_lines(const nn::NetworkSpec& network, const LayerKinds& kinds) {
  WriteKeys keys;
  keys.choice("initial", network.initial, "scaled_normal (He or Glorot), uniform (+-1 / sqrt(inputs))");
  std::string names;
  for (const auto& name : kinds.names) names += (names.empty() ? "\"" : ", \"") + name + "\"";
  keys.line(
      "kinds", "[" + names + "]",
      "none (all digital), one, or one a layer of weights: digital, analog, hardware_aware, abstract, tile");
  return keys.str();
}

std::string training_lines(const nn::TrainOptions& training) {
  WriteKeys keys;
  keys.choice("loss", training.loss, "cross_entropy, squared_error");
  keys.choice("optimiser", training.optimiser, "sgd, adam");
  keys.number("adam_beta1", training.adam_beta1, 0.0, 1.0);
  keys.number("adam_beta2", training.adam_beta2, 0.0, 1.0);
  keys.number("adam_epsilon", training.adam_epsilon, 0.0, 1.0);
  return keys.str();
}

std::string kinds_to_toml(const LayerKinds& kinds) {
  WriteKeys keys;
  nn::AnalogSettings analog = kinds.analog;
  visit_analog(keys, analog);
  LayerKinds others = kinds;
  visit_hardware_aware(keys, others);
  visit_tile_training(keys, others.tile_training);
  return keys.str();
}

data::LabelledImages read_images(const std::filesystem::path& images, const std::filesystem::path& labels,
                                 Index classes) {
  if (!is_hdf5(images.string())) {
    if (is_hdf5(labels.string()))
      throw Error(ErrorKind::usage, labels.string() + ": labels in HDF5 go with images in HDF5");
    return data::read_labelled_images(images, labels, static_cast<int>(classes));
  }
  data::LabelledImages out;
  out.inputs = hdf5_inputs(images.string());
  out.labels = hdf5_labels(labels.string(), classes);
  if (out.inputs.rows() != static_cast<Index>(out.labels.size()))
    throw Error(ErrorKind::bad_data, labels.string() + ": " + std::to_string(out.labels.size()) +
                                         " labels for " + std::to_string(out.inputs.rows()) + " images");
  const auto side = static_cast<Index>(std::lround(std::sqrt(static_cast<double>(out.inputs.cols()))));
  if (side * side == out.inputs.cols()) out.height = out.width = side;
  return out;
}

}  // namespace crosstile::validation
