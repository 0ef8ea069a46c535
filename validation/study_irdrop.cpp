#include "validation/study_irdrop.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "circuit/circuit.hpp"
#include "core/error.hpp"
#include "core/parallel.hpp"
#include "data/adc.hpp"
#include "data/pulse.hpp"
#include "nn/compensation.hpp"

namespace crosstile::validation {

namespace {

nn::ModelFactory exact_ladder() {
  return [](const data::TileSpec& tile, const Matrix& g) {
    tilemodel::ModelSpec spec;
    spec.form = tilemodel::Form::ladder;
    return tilemodel::TileModel(spec, tile, g);
  };
}

// The run: what has been trained and found so far.
class IrDropRun {
 public:
  IrDropRun(const IrDropStudy& study, int threads, const Progress& progress)
      : study_(study),
        threads_(threads),
        progress_(progress),
        train_(data::read_labelled_images(study.data.train_images, study.data.train_labels)),
        test_(data::read_labelled_images(study.data.test_images, study.data.test_labels)) {
    if (study.images > 0 && study.images < test_.inputs.rows()) {
      test_.inputs = MatrixF(test_.inputs.topRows(study.images));
      test_.labels.resize(static_cast<std::size_t>(study.images));
    }
    calibration_ = train_.inputs.topRows(std::min(study.calibration_images, train_.inputs.rows()));
    chance_ = 1.0 / static_cast<double>(study.network.layers.back());
  }

  IrDropOutcome run() {
    for (Index seed = 1; seed <= study_.seeds; ++seed) run_seed(seed);
    return out_;
  }

 private:
  struct Trained {
    nn::Network network;
    std::vector<nn::LayerCalibration> known;  // empty: nothing
  };

  void run_seed(Index seed);
  void run_resistance(Index seed, double ohm, const nn::Network& digital, const std::vector<Trained>& gaussian);
  void report(const std::string& what) {
    const double all = static_cast<double>(study_.seeds) * (1.0 + static_cast<double>(study_.r_col_ohm.size()));
    report_progress(progress_, done_ / all, what);
  }
  std::optional<Trained> train(Index seed, const nn::Network* start, nn::TrainOptions options, double* seconds);
  std::optional<Trained> train_gaussian(Index seed, const nn::Network& digital, double level);
  std::optional<Trained> train_through_tiles(Index seed, const nn::Network& digital, double ohm);
  data::TileSpec tile_at(double ohm) const {
    data::TileSpec tile = study_.tile;
    tile.r_col_ohm = ohm;
    return tile;
  }
  nn::TileSystem system_of(const Trained& trained, double ohm, const nn::CalibrationOptions& options) const;
  void add_point(Index seed, double ohm, const std::string& method, const nn::TileSystem& system);
  void confirm(Index seed, double ohm, const std::string& method, const nn::TileSystem& system);

  const IrDropStudy& study_;
  int threads_;
  const Progress& progress_;
  data::LabelledImages train_, test_;
  MatrixF calibration_;
  double chance_ = 0.1;
  double done_ = 0.0;
  IrDropOutcome out_;
};

std::optional<IrDropRun::Trained> IrDropRun::train(Index seed, const nn::Network* start, nn::TrainOptions options,
                                                   double* seconds) {
  options.seed = static_cast<std::uint64_t>(seed);
  options.threads = threads_;
  nn::TrainState state = nn::start_training(study_.network, options);
  if (start) state.network = *start;
  nn::TrainHooks hooks;
  hooks.progress = [this](double, std::string_view what) {
    report(std::string(what));
    return true;
  };
  const nn::TrainReport result = nn::train(state, train_, options, hooks);
  if (result.status != nn::TrainStatus::finished) {
    out_.diverged += (out_.diverged.empty() ? "" : "; ") + result.reason;
    return std::nullopt;
  }
  if (seconds) {
    const double each = result.seconds / static_cast<double>(options.epochs);
    *seconds = *seconds > 0.0 ? std::min(*seconds, each) : each;
  }
  Trained out{state.network, {}};
  if (!options.kinds.empty())
    for (const nn::LayerMemory& memory : state.memory) out.known.push_back(nn::trained_calibration(memory));
  return out;
}

std::optional<IrDropRun::Trained> IrDropRun::train_gaussian(Index seed, const nn::Network& digital, double level) {
  nn::TrainOptions options = study_.digital;
  options.epochs = study_.gaussian_epochs;
  options.learning_rate = study_.gaussian_rate;
  nn::HardwareAwareOptions kind = study_.gaussian;
  kind.noise = nn::WeightNoise::gaussian;
  kind.weight_noise = level;
  options.kinds = {nn::hardware_aware_kind(kind)};
  return train(seed, &digital, options, nullptr);
}

std::optional<IrDropRun::Trained> IrDropRun::train_through_tiles(Index seed, const nn::Network& digital,
                                                                 double ohm) {
  nn::TrainOptions options = study_.digital;
  options.epochs = study_.tile_epochs;
  options.learning_rate = study_.tile_rate;
  nn::TileLayerOptions kind = study_.tiles;
  kind.tile = tile_at(ohm);
  options.kinds = {nn::tile_kind(kind)};
  return train(seed, &digital, options, &out_.tile_seconds);
}

nn::TileSystem IrDropRun::system_of(const Trained& trained, double ohm,
                                    const nn::CalibrationOptions& options) const {
  if (trained.known.empty())
    return nn::make_tile_system(trained.network, tile_at(ohm), calibration_, exact_ladder(), options);
  return nn::make_tile_system(trained.network, tile_at(ohm), calibration_, exact_ladder(), trained.known, options);
}

void IrDropRun::add_point(Index seed, double ohm, const std::string& method, const nn::TileSystem& system) {
  nn::EvaluationOptions options;
  options.threads = threads_;
  const nn::EvaluationReport report = nn::evaluate_on_tiles(system, test_, options);
  if (!report.accuracy) {
    out_.diverged += (out_.diverged.empty() ? "" : "; ") + method + ": " + report.reason;
    return;
  }
  double g = 0.0, cells = 0.0;
  for (const nn::MappedTile& tile : system.arrays.layers.front().tiles) {
    g += tile.g_plus_siemens.sum() + tile.g_minus_siemens.sum();
    cells += 2.0 * static_cast<double>(tile.g_plus_siemens.size());
  }
  out_.points.push_back({seed, ohm, method, *report.accuracy,
                         nn::normalised_accuracy(*report.accuracy, out_.digital_accuracy.back(), chance_),
                         g / cells});
}

void IrDropRun::run_seed(Index seed) {
  nn::TrainOptions options = study_.digital;
  if (study_.digital_clip_sigma > 0.0) {
    nn::HardwareAwareOptions clip;
    clip.noise = nn::WeightNoise::none;
    clip.clip_sigma = study_.digital_clip_sigma;
    options.kinds = {nn::hardware_aware_kind(clip)};
  }
  auto digital = train(seed, nullptr, options, &out_.digital_seconds);
  done_ += 1.0;
  if (!digital) return;
  digital->known.clear();
  nn::EvaluationOptions evaluation;
  evaluation.threads = threads_;
  out_.digital_accuracy.push_back(*nn::evaluate_digital(digital->network, test_, evaluation).accuracy);
  std::vector<Trained> gaussian;
  for (const double level : study_.noise_levels)
    if (auto trained = train_gaussian(seed, digital->network, level)) {
      trained->known.clear();
      gaussian.push_back(std::move(*trained));
    }
  if (gaussian.size() != study_.noise_levels.size()) return;
  for (const double ohm : study_.r_col_ohm) {
    run_resistance(seed, ohm, digital->network, gaussian);
    done_ += 1.0;
  }
}

void IrDropRun::run_resistance(Index seed, double ohm, const nn::Network& digital,
                               const std::vector<Trained>& gaussian) {
  nn::CalibrationOptions plain, fitted;
  plain.threads = fitted.threads = threads_;
  fitted.fit_gain = true;
  const bool confirms = seed == 1 && study_.confirm_images > 0 &&
                        std::find(study_.confirm_ohm.begin(), study_.confirm_ohm.end(), ohm) != study_.confirm_ohm.end();
  report("evaluation");
  const nn::TileSystem direct = system_of({digital, {}}, ohm, plain);
  add_point(seed, ohm, "direct", direct);
  add_point(seed, ohm, "direct, fitted gains", system_of({digital, {}}, ohm, fitted));
  for (std::size_t k = 0; k < gaussian.size(); ++k) {
    char level[32];
    std::snprintf(level, sizeof level, "gaussian %g", study_.noise_levels[k]);
    add_point(seed, ohm, level, system_of(gaussian[k], ohm, plain));
    add_point(seed, ohm, std::string(level) + ", fitted gains", system_of(gaussian[k], ohm, fitted));
  }
  const auto tiles = train_through_tiles(seed, digital, ohm);
  if (!tiles) return;
  const nn::TileSystem trained = system_of(*tiles, ohm, plain);
  add_point(seed, ohm, "through tiles", trained);
  if (!confirms) return;
  confirm(seed, ohm, "direct", direct);
  confirm(seed, ohm, "through tiles", trained);
}

// One layer of a system, every array solved as a circuit; the wires' capacitance is left out, as in the ladder.
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
          throw Error(ErrorKind::not_converged, "the full circuit of image " + std::to_string(v) + " did not converge");
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

void IrDropRun::confirm(Index, double ohm, const std::string& method, const nn::TileSystem& system) {
  report("full circuit");
  const Index count = std::min(study_.confirm_images, test_.inputs.rows());
  const MatrixF images = test_.inputs.topRows(count);
  Matrix logits = images.cast<double>();
  for (std::size_t l = 0; l < system.network.depth(); ++l) {
    logits = circuit_layer(system, l, logits, threads_);
    if (l + 1 < system.network.depth()) nn::apply_activation<double>(system.network.hidden, logits);
  }
  Matrix ladder;
  nn::TileWorkspace work;
  nn::TiledNetwork(system, system.arrays, 1, threads_).logits(images, work, ladder);
  const auto circuit_class = nn::classify<double>(logits), ladder_class = nn::classify<double>(ladder);
  IrDropConfirmation found;
  found.r_col_ohm = ohm;
  found.method = method;
  found.images = count;
  found.largest_difference = (logits - ladder).cwiseAbs().maxCoeff() / ladder.cwiseAbs().maxCoeff();
  for (Index v = 0; v < count; ++v) {
    const auto k = static_cast<std::size_t>(v);
    found.same_class += circuit_class[k] == ladder_class[k] ? 1 : 0;
    found.circuit_accuracy += circuit_class[k] == test_.labels[k] ? 1.0 / static_cast<double>(count) : 0.0;
    found.ladder_accuracy += ladder_class[k] == test_.labels[k] ? 1.0 / static_cast<double>(count) : 0.0;
  }
  out_.confirmations.push_back(found);
}

}  // namespace

IrDropOutcome run_irdrop_study(const IrDropStudy& study, int threads, const Progress& progress) {
  return IrDropRun(study, threads, progress).run();
}

}  // namespace crosstile::validation
