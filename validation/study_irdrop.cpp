#include "validation/study_irdrop.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "circuit/circuit.hpp"
#include "core/error.hpp"
#include "core/parallel.hpp"
#include "data/adc.hpp"
#include "data/pulse.hpp"
#include "nn/compensation.hpp"
#include "nn/energy.hpp"

namespace crosstile::validation {

namespace {

nn::ModelFactory exact_ladder() {
  return [](const data::TileSpec& tile, const Matrix& g) {
    tilemodel::ModelSpec spec;
    spec.form = tilemodel::Form::ladder;
    return tilemodel::TileModel(spec, tile, g);
  };
}

std::string ohm_text(double ohm) {
  return fmt::format("{}ohm", ohm);
}

// A name of a piece: letters, digits, points and dashes.
std::string slug(const std::string& method) {
  std::string out;
  for (const char c : method)
    if (c != ',') out += c == ' ' ? '-' : c;
  return out;
}

tilemodel::ModelSpec ladder_form() {
  tilemodel::ModelSpec spec;
  spec.form = tilemodel::Form::ladder;
  return spec;
}

double mean_conductance(const nn::MappedLayer& layer) {
  double sum = 0.0, cells = 0.0;
  for (const nn::MappedTile& tile : layer.tiles) {
    sum += tile.g_plus_siemens.sum() + tile.g_minus_siemens.sum();
    cells += 2.0 * static_cast<double>(tile.g_plus_siemens.size());
  }
  return sum / cells;
}

// The run: what has been trained and found so far.
class IrDropRun : StudyRun {
 public:
  IrDropRun(const IrDropStudy& study, const StudyOptions& options)
      : StudyRun(options, "mnist-irdrop", study.toml, study.data,
                 {study.data, study.network.layers.back(), study.images, study.calibration_images}),
        study_(study),
        chance_(1.0 / static_cast<double>(study.network.layers.back())) {
    steps_ = static_cast<double>(study.seeds) * (1.0 + static_cast<double>(study.r_col_ohm.size()));
  }

  IrDropOutcome run() {
    for (Index seed = 1; seed <= study_.seeds; ++seed) run_seed(seed);
    out_.made = pieces_.made;
    out_.kept = pieces_.kept;
    out_.diverged = failures_;
    return out_;
  }

 private:
  // A network on its way to tiles.
  struct Weights {
    std::string method;
    nn::Network network;
    std::vector<nn::LayerCalibration> known;  // empty: nothing
    bool fits_gain = false;
  };

  void run_seed(Index seed);
  void run_resistance(Index seed, double ohm, const nn::Network& digital,
                      const std::vector<nn::Network>& gaussian);
  std::optional<nn::TrainState> train(Index seed, const std::string& name, const nn::Network* start,
                                      nn::TrainOptions options, double* seconds);
  std::optional<nn::TrainState> train_gaussian(Index seed, const nn::Network& digital, double level);
  std::optional<nn::TrainState> train_through_tiles(Index seed, const nn::Network& digital, double ohm);
  data::TileSpec tile_at(double ohm) const {
    data::TileSpec tile = study_.tile;
    tile.r_col_ohm = ohm;
    return tile;
  }
  nn::TileSystem system_of(const Weights& weights, double ohm) const;
  StudyPieces::Numbers evaluate(const Weights& weights, double ohm);
  StudyPieces::Numbers confirm(const Weights& weights, double ohm);
  void add_point(Index seed, double ohm, const Weights& weights);
  void add_confirmation(Index seed, double ohm, const Weights& weights);

  const IrDropStudy& study_;
  double chance_ = 0.1;
  IrDropOutcome out_;
};

std::optional<nn::TrainState> IrDropRun::train(Index seed, const std::string& name, const nn::Network* start,
                                               nn::TrainOptions options, double* seconds) {
  options.seed = static_cast<std::uint64_t>(seed);
  auto piece = StudyRun::train(fmt::format("s{}-{}", seed, name), study_.network, start, options);
  if (!piece.failure.empty()) {
    add_failure(name + ": " + piece.failure);
    return std::nullopt;
  }
  if (seconds && piece.epoch_seconds > 0.0)
    *seconds = *seconds > 0.0 ? std::min(*seconds, piece.epoch_seconds) : piece.epoch_seconds;
  return std::move(piece.state);
}

std::optional<nn::TrainState> IrDropRun::train_gaussian(Index seed, const nn::Network& digital,
                                                        double level) {
  nn::TrainOptions options = study_.digital;
  options.epochs = study_.gaussian_epochs;
  options.learning_rate = study_.gaussian_rate;
  nn::HardwareAwareOptions kind = study_.gaussian;
  kind.noise = nn::WeightNoise::gaussian;
  kind.weight_noise = level;
  options.kinds = {nn::hardware_aware_kind(kind)};
  return train(seed, fmt::format("gaussian-{}", level), &digital, options, nullptr);
}

std::optional<nn::TrainState> IrDropRun::train_through_tiles(Index seed, const nn::Network& digital,
                                                             double ohm) {
  nn::TrainOptions options = study_.digital;
  options.epochs = study_.tile_epochs;
  options.learning_rate = study_.tile_rate;
  nn::TileLayerOptions kind = study_.tiles;
  kind.tile = tile_at(ohm);
  options.kinds = {nn::tile_kind(kind)};
  return train(seed, "tiles-" + ohm_text(ohm), &digital, options, &out_.tile_seconds);
}

nn::TileSystem IrDropRun::system_of(const Weights& weights, double ohm) const {
  nn::CalibrationOptions options;
  options.threads = threads_;
  options.fit_gain = weights.fits_gain;
  if (weights.known.empty())
    return nn::make_tile_system(weights.network, tile_at(ohm), images_.calibration, exact_ladder(), options);
  return nn::make_tile_system(weights.network, tile_at(ohm), images_.calibration, exact_ladder(),
                              weights.known, options);
}

StudyPieces::Numbers IrDropRun::evaluate(const Weights& weights, double ohm) {
  report(weights.method + ", " + ohm_text(ohm));
  const nn::TileSystem system = system_of(weights, ohm);
  nn::EvaluationOptions options;
  options.threads = threads_;
  options.progress = [this, &weights, ohm](double, std::string_view) {
    this->report(weights.method + ", " + ohm_text(ohm));
    return true;
  };
  const nn::EvaluationReport report = nn::evaluate_on_tiles(system, images_.test, options);
  if (!report.accuracy) return {{}, report.reason};
  const Index count = std::min(study_.energy_images, images_.test.inputs.rows());
  const auto cost =
      nn::inference_cost(system, images_.test.inputs.topRows(count), ladder_form(), {}, threads_);
  return {{{"accuracy", *report.accuracy},
           {"mean_g_siemens", mean_conductance(system.arrays.layers.front())},
           {"inference_joule", cost.total_joule()},
           {"array_joule", cost.array_joule},
           {"latency_s", cost.latency_s}},
          {}};
}

void IrDropRun::add_point(Index seed, double ohm, const Weights& weights) {
  const auto found = pieces_.numbers(
      fmt::format("s{}-{}-{}", seed, ohm_text(ohm), slug(weights.method)),
      [&] { return evaluate(weights, ohm); },
      weights.fits_gain       ? "evaluation, fitted gains"
      : weights.known.empty() ? "evaluation"
                              : "evaluation as trained");
  if (!found.failure.empty())
    return add_failure(weights.method + " at " + ohm_text(ohm) + ": " + found.failure);
  const double accuracy = found.at("accuracy");
  out_.points.push_back({seed, ohm, weights.method, accuracy,
                         nn::normalised_accuracy(accuracy, out_.digital_accuracy.back(), chance_),
                         found.at("mean_g_siemens"), found.at("inference_joule"), found.at("array_joule"),
                         found.at("latency_s")});
}

void IrDropRun::run_seed(Index seed) {
  const auto digital =
      train(seed, "digital", nullptr, digital_options(study_.digital, study_.digital_clip_sigma),
            &out_.digital_seconds);
  done_ += 1.0;
  if (!digital) return;
  const auto accuracy = pieces_.numbers(fmt::format("s{}-digital-accuracy", seed), [&] {
    return digital_accuracy(digital->network, images_.test, threads_);
  });
  if (!accuracy.failure.empty()) return add_failure("digital: " + accuracy.failure);
  out_.digital_accuracy.push_back(accuracy.at("accuracy"));
  std::vector<nn::Network> gaussian;
  for (const double level : study_.noise_levels)
    if (const auto trained = train_gaussian(seed, digital->network, level))
      gaussian.push_back(trained->network);
  if (gaussian.size() != study_.noise_levels.size()) return;
  for (const double ohm : study_.r_col_ohm) {
    run_resistance(seed, ohm, digital->network, gaussian);
    done_ += 1.0;
  }
}

void IrDropRun::run_resistance(Index seed, double ohm, const nn::Network& digital,
                               const std::vector<nn::Network>& gaussian) {
  const bool confirms =
      seed == 1 && study_.confirm_images > 0 &&
      std::find(study_.confirm_ohm.begin(), study_.confirm_ohm.end(), ohm) != study_.confirm_ohm.end();
  const Weights direct{"direct", digital, {}, false};
  add_point(seed, ohm, direct);
  add_point(seed, ohm, {"direct, fitted gains", digital, {}, true});
  for (std::size_t k = 0; k < gaussian.size(); ++k) {
    const std::string level = fmt::format("gaussian {}", study_.noise_levels[k]);
    add_point(seed, ohm, {level, gaussian[k], {}, false});
    add_point(seed, ohm, {level + ", fitted gains", gaussian[k], {}, true});
  }
  const auto trained = train_through_tiles(seed, digital, ohm);
  if (!trained) return;
  Weights tiles{"through tiles", trained->network, {}, false};
  for (const nn::LayerMemory& memory : trained->memory)
    tiles.known.push_back(nn::trained_calibration(memory));
  add_point(seed, ohm, tiles);
  if (!confirms) return;
  add_confirmation(seed, ohm, direct);
  add_confirmation(seed, ohm, tiles);
}

// One layer of a system, every array solved as a circuit; the wires' capacitance is left out, as in the
// ladder.
Matrix circuit_layer(const nn::TileSystem& system, std::size_t l, const Matrix& input, int threads) {
  const nn::MappedLayer& layer = system.arrays.layers[l];
  const nn::LayerCalibration& calibration = system.calibration[l];
  const int bits = layer.tiles.front().spec.pulse.dac_bits;
  const IntMatrix codes = data::dac_codes(input / calibration.input_scale, bits);
  Matrix out = Matrix::Zero(input.rows(), layer.col_bounds.back());
  for (std::size_t t = 0; t < layer.tiles.size(); ++t) {
    const nn::MappedTile& tile = layer.tiles[t];
    data::TileSpec spec = tile.spec;
    spec.c_row_farad = spec.c_col_farad = 0.0;
    Matrix difference = Matrix::Zero(input.rows(), spec.cols);
    for (const bool minus : {false, true}) {
      const circuit::Crossbar crossbar(spec, minus ? tile.g_minus_siemens : tile.g_plus_siemens);
      circuit::ChargeOptions options;
      options.energy = false;
      Matrix charge(input.rows(), spec.cols);
      parallel_for(input.rows(), threads, [&](Index v, int) {
        const IntVector code = codes.row(v).segment(tile.row_begin, spec.rows).transpose();
        const circuit::ChargeResult result = circuit::solve_charge(crossbar, code, options);
        if (result.status != circuit::Status::ok)
          throw Error(ErrorKind::not_converged,
                      "the full circuit of image " + std::to_string(v) + " did not converge");
        charge.row(v) = result.charge_coulomb.transpose();
      });
      if (spec.adc.enabled)
        data::Adc(spec.adc, calibration.full_scale_coulomb, spec.cols, calibration.is_signed, 1,
                  2 * tile.number + (minus ? 1 : 0))
            .convert(charge);
      difference += minus ? -charge : charge;
    }
    const double unit = tile.weight_per_siemens / (spec.v_read_volt * spec.pulse.t_lsb_s) *
                        calibration.input_scale / data::max_code(bits);
    difference *= unit;
    if (calibration.gain.size() != 0) {
      const Index row = calibration.gain.rows() == 1 ? 0 : static_cast<Index>(t) / layer.tile_cols();
      difference.array().rowwise() *= calibration.gain.row(row).segment(tile.col_begin, spec.cols).array();
    }
    out.middleCols(tile.col_begin, spec.cols) += difference;
  }
  out.rowwise() += system.network.layers[l].bias.row(0).cast<double>();
  return out;
}

StudyPieces::Numbers IrDropRun::confirm(const Weights& weights, double ohm) {
  report("full circuit, " + ohm_text(ohm));
  const nn::TileSystem system = system_of(weights, ohm);
  const Index count = std::min(pieces_.part(study_.confirm_images), images_.test.inputs.rows());
  const MatrixF images = images_.test.inputs.topRows(count);
  Matrix logits = images.cast<double>();
  for (std::size_t l = 0; l < system.network.depth(); ++l) {
    logits = circuit_layer(system, l, logits, threads_);
    if (l + 1 < system.network.depth()) nn::apply_activation<double>(system.network.hidden, logits);
  }
  Matrix ladder;
  nn::TileWorkspace work;
  nn::TiledNetwork(system, system.arrays, 1, threads_).logits(images, work, ladder);
  const auto circuit_class = nn::classify<double>(logits), ladder_class = nn::classify<double>(ladder);
  Index circuit_right = 0, ladder_right = 0, same = 0;
  for (Index v = 0; v < count; ++v) {
    const auto k = static_cast<std::size_t>(v);
    same += circuit_class[k] == ladder_class[k] ? 1 : 0;
    circuit_right += circuit_class[k] == images_.test.labels[k] ? 1 : 0;
    ladder_right += ladder_class[k] == images_.test.labels[k] ? 1 : 0;
  }
  const auto all = static_cast<double>(count);
  return {{{"images", all},
           {"circuit_accuracy", static_cast<double>(circuit_right) / all},
           {"ladder_accuracy", static_cast<double>(ladder_right) / all},
           {"same_class", static_cast<double>(same)},
           {"largest_difference", (logits - ladder).cwiseAbs().maxCoeff() / ladder.cwiseAbs().maxCoeff()}},
          {}};
}

void IrDropRun::add_confirmation(Index seed, double ohm, const Weights& weights) {
  const auto found = pieces_.numbers(
      fmt::format("s{}-{}-{}-circuit", seed, ohm_text(ohm), slug(weights.method)),
      [&] { return confirm(weights, ohm); }, "full circuit");
  out_.confirmations.push_back({ohm, weights.method, static_cast<Index>(found.at("images")),
                                found.at("circuit_accuracy"), found.at("ladder_accuracy"),
                                static_cast<Index>(found.at("same_class")), found.at("largest_difference")});
}

}  // namespace

IrDropOutcome run_irdrop_study(const IrDropStudy& study, const StudyOptions& options) {
  return IrDropRun(study, options).run();
}

}  // namespace crosstile::validation
