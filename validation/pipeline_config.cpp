#include <algorithm>
#include <limits>
#include <sstream>

#include "core/error.hpp"
#include "device/device.hpp"
#include "validation/pipeline.hpp"
#include "validation/pipeline_keys.hpp"

namespace crosstile::validation {

namespace {

Index whole(data::Config& config, const std::string& key, Index fallback, std::int64_t low,
            std::int64_t high) {
  return static_cast<Index>(config.integer(key, fallback, low, high));
}

std::string shown_share(double value) {
  std::ostringstream out;
  out << value;
  return out.str();
}

void read_weights(data::Config& config, circuit::DrawOptions& draw, LayerOptions& layer) {
  std::vector<std::string> names{"network"};
  for (const auto& entry : data::EnumNames<circuit::WeightDistribution>::value)
    names.emplace_back(entry.name);
  const auto weights = config.choice("reference.weights", std::string(data::to_name(draw.weights)), names);
  layer.weights = weights == "network";
  draw.weights = data::from_name<circuit::WeightDistribution>(weights).value_or(draw.weights);
  draw.weight_clip = config.number("reference.weight_clip", draw.weight_clip, 0.1, 100.0);
  draw.lognormal_sigma = config.number("reference.lognormal_sigma", draw.lognormal_sigma, 0.0, 10.0);
  draw.bimodal_spread = config.number("reference.bimodal_spread", draw.bimodal_spread, 0.0, 1.0);
  draw.correlated_share = config.number("reference.correlated_share", draw.correlated_share, 0.0, 1.0);
  draw.row_share = config.number("reference.row_share", draw.row_share, 0.0, 1.0);
  draw.column_share = config.number("reference.column_share", draw.column_share, 0.0, 1.0);
  const double shares = draw.correlated_share + draw.row_share + draw.column_share;
  if (shares > 1.0 + 1e-9)
    config.mistake("reference.correlated_share",
                   "together with row_share and column_share at most 1; here they are " + shown_share(shares) +
                       " of the variance");
  draw.correlation_length_rows =
      config.number("reference.correlation_length_rows", draw.correlation_length_rows, 0.0, 1e6);
  draw.correlation_length_cols =
      config.number("reference.correlation_length_cols", draw.correlation_length_cols, 0.0, 1e6);
}

void read_inputs(data::Config& config, circuit::DrawOptions& draw, LayerOptions& layer) {
  layer.activations = config.choice("reference.inputs", "drawn", {"drawn", "activations"}) == "activations";
  draw.inputs = config.choice_of<circuit::InputDistribution>("reference.input_distribution", draw.inputs);
  draw.scale_low = config.number("reference.scale_low", draw.scale_low, 0.0, 10.0);
  draw.scale_high = config.number("reference.scale_high", draw.scale_high, 0.0, 10.0);
  draw.density_low = config.number("reference.density_low", draw.density_low, 0.0, 1.0);
  draw.density_high = config.number("reference.density_high", draw.density_high, 0.0, 1.0);
  if (draw.scale_high < draw.scale_low)
    config.mistake("reference.scale_high", "must not be below reference.scale_low");
  if (draw.density_high < draw.density_low)
    config.mistake("reference.density_high", "must not be below reference.density_low");
  draw.signed_inputs = config.boolean("reference.signed_inputs", draw.signed_inputs);
}

void read_layer(data::Config& config, const data::TileSpec& tile, LayerOptions& layer) {
  layer.network_file = config.text("reference.network_file", layer.network_file.string());
  layer.layer = whole(config, "reference.network_layer", layer.layer, 0, 1000);
  layer.rows = config.choice_of<RowChoice>("reference.network_rows", layer.rows);
  layer.tile_row = whole(config, "reference.network_tile_row", layer.tile_row, -1, 10000);
  layer.images = config.choice_of<ImageSet>("reference.images", layer.images);
  layer.first_image = whole(config, "reference.first_image", layer.first_image, 0, 1'000'000'000);
  if (layer.weights && tile.weight_layout == data::WeightLayout::single)
    config.mistake(
        "reference.weights",
        "\"network\" needs G+ and G- for every weight; tile.weight_layout = \"single\" has one conductance");
}

void read_reference(data::Config& config, PipelineConfig& run) {
  auto& draw = run.draw;
  auto& reference = run.reference;
  reference.method = config.choice("reference.method", reference.method, {"charge", "transient"});
  draw.draws = whole(config, "reference.draws", draw.draws, 1, 1000);
  draw.vectors = whole(config, "reference.vectors", draw.vectors, 1, 10'000'000);
  draw.held_out_share = config.number("reference.held_out_share", draw.held_out_share, 0.0, 0.95);
  draw.held_out_draws = whole(config, "reference.held_out_draws", draw.held_out_draws, 0, 999);
  read_weights(config, draw, run.layer);
  read_inputs(config, draw, run.layer);
  read_layer(config, run.tile, run.layer);
  if (!run.layer.weights && draw.held_out_draws >= draw.draws)
    config.mistake("reference.held_out_draws",
                   "must be below reference.draws; no weights would be left for the fit");
  reference.vectors_per_shard =
      whole(config, "reference.vectors_per_shard", reference.vectors_per_shard, 1, 1'000'000);
  auto& transient = reference.transient;
  transient.relative_tolerance =
      config.number("reference.relative_tolerance", transient.relative_tolerance, 1e-12, 1e-2);
  transient.absolute_tolerance_volt =
      config.number("reference.absolute_tolerance_volt", transient.absolute_tolerance_volt, 0.0, 1.0);
}

void read_model(data::Config& config, PipelineConfig& run) {
  run.model.form = config.choice_of<tilemodel::Form>("model.form", run.model.form);
  run.model.segments = static_cast<int>(config.integer("model.segments", run.model.segments, 1, 16384));
  run.model.time_bins = static_cast<int>(config.integer("model.time_bins", run.model.time_bins, 1, 32768));
  run.model.block_rows = static_cast<int>(
      config.integer("model.block_rows", run.model.block_rows, 1, tilemodel::kMostBlockRows));
  run.model.closure_bins = static_cast<int>(
      config.integer("model.closure_bins", run.model.closure_bins, 1, tilemodel::kMostClosureBins));
  run.model.references = static_cast<int>(
      config.integer("model.references", run.model.references, 0, tilemodel::kMostReferences));
  run.model.arithmetic = config.choice_of<tilemodel::Arithmetic>("model.arithmetic", run.model.arithmetic);
  run.model.row_wire_factor = config.boolean("model.row_wire_factor", run.model.row_wire_factor);
  run.fit_correction = config.boolean("model.correction", run.fit_correction);
  if (run.model.form == tilemodel::Form::effective && !run.tile.is_linear())
    config.mistake("model.form", "\"effective\" needs a linear drive (level or bipolar, ohmic cells)");
  const bool wired =
      run.model.form != tilemodel::Form::ideal && run.model.form != tilemodel::Form::effective;
  if (wired && run.tile.drive != data::Drive::gated)
    config.mistake("model.form", "\"" + std::string(data::to_name(run.model.form)) +
                                     "\" needs drive = \"gated\"");
  if (tilemodel::is_closure(run.model.form) && run.tile.pulse.sign != data::SignMode::two_phase)
    config.mistake("model.form", "\"" + std::string(data::to_name(run.model.form)) +
                                     "\" needs tile.pulse.sign = \"two-phase\"");
}

bool is_published(const std::string& model) {
  const auto names = device::device_model_names();
  return std::find(names.begin(), names.end(), model) != names.end();
}

// [device], or evaluation.device_model: a published set or a model file.
void read_devices(data::Config& config, EvaluationConfig& evaluation) {
  if (config.has("device")) {
    if (config.has("evaluation.device_model"))
      config.mistake("evaluation.device_model", "does not go with a table [device]; leave one of them out");
    evaluation.device_model = config.text("evaluation.device_model", "");
    evaluation.device = device::read_device_model(config, "device");
    return;
  }
  evaluation.device_model = config.text("evaluation.device_model", evaluation.device_model);
  try {
    evaluation.device = device::find_device_model(evaluation.device_model);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::usage) throw;
    config.mistake("evaluation.device_model", error.what());
  }
}

void read_evaluation(data::Config& config, EvaluationConfig& evaluation, CompareConfig& compare) {
  evaluation.images = whole(config, "evaluation.images", evaluation.images, 0, 10'000'000);
  evaluation.calibration_images =
      whole(config, "evaluation.calibration_images", evaluation.calibration_images, 1, 1'000'000);
  evaluation.times_s = config.numbers("evaluation.times_s", evaluation.times_s, 0.0, 1e10);
  evaluation.draws = whole(config, "evaluation.draws", evaluation.draws, 1, 10000);
  read_devices(config, evaluation);
  compare.images = whole(config, "compare.images", compare.images, 4, 1'000'000);
  compare.held_out_share = config.number("compare.held_out_share", compare.held_out_share, 0.05, 0.95);
  compare.tile_row = whole(config, "compare.tile_row", compare.tile_row, -1, 10000);
  compare.transient_vectors =
      whole(config, "compare.transient_vectors", compare.transient_vectors, 0, 100000);
}

// Writes "key = value  # comment" lines of one table.
class Toml {
 public:
  void table(const std::string& name, const std::string& comment) {
    text_ << "\n[" << name << "]"
          << "  # " << comment << "\n";
  }
  void line(const std::string& key, const std::string& value, const std::string& comment = {}) {
    text_ << key << " = " << value;
    if (!comment.empty()) text_ << "  # " << comment;
    text_ << "\n";
  }
  void quoted(const std::string& key, const std::string& value, const std::string& comment = {}) {
    std::string escaped;
    for (const char c : value) {
      if (c == '"' || c == '\\') escaped += '\\';
      escaped += c;
    }
    line(key, "\"" + escaped + "\"", comment);
  }
  void number(const std::string& key, double value, const std::string& comment = {}) {
    std::ostringstream out;
    out.precision(17);
    out << value;
    std::ostringstream brief;
    brief.precision(9);
    brief << value;
    std::string shown = std::stod(brief.str()) == value ? brief.str() : out.str();
    if (shown.find_first_of(".en") == std::string::npos) shown += ".0";
    line(key, shown, comment);
  }
  void integer(const std::string& key, std::int64_t value, const std::string& comment = {}) {
    line(key, std::to_string(value), comment);
  }
  void flag(const std::string& key, bool value, const std::string& comment = {}) {
    line(key, value ? "true" : "false", comment);
  }
  void raw(const std::string& text) { text_ << text; }
  std::string str() const { return text_.str(); }

 private:
  std::ostringstream text_;
};

template <typename Values>
std::string list(const Values& values) {
  std::ostringstream out;
  out.precision(12);
  out << "[";
  for (std::size_t k = 0; k < values.size(); ++k) out << (k > 0 ? ", " : "") << values[k];
  out << "]";
  return out.str();
}

void write_training(Toml& toml, const PipelineConfig& run) {
  toml.table("data", "IDX files, plain or gzip-compressed; relative to the working folder");
  toml.quoted("train_images", run.data.train_images.string());
  toml.quoted("train_labels", run.data.train_labels.string());
  toml.quoted("test_images", run.data.test_images.string());
  toml.quoted("test_labels", run.data.test_labels.string());
  toml.table("network", "multi-layer perceptron");
  toml.line("layers", list(run.network.layers), "inputs, hidden widths, outputs");
  toml.quoted("activation", std::string(data::to_name(run.network.hidden)),
              "relu, leaky_relu, randomised_relu, sigmoid, tanh");
  toml.raw(network_lines(run.network, run.kinds));
  toml.table("training", "stochastic gradient descent; layers that are not digital update themselves");
  toml.integer("epochs", run.training.epochs);
  toml.integer("batch", run.training.batch);
  toml.number("learning_rate", run.training.learning_rate);
  toml.number("momentum", run.training.momentum);
  toml.number("weight_decay", run.training.weight_decay);
  toml.quoted("schedule", std::string(data::to_name(run.training.schedule)), "constant, step, cosine");
  toml.integer("step_epochs", run.training.step_epochs, "schedule step: every so many epochs ...");
  toml.number("step_factor", run.training.step_factor, "... the rate is multiplied by this");
  toml.number("divergence_loss", run.training.divergence_loss, "a batch with a larger mean loss ends the training as diverged");
  toml.integer("max_shift_pixels", run.training.max_shift_pixels, "images are moved by up to so many pixels");
  toml.raw(training_lines(run.training));
  toml.raw(kinds_to_toml(run.kinds));
}

void write_weights(Toml& toml, const circuit::DrawOptions& draw, const LayerOptions& layer) {
  toml.quoted("weights", layer.weights ? "network" : std::string(data::to_name(draw.weights)),
              "normal, uniform, lognormal, bimodal, or those of a trained network's layer: network");
  toml.number("weight_clip", draw.weight_clip, "normal, lognormal: |w| of this many units has g_max");
  toml.number("lognormal_sigma", draw.lognormal_sigma, "lognormal: |w| = exp(sigma z)");
  toml.number("bimodal_spread", draw.bimodal_spread,
              "bimodal: |w| = 1 - spread |normal|; 0: only two values");
  toml.number("correlated_share", draw.correlated_share, "of the variance: correlated from cell to cell ...");
  toml.number("correlation_length_rows", draw.correlation_length_rows,
              "... as exp(-distance / length), in cells down a bit line ...");
  toml.number("correlation_length_cols", draw.correlation_length_cols, "... and in cells along a word line");
  toml.number("row_share", draw.row_share, "of the variance: common to a row");
  toml.number("column_share", draw.column_share, "of the variance: common to a column");
}

void write_inputs(Toml& toml, const circuit::DrawOptions& draw, const LayerOptions& layer) {
  toml.quoted("inputs", layer.activations ? "activations" : "drawn",
              "drawn, or activations of the images of [data]");
  toml.quoted("input_distribution", std::string(data::to_name(draw.inputs)),
              "drawn: half-normal, uniform, constant");
  toml.number("scale_low", draw.scale_low, "drawn: x = scale * draw, scale uniform per vector from here ...");
  toml.number("scale_high", draw.scale_high, "... to here");
  toml.number("density_low", draw.density_low,
              "drawn: share of rows that are not 0, uniform per vector from here ...");
  toml.number("density_high", draw.density_high, "... to here");
  toml.flag("signed_inputs", draw.signed_inputs, "drawn: half of the inputs negative");
  toml.quoted(
      "network_file", layer.network_file.string(),
      "weights network, activations of a hidden layer: from `train`; empty in `run`: the network of the run");
  toml.integer("network_layer", layer.layer, "0: the first");
  toml.quoted("network_rows", std::string(data::to_name(layer.rows)),
              "block (consecutive inputs of the layer), or active (those with the largest mean)");
  toml.integer("network_tile_row", layer.tile_row, "which block; -1: the one with the largest mean");
  toml.quoted("images", std::string(data::to_name(layer.images)), "test, train");
  toml.integer("first_image", layer.first_image, "activations: vector k is image first_image + k");
}

void write_reference(Toml& toml, const PipelineConfig& run) {
  const auto& draw = run.draw;
  toml.table("reference", "what the full circuit is asked, for the fit of the fast model");
  toml.quoted("method", run.reference.method, "charge (event-driven) or transient (SUNDIALS)");
  toml.integer("draws", draw.draws,
               "random weight matrices; weights network: every tile of a tile row is one");
  toml.integer("vectors", draw.vectors, "inputs, spread over the draws");
  toml.number("held_out_share", draw.held_out_share, "of every draw's vectors, kept out of the fit");
  toml.integer("held_out_draws", draw.held_out_draws, "so many of the last draws are kept out altogether");
  write_weights(toml, draw, run.layer);
  write_inputs(toml, draw, run.layer);
  toml.integer("vectors_per_shard", run.reference.vectors_per_shard,
               "one file each; a run that is interrupted goes on with the next");
  toml.number("relative_tolerance", run.reference.transient.relative_tolerance, "of the transient");
  toml.number("absolute_tolerance_volt", run.reference.transient.absolute_tolerance_volt,
              "of the transient; 0: relative * v_read / 1000");
}

void write_rest(Toml& toml, const PipelineConfig& run) {
  toml.table("model", "the fast tile model");
  toml.quoted("form", std::string(data::to_name(run.model.form)),
              "ideal, effective (linear drives), ladder, binned, closure, calibrated (gated)");
  toml.integer("segments", run.model.segments, "binned: row segments");
  toml.integer("time_bins", run.model.time_bins, "binned: bins of the pulse length");
  toml.integer("block_rows", run.model.block_rows, "closure, calibrated: rows a block");
  toml.integer("closure_bins", run.model.closure_bins, "closure, calibrated: bins of time");
  toml.integer("references", run.model.references, "closure, calibrated: reference columns; 0: by clustering");
  toml.quoted("arithmetic", std::string(data::to_name(run.model.arithmetic)), "auto, float32, float64");
  toml.flag("row_wire_factor", run.model.row_wire_factor, "drop along the row wire with columns grounded");
  toml.flag("correction", run.fit_correction, "least-squares correction fitted to the reference set");
  toml.table("noise", "read-noise study on generated traces");
  toml.integer("devices", run.noise.devices, "traces per conductance");
  toml.table("evaluation", "test accuracy on tiles");
  toml.integer("images", run.evaluation.images, "test images; 0: all");
  toml.integer("calibration_images", run.evaluation.calibration_images,
               "training images that set DAC and ADC ranges");
  toml.line("times_s", list(run.evaluation.times_s), "after the first read, for drift and accumulated noise");
  toml.integer("draws", run.evaluation.draws, "independently programmed chips");
  if (is_published(run.evaluation.device_model))
    toml.quoted("device_model", run.evaluation.device_model,
                "a published set, or a file of `characterize`; or a table [device]");
  toml.table("compare", "fast model against full circuit on the trained first layer");
  toml.integer("images", run.compare.images);
  toml.number("held_out_share", run.compare.held_out_share, "compared; the others fit the baselines");
  toml.integer("tile_row", run.compare.tile_row, "which block of inputs; -1: the most active");
  toml.integer("transient_vectors", run.compare.transient_vectors, "of these, confirmed with the transient");
}

std::string to_toml(const PipelineConfig& run) {
  Toml toml;
  toml.quoted("title", run.title);
  toml.integer("seed", static_cast<std::int64_t>(run.seed));
  toml.raw("\n" + data::tile_to_toml(run.tile));
  write_training(toml, run);
  write_reference(toml, run);
  write_rest(toml, run);
  if (!is_published(run.evaluation.device_model))
    toml.raw("\n" + device::device_model_to_toml(run.evaluation.device));
  return toml.str();
}

}  // namespace

void read_data_files(data::Config& config, DataFiles& files) {
  files.train_images = config.text("data.train_images", files.train_images.string());
  files.train_labels = config.text("data.train_labels", files.train_labels.string());
  files.test_images = config.text("data.test_images", files.test_images.string());
  files.test_labels = config.text("data.test_labels", files.test_labels.string());
}

void read_digital_training(data::Config& config, nn::NetworkSpec& network, nn::TrainOptions& training) {
  std::vector<std::int64_t> layers(network.layers.begin(), network.layers.end());
  layers = config.integers("network.layers", layers, 1, 65536);
  network.layers.assign(layers.begin(), layers.end());
  if (network.layers.size() < 2)
    config.mistake("network.layers", "needs at least two numbers: inputs and outputs");
  network.hidden = config.choice_of<nn::Activation>("network.activation", network.hidden);
  training.epochs = whole(config, "training.epochs", training.epochs, 1, 100000);
  training.batch = whole(config, "training.batch", training.batch, 1, 1000000);
  training.learning_rate = config.number("training.learning_rate", training.learning_rate, 1e-9, 1e3);
  training.momentum = config.number("training.momentum", training.momentum, 0.0, 0.9999);
  training.weight_decay = config.number("training.weight_decay", training.weight_decay, 0.0, 1.0);
  training.schedule = config.choice_of<nn::Schedule>("training.schedule", training.schedule);
  training.step_epochs = whole(config, "training.step_epochs", training.step_epochs, 1, 100000);
  training.step_factor = config.number("training.step_factor", training.step_factor, 1e-6, 1.0);
  training.divergence_loss = config.number("training.divergence_loss", training.divergence_loss, 1e-6, 1e30);
  training.max_shift_pixels =
      static_cast<int>(config.integer("training.max_shift_pixels", training.max_shift_pixels, 0, 8));
}

PipelineConfig read_pipeline(data::Config& config) {
  PipelineConfig run;
  run.title = config.text("title", run.title);
  run.seed =
      static_cast<std::uint64_t>(config.integer("seed", 1, 0, std::numeric_limits<std::int64_t>::max()));
  run.tile = data::read_tile(config);
  read_data_files(config, run.data);
  read_digital_training(config, run.network, run.training);
  read_layer_kinds(config, run.network, run.training, run.kinds);
  read_reference(config, run);
  read_model(config, run);
  run.noise.devices = whole(config, "noise.devices", run.noise.devices, 2, 1'000'000);
  read_evaluation(config, run.evaluation, run.compare);
  config.finish();
  run.training.seed = run.seed;
  run.noise.seed = run.seed;
  run.toml = to_toml(run);
  return run;
}

std::string pipeline_template() {
  PipelineConfig defaults;
  return "# crosstile: every key with its default. `crosstile run FILE.toml`\n" + to_toml(defaults);
}

}  // namespace crosstile::validation
