#include "validation/pipeline.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>

#include "core/error.hpp"
#include "core/files.hpp"
#include "core/parallel.hpp"
#include "core/version.hpp"
#include "data/run_folder.hpp"
#include "device/device.hpp"
#include "nn/nn.hpp"
#include "tilemodel/fit.hpp"
#include "tilemodel/model_file.hpp"
#include "validation/figures.hpp"
#include "validation/report.hpp"
#include "validation/results.hpp"

namespace crosstile::validation {

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Names of the run folder's artefacts.
constexpr const char* kNetwork = "network.h5";
constexpr const char* kTraining = "training.h5";
constexpr const char* kReference = "reference.h5";
constexpr const char* kModel = "model.h5";
constexpr const char* kNoise = "read_noise.h5";
constexpr const char* kAccuracy = "accuracy.h5";
constexpr const char* kLayerReference = "first_layer.h5";
constexpr const char* kComparison = "comparison.h5";
constexpr const char* kWaveforms = "waveforms.h5";
constexpr const char* kNodeVoltages = "irdrop.h5";
constexpr const char* kResults = "results.json";

// What the stages share.
struct Run {
  const PipelineConfig& config;
  data::RunFolder folder;
  int threads;
  Progress progress;
  Results results;

  std::filesystem::path path(const char* name) const { return folder.path(name); }
  // Numbers are saved before the artefact is recorded: an artefact in the manifest has its numbers in
  // results.json.
  void finish_stage(std::initializer_list<const char*> artefacts) {
    write_results(path(kResults), results);
    for (const char* name : artefacts) folder.record(name);
  }
  bool done(std::initializer_list<const char*> artefacts) const {
    for (const char* name : artefacts)
      if (!folder.has(name)) return false;
    return true;
  }
};

std::string percent(double fraction) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2f %%", 100.0 * fraction);
  return text;
}

std::string with_unit(double value, const char* format, const char* unit) {
  char text[64];
  std::snprintf(text, sizeof text, format, value);
  return std::string(text) + unit;
}

std::string tile_sentence(const data::TileSpec& tile) {
  return std::to_string(tile.rows) + " x " + std::to_string(tile.cols) + " tile, " +
         std::string(data::to_name(tile.drive)) + " drive, " +
         with_unit(tile.r_row_ohm, "%.3g", " ohm per row cell, ") +
         with_unit(tile.r_col_ohm, "%.3g", " ohm per column cell, ") + std::to_string(tile.pulse.dac_bits) +
         "-bit signed pulses";
}

data::LabelledImages load(const std::filesystem::path& images, const std::filesystem::path& labels) {
  return data::read_labelled_images(images, labels);
}

// The images of [reference], as far as its choices depend on any.
LayerImages layer_images(const PipelineConfig& config) {
  const LayerOptions& layer = config.layer;
  LayerImages out;
  if (!layer.needs_images()) return out;
  const bool train = layer.images == ImageSet::train;
  const auto& file = train ? config.data.train_images : config.data.test_images;
  const auto all = load(file, train ? config.data.train_labels : config.data.test_labels).inputs;
  const Index last = layer.first_image + config.draw.vectors;
  if (last > all.rows())
    throw Error(ErrorKind::usage, "reference.first_image + reference.vectors = " + std::to_string(last) + " is not allowed; " +
                                      file.string() + " holds " + std::to_string(all.rows()) + " images");
  out.images = all.middleRows(layer.first_image, config.draw.vectors);
  if (layer.layer == 0) return out;
  const auto training = load(config.data.train_images, config.data.train_labels).inputs;
  out.calibration = training.topRows(std::min<Index>(config.evaluation.calibration_images, training.rows()));
  return out;
}

void stage_train(Run& run, const data::LabelledImages& train, const data::LabelledImages& test) {
  if (run.done({kNetwork, kTraining})) return;
  const auto state = train_network(run.config, train, run.folder.path("work/training"), run.progress);
  nn::write_network(run.path(kNetwork), state.network, run.config.toml);
  Training figure;
  const auto& layers = run.config.network.layers;
  std::string sizes;
  for (const Index width : layers) sizes += (sizes.empty() ? "" : "-") + std::to_string(width);
  figure.description = sizes + ", " + std::to_string(train.inputs.rows()) + " training images";
  figure.loss.resize(static_cast<Index>(state.history.size()));
  figure.train_accuracy = figure.loss;
  for (Index e = 0; e < figure.loss.size(); ++e) {
    figure.loss[e] = state.history[static_cast<std::size_t>(e)].loss;
    figure.train_accuracy[e] = state.history[static_cast<std::size_t>(e)].accuracy;
  }
  write_training(run.path(kTraining), figure);
  nn::EvaluationOptions options;
  options.threads = run.threads;
  const auto digital = nn::evaluate_digital(state.network, test, options);
  if (digital.accuracy)
    run.results.put(Headline{"Digital test accuracy", percent(*digital.accuracy),
                             sizes + ", " + std::to_string(test.inputs.rows()) + " images"});
  run.finish_stage({kNetwork, kTraining});
}

void stage_reference(Run& run) {
  if (run.done({kReference})) return;
  PipelineConfig config = run.config;
  if (config.layer.network_file.empty()) config.layer.network_file = run.path(kNetwork);
  data::write_reference_set(run.path(kReference),
                            generate_reference(config, run.folder.path("work/reference"), run.progress));
  run.finish_stage({kReference});
}

std::vector<Cell> error_row(const std::string& name, const tilemodel::ErrorFigures& e) {
  return {name,      static_cast<double>(e.samples), e.rms_lsb, e.quantile_999_lsb,
          e.max_lsb, 100.0 * e.rms_relative};
}

void stage_fit(Run& run) {
  if (run.done({kModel})) return;
  const auto set = data::read_reference_set(run.path(kReference));
  tilemodel::ModelSpec spec = run.config.model;
  tilemodel::FitReport report;
  if (spec.form == tilemodel::Form::effective) {
    tilemodel::EffectiveMatrices matrices;
    const bool bipolar = set.tile.drive == data::Drive::bipolar;
    for (std::size_t d = 0; d < set.g_plus_siemens.size(); ++d) {
      matrices.plus.push_back(circuit::effective_matrix(
          bipolar ? circuit::Crossbar(set.tile, set.g_plus_siemens[d], set.g_minus_siemens[d])
                  : circuit::Crossbar(set.tile, set.g_plus_siemens[d]),
          run.threads));
      if (!bipolar && !set.g_minus_siemens.empty())
        matrices.minus.push_back(
            circuit::effective_matrix(circuit::Crossbar(set.tile, set.g_minus_siemens[d]), run.threads));
    }
    report = tilemodel::fit(set, spec, matrices, run.progress);
  } else {
    report = tilemodel::fit(set, spec, run.progress);
  }
  if (!run.config.fit_correction) {
    spec.correction = {};
    spec.calibration = {};
    report.fit_after = report.fit_before;
    report.held_out_after = report.held_out_before;
    report.new_weights_after = report.new_weights_before;
  }
  tilemodel::write_model(run.path(kModel), spec, set.tile, report);
  Table table;
  table.title = "Fit of the fast model to the reference set";
  table.section = "comparison";
  table.columns = {"vectors",      "charges",       "RMS [LSB]",
                   "99.9 % [LSB]", "largest [LSB]", "RMS / RMS of G+ - G- [%]"};
  table.rows = {error_row("fitted, before the correction", report.fit_before),
                error_row("fitted, after", report.fit_after),
                error_row("held out, before the correction", report.held_out_before),
                error_row("held out, after", report.held_out_after)};
  if (report.new_weights_after.samples > 0) {
    table.rows.push_back(error_row("new weights, before the correction", report.new_weights_before));
    table.rows.push_back(error_row("new weights, after", report.new_weights_after));
  }
  table.caption = "Form \"" + std::string(data::to_name(spec.form)) + "\" against " +
                  std::to_string(set.vectors()) + " vectors of the circuit (" + set.method + "), " +
                  std::to_string(report.held_out_vectors) + " of them held out. " + tile_sentence(set.tile) +
                  ".";
  run.results.put(table);
  run.finish_stage({kModel});
}

void stage_noise(Run& run) {
  if (run.done({kNoise})) return;
  auto options = run.config.noise;
  options.threads = run.threads;
  const auto study = device::run_read_noise_study(options, run.progress);
  device::write_read_noise_study(run.path(kNoise), study);
  Table table;
  table.title = "Read noise against integration time";
  table.section = "read_noise";
  table.columns = {"T [ns]", "slope a", "published a", "offset b [nS]", "published b [nS]"};
  for (Index t = 0; t < study.t_s.size(); ++t)
    table.rows.push_back({1e9 * study.t_s[t], study.a[t], study.published_a[t], 1e9 * study.b_siemens[t],
                          1e9 * study.published_b_siemens[t]});
  table.caption = "sigma(G, T) = a G + b, fitted to averaged noise traces of " +
                  std::to_string(study.devices) + " devices per conductance.";
  run.results.put(table);
  run.results.put(Headline{"Read-noise spectrum", percent(study.spectrum_deviation),
                           "largest deviation from the published curve, 1 ns to 1 us"});
  run.finish_stage({kNoise});
}

std::string standard_error_text(const nn::EvaluationReport& report) {
  return report.standard_error ? with_unit(100.0 * *report.standard_error, "%.2f", "") : std::string("-");
}

void stage_accuracy(Run& run, const data::LabelledImages& train, const data::LabelledImages& test) {
  if (run.done({kAccuracy})) return;
  const auto network = nn::read_network(run.path(kNetwork));
  const auto model = tilemodel::read_model(run.path(kModel));
  const auto rows = evaluate_network(run.config, network, model.spec, train, test, run.progress);
  Accuracy figure;
  figure.images = rows.front().report.images;
  figure.description = std::to_string(figure.images) + " test images; " + tile_sentence(run.config.tile);
  Table table;
  table.title = "Test accuracy";
  table.section = "accuracy";
  table.columns = {"network on", "accuracy [%]", "standard error [%]", "chips", "status"};
  for (const auto& row : rows) {
    const auto& report = row.report;
    const bool ok = report.accuracy.has_value();
    table.rows.push_back({row.label, ok ? Cell(100.0 * *report.accuracy) : Cell(std::string("-")),
                          standard_error_text(report), static_cast<double>(report.correct.size()),
                          ok ? std::string("ok") : "diverged: " + report.reason});
    if (ok)
      figure.bars.push_back({row.label, *report.accuracy, report.standard_error.value_or(0.0),
                             static_cast<Index>(report.correct.size())});
  }
  table.caption = "Weights of each tile scaled so that its largest is g_max; no retraining.";
  write_accuracy(run.path(kAccuracy), figure);
  run.results.put(table);
  if (rows[2].report.accuracy)
    run.results.put(Headline{"Accuracy on resistive tiles", percent(*rows[2].report.accuracy), "wires through the fast model, DAC on"});
  const auto& last = rows.back();
  if (rows.size() > 4 && last.report.accuracy)
    run.results.put(Headline{"Accuracy on memory devices", percent(*last.report.accuracy), "wires, ADC, " + last.label.substr(2)});
  run.finish_stage({kAccuracy});
}

// The trained first layer's arrays of one tile row, and the codes that test images put on its rows.
data::ReferenceSet layer_inputs(const Run& run, const nn::TileSystem& system,
                                const data::LabelledImages& test) {
  const auto& layer = system.arrays.layers.front();
  const Index count = std::min<Index>(run.config.compare.images, test.inputs.rows());
  const MatrixF images = test.inputs.topRows(count);
  Index tile_row = std::min(run.config.compare.tile_row, layer.tile_rows() - 1);
  if (tile_row < 0) {
    double best = -1.0;
    for (Index r = 0; r < layer.tile_rows(); ++r) {
      const double activity = nn::tile_inputs(system, 0, r, images).cast<double>().cwiseAbs().mean();
      if (activity > best) {
        best = activity;
        tile_row = r;
      }
    }
  }
  data::ReferenceSet set;
  set.tile = layer.tile(tile_row, 0).spec;
  set.seed = run.config.seed;
  set.config_toml = run.config.toml;
  for (Index c = 0; c < layer.tile_cols(); ++c) {
    const auto& tile = layer.tile(tile_row, c);
    if (tile.spec.cols != set.tile.cols) continue;
    set.g_plus_siemens.push_back(tile.g_plus_siemens);
    set.g_minus_siemens.push_back(tile.g_minus_siemens);
  }
  set.codes = nn::tile_inputs(system, 0, tile_row, images);
  set.draw.resize(count);
  set.held_out.resize(count);
  const auto tiles = static_cast<Index>(set.g_plus_siemens.size());
  const Index fitted =
      static_cast<Index>(std::lround((1.0 - run.config.compare.held_out_share) * static_cast<double>(count)));
  for (Index v = 0; v < count; ++v) {
    set.draw[v] = static_cast<int>(v % tiles);
    set.held_out[v] = v < fitted ? 0 : 1;
  }
  return set;
}

nn::TileSystem tile_system(const Run& run, const nn::Network& network, const data::LabelledImages& train) {
  tilemodel::ModelSpec ideal;
  ideal.form = tilemodel::Form::ideal;
  const Index count = std::min<Index>(run.config.evaluation.calibration_images, train.inputs.rows());
  return nn::make_tile_system(network, run.config.tile, train.inputs.topRows(count), model_factory(ideal));
}

// Event-driven charge against the transient on the first compared vectors. Returns the time of one transient
// on one core.
std::optional<double> confirm_with_transient(Run& run, const data::ReferenceSet& set) {
  const Index count = std::min(run.config.compare.transient_vectors, set.vectors());
  if (count == 0) return std::nullopt;
  circuit::ReferenceOptions options = run.config.reference;
  options.method = "transient";
  double worst = 0.0;
  const double largest = set.charge_plus_coulomb.cwiseAbs().maxCoeff();
  const auto start = Clock::now();
  for (Index v = 0; v < count; ++v) {
    report_progress(run.progress, static_cast<double>(v) / static_cast<double>(count),
                    "transient of the first layer");
    const auto answer = circuit::run_vector(set, v, options);
    if (answer.status != circuit::Status::ok)
      throw Error(ErrorKind::not_converged,
                  "transient of compared vector " + std::to_string(v) + ": " + answer.failure);
    worst = std::max(
        worst, (answer.plus.transpose() - set.charge_plus_coulomb.row(v)).cwiseAbs().maxCoeff() / largest);
  }
  const double seconds = seconds_since(start) / static_cast<double>(count);
  Table table;
  table.title = "Event-driven charge against the transient";
  table.section = "comparison";
  table.columns = {"vectors", "largest difference / largest charge"};
  table.rows = {{static_cast<double>(count), worst}};
  table.caption = "The first vectors of the trained first layer through both circuit methods (SUNDIALS IDA, "
                  "relative tolerance " +
                  with_unit(options.transient.relative_tolerance, "%.0e", "") + ").";
  run.results.put(table);
  return seconds;
}

// Seconds of one product on one core, circuit methods and fast model.
void time_table(Run& run, const Timing& timing, const std::optional<double>& transient_seconds) {
  const double fast = timing.fast_seconds_per_vector;
  Table table;
  table.title = "Time of one product";
  table.section = "comparison";
  table.columns = {"method", "time [us]", "over the fast model"};
  const auto circuit_row = [&](const char* name, double seconds) {
    table.rows.push_back({std::string(name), 1e6 * seconds, seconds / fast});
  };
  if (transient_seconds) circuit_row("full circuit, transient", *transient_seconds);
  if (timing.circuit_seconds_per_vector)
    circuit_row("full circuit, event-driven", *timing.circuit_seconds_per_vector);
  circuit_row("fast model", fast);
  table.caption = "G+ and G- arrays of one tile, one core.";
  run.results.put(table);
  const double slowest = transient_seconds.value_or(timing.circuit_seconds_per_vector.value_or(fast));
  run.results.put(Headline{"Speed-up", with_unit(slowest / fast, "%.0f", " x"),
                           transient_seconds ? "fast model over the transient of the full circuit"
                                             : "fast model over the event-driven circuit"});
}

void stage_compare(Run& run, const data::LabelledImages& train, const data::LabelledImages& test) {
  if (run.done({kLayerReference, kComparison})) return;
  const auto network = nn::read_network(run.path(kNetwork));
  const auto model = tilemodel::read_model(run.path(kModel));
  const auto system = tile_system(run, network, train);
  circuit::ReferenceOptions options = run.config.reference;
  // The event-driven solver is the circuit's quickest exact answer, but it knows no op-amp.
  options.method = run.config.tile.front_end.kind == data::FrontEndKind::integrator ? "transient" : "charge";
  const data::ReferenceSet inputs = layer_inputs(run, system, test);
  const auto set = circuit::run_reference(inputs, options, run.folder.path("work/first_layer"), run.progress);
  data::write_reference_set(run.path(kLayerReference), set);

  // Time of the circuit: one core, a few vectors, again.
  const auto start = Clock::now();
  const Index timed = std::min<Index>(8, set.vectors());
  options.charge.energy = false;
  for (Index v = 0; v < timed; ++v) circuit::run_vector(set, v, options);
  CompareOptions compare_options;
  compare_options.model_name = "fast model (" + std::string(data::to_name(model.spec.form)) +
                               (model.spec.correction.coefficients.size() > 0 ? " + correction)" : ")");
  compare_options.circuit_seconds_per_vector = seconds_since(start) / static_cast<double>(timed);
  compare_options.progress = run.progress;
  const Comparison comparison = compare(set, model_factory(model.spec), compare_options);
  write_comparison(run.path(kComparison), comparison);
  run.results.put(comparison_table(comparison));
  const auto& fast = comparison.fast();
  run.results.put(Headline{"Fast model error", with_unit(fast.bit_line.rms_lsb, "%.3g", " LSB"),
                           "RMS, trained first layer against the full circuit"});
  run.results.put(Headline{"IR-drop", percent(comparison.ir_drop.mean_loss),
                           "mean share of the charge lost, trained first layer"});
  time_table(run, comparison.timing, confirm_with_transient(run, set));
  run.finish_stage({kLayerReference, kComparison});
}

void stage_pictures(Run& run) {
  if (run.done({kWaveforms, kNodeVoltages})) return;
  report_progress(run.progress, 0.0, "pictures");
  const auto set = data::read_reference_set(run.path(kLayerReference));
  // The vector with most charge is the one worth looking at.
  Index vector = 0;
  set.charge_plus_coulomb.rowwise().sum().cwiseAbs().maxCoeff(&vector);
  const auto draw = static_cast<std::size_t>(set.draw[vector]);
  const bool bipolar = set.tile.drive == data::Drive::bipolar;
  const circuit::Crossbar crossbar =
      bipolar ? circuit::Crossbar(set.tile, set.g_plus_siemens[draw], set.g_minus_siemens[draw])
              : circuit::Crossbar(set.tile, set.g_plus_siemens[draw]);
  const IntVector codes = set.codes.row(vector).transpose();
  const std::string what = tile_sentence(set.tile) + "; test image " + std::to_string(vector) +
                           " on the G+ array of the trained first layer";

  const auto drive = circuit::steady_drive(crossbar, codes);
  const auto state = circuit::solve_steady(crossbar, drive);
  NodeVoltages voltages;
  voltages.description = what + ", all its rows on";
  voltages.v_read_volt = set.tile.v_read_volt;
  voltages.row_drive.resize(set.tile.rows);
  voltages.row_on.resize(set.tile.rows);
  voltages.row_voltage_volt.resize(set.tile.rows, set.tile.cols);
  voltages.column_voltage_volt = voltages.row_voltage_volt;
  for (Index i = 0; i < set.tile.rows; ++i) {
    const Index line = i * crossbar.lines_per_row;
    voltages.row_on[i] = codes[i] != 0 ? 1 : 0;
    voltages.row_drive[i] = drive.line_volt[line] / set.tile.v_read_volt;
    voltages.row_voltage_volt.row(i) = (drive.line_volt[line] - state.row_drop_volt.row(line)).matrix();
    voltages.column_voltage_volt.row(i) = state.column_volt.row(line).matrix();
  }
  write_node_voltages(run.path(kNodeVoltages), voltages);

  circuit::TransientOptions options = run.config.reference.transient;
  options.record_every = 1;
  options.record_columns = {0, set.tile.cols / 2, set.tile.cols - 1};
  Index longest = 0;
  codes.cwiseAbs().maxCoeff(&longest);
  options.record_rows = {longest * crossbar.lines_per_row};
  const auto transient = circuit::solve_transient(crossbar, codes, options);
  if (transient.status != circuit::Status::ok)
    throw Error(ErrorKind::not_converged, "transient for the pictures: " + transient.failure);
  Waveforms waves;
  waves.description = what + "; SUNDIALS IDA";
  waves.time_s = Eigen::Map<const Vector>(transient.waveforms.time_s.data(),
                                          static_cast<Index>(transient.waveforms.time_s.size()));
  waves.sense_current_ampere = transient.waveforms.sense_ampere;
  waves.column_voltage_volt = transient.waveforms.column_volt;
  waves.row_voltage_volt = transient.waveforms.row_volt;
  for (const Index j : options.record_columns) {
    waves.sense_labels.push_back("column " + std::to_string(j));
    waves.column_labels.push_back("column " + std::to_string(j) + ", far end");
  }
  waves.row_labels = {"row " + std::to_string(longest) + ", far cell"};
  std::vector<double> ends;
  for (Index i = 0; i < codes.size(); ++i)
    if (codes[i] != 0) ends.push_back(std::abs(codes[i]) * set.tile.pulse.t_lsb_s);
  std::sort(ends.begin(), ends.end());
  ends.erase(std::unique(ends.begin(), ends.end()), ends.end());
  waves.pulse_end_s = Eigen::Map<const Vector>(ends.data(), static_cast<Index>(ends.size()));
  write_waveforms(run.path(kWaveforms), waves);
  run.finish_stage({kWaveforms, kNodeVoltages});
}

}  // namespace

nn::TrainState train_network(const PipelineConfig& config, const data::LabelledImages& images,
                             const std::filesystem::path& work, const Progress& progress) {
  require_writable_folder(work);
  const auto checkpoint = work / "checkpoint.h5";
  nn::TrainState state = nn::start_training(config.network, config.training);
  if (path_exists(checkpoint)) {
    nn::TrainState stored = nn::read_checkpoint(checkpoint);
    if (stored.settings == state.settings) state = std::move(stored);
  }
  nn::TrainHooks hooks;
  hooks.after_epoch = [&](const nn::TrainState& now) { nn::write_checkpoint(checkpoint, now, config.toml); };
  hooks.progress = progress;
  const auto report = nn::train(state, images, config.training, hooks);
  if (report.status == nn::TrainStatus::diverged)
    throw Error(ErrorKind::not_converged, "the training diverged: " + report.reason);
  return state;
}

data::ReferenceSet reference_inputs(const PipelineConfig& config) {
  const LayerOptions& layer = config.layer;
  data::ReferenceSet inputs;
  if (!layer.weights && !layer.activations) {
    inputs = circuit::draw_reference_inputs(config.tile, config.draw, config.seed);
  } else {
    std::optional<nn::Network> network;
    layer.require_network_file();
    if (layer.needs_network()) network = nn::read_network(layer.network_file);
    const LayerImages images = layer_images(config);
    inputs = layer_reference_inputs(config.tile, config.draw, layer, network ? &*network : nullptr, images, config.seed);
  }
  inputs.config_toml = config.toml;
  return inputs;
}

data::ReferenceSet generate_reference(const PipelineConfig& config, const std::filesystem::path& work,
                                      const Progress& progress) {
  return circuit::run_reference(reference_inputs(config), config.reference, work, progress);
}

ModelFactory model_factory(const tilemodel::ModelSpec& spec) {
  return [spec](const data::TileSpec& tile, const Matrix& g) {
    if (spec.form != tilemodel::Form::effective) return tilemodel::TileModel(spec, tile, g);
    return tilemodel::TileModel(spec, tile, g, circuit::effective_matrix(circuit::Crossbar(tile, g)));
  };
}

std::vector<AccuracyRow> evaluate_network(const PipelineConfig& config, const nn::Network& network,
                                          const tilemodel::ModelSpec& model,
                                          const data::LabelledImages& train, const data::LabelledImages& test,
                                          const Progress& progress) {
  data::LabelledImages images = test;
  if (config.evaluation.images > 0 && config.evaluation.images < test.inputs.rows()) {
    images.inputs = test.inputs.topRows(config.evaluation.images);
    images.labels.resize(static_cast<std::size_t>(config.evaluation.images));
  }
  const MatrixF calibration =
      train.inputs.topRows(std::min<Index>(config.evaluation.calibration_images, train.inputs.rows()));
  nn::EvaluationOptions options;
  options.seed = config.seed;
  options.progress = progress;
  std::vector<AccuracyRow> rows;
  rows.push_back({"digital", nn::evaluate_digital(network, images, options)});

  tilemodel::ModelSpec ideal;
  ideal.form = tilemodel::Form::ideal;
  data::TileSpec no_adc = config.tile, with_adc = config.tile;
  no_adc.adc.enabled = false;
  with_adc.adc.enabled = true;
  const auto on_tiles = [&](const std::string& label, const data::TileSpec& tile,
                            const tilemodel::ModelSpec& spec,
                            const std::optional<nn::DeviceOptions>& devices) {
    nn::EvaluationOptions now = options;
    now.devices = devices;
    rows.push_back(
        {label, nn::evaluate_on_tiles(nn::make_tile_system(network, tile, calibration, model_factory(spec)),
                                      images, now)});
  };
  on_tiles("ideal tiles (DAC)", no_adc, ideal, std::nullopt);
  on_tiles("tiles with IR-drop", no_adc, model, std::nullopt);
  on_tiles("IR-drop + ADC", with_adc, model, std::nullopt);
  for (const double time : config.evaluation.times_s) {
    nn::DeviceOptions devices;
    devices.model = config.evaluation.device;
    devices.time_s = time;
    devices.draws = config.evaluation.draws;
    std::string when = with_unit(time, "%.3g", " s");
    if (time == 0.0)
      when = "first read";
    else if (time >= 31536000.0)
      when = with_unit(time / 31536000.0, "%.3g", " y");
    else if (time >= 86400.0)
      when = with_unit(time / 86400.0, "%.3g", " d");
    else if (time >= 3600.0)
      when = with_unit(time / 3600.0, "%.3g", " h");
    on_tiles("+ devices, " + when, with_adc, model, devices);
  }
  return rows;
}

void run_pipeline(const PipelineConfig& config, const std::filesystem::path& folder, int threads,
                  const std::string& command, const Progress& progress) {
  // Inputs are read before anything is written.
  const auto train = load(config.data.train_images, config.data.train_labels);
  const auto test = load(config.data.test_images, config.data.test_labels);
  data::require_same_shape(train, test);
  data::Manifest manifest;
  manifest.command = command;
  manifest.config_toml = config.toml;
  manifest.seed = config.seed;
  manifest.version = kVersion;
  manifest.instruction_set = kInstructionSet;
  PipelineConfig threaded = config;
  threaded.training.threads = threads;
  threaded.reference.threads = threads;
  Run run{threaded, data::RunFolder(folder, manifest), threads, progress, {}};
  if (run.folder.manifest().complete) static_cast<void>(run.folder.has(kResults));  // throws when it was changed since
  if (path_exists(run.path(kResults))) run.results = read_results(run.path(kResults));
  run.results.title = config.title;

  stage_train(run, train, test);
  stage_reference(run);
  stage_fit(run);
  stage_noise(run);
  stage_accuracy(run, train, test);
  stage_compare(run, train, test);
  stage_pictures(run);
  run.folder.record(kResults);
  run.folder.finish();
  report_progress(progress, 0.0, "report");
  write_report(folder);
  report_progress(progress, 1.0, "report");
}

}  // namespace crosstile::validation
