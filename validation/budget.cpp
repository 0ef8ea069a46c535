#include "validation/budget.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "core/error.hpp"
#include "core/files.hpp"
#include "data/pulse.hpp"
#include "nn/network_file.hpp"
#include "validation/budget_run.hpp"
#include "validation/metrics.hpp"

namespace crosstile::validation {

namespace {

constexpr double kGrowthPrecision = 1.15;  // of a factor, before interpolation

bool has_wires(const data::TileSpec& tile) {
  return tile.r_col_ohm > 0.0 || tile.r_sense_ohm > 0.0 || tile.r_row_ohm > 0.0 || tile.r_driver_ohm > 0.0 ||
         tile.selector.r_on_ohm > 0.0;
}

std::string study_source(const BudgetStudy& study) {
  return study.network_file.empty() ? study.toml
                                    : study.toml + "\n# network " + hash_file(study.network_file);
}

}  // namespace

std::string budget_piece_name(const std::string& name) {
  std::string out = name;
  std::replace_if(
      out.begin(), out.end(), [](char c) { return c == ' ' || c == '*'; }, '-');
  return out;
}

nn::Network first_layer(const nn::Network& network) {
  nn::Network out;
  out.hidden = network.hidden;
  out.layers = {network.layers.front()};
  return out;
}

double layer_rms(const Matrix& values) {
  return std::sqrt(values.squaredNorm() / static_cast<double>(values.size()));
}

BudgetRun::BudgetRun(const BudgetStudy& study, const StudyOptions& options)
    : StudyRun(options, "irdrop", study_source(study), study.data,
               {study.data, study.network.layers.back(), study.images, study.calibration_images}),
      study_(study) {
  steps_ =
      2.0 + 2.0 * kEffects + kEffects + 4.0 +
      static_cast<double>(study.table_r_ohm.size() * study.table_passes.size() * study.table_adc_bits.size());
}

void BudgetRun::prepare_network() {
  if (!study_.network_file.empty()) {
    network_ = nn::read_network(study_.network_file);
  } else {
    const auto trained =
        train("network", study_.network, nullptr, digital_options(study_.training, study_.clip_sigma));
    if (!trained.failure.empty())
      throw Error(ErrorKind::not_converged, "the training diverged: " + trained.failure);
    network_ = trained.state.network;
  }
  if (network_.inputs() != images_.test.inputs.cols())
    throw Error(ErrorKind::usage, fmt::format("the network has {} inputs, the images have {} pixels",
                                              network_.inputs(), images_.test.inputs.cols()));
  nn::EvaluationOptions options;
  options.threads = threads_;
  digital_accuracy_ = nn::evaluate_digital(network_, images_.test, options).accuracy.value_or(0.0);
  chance_ = 1.0 / static_cast<double>(network_.outputs());
  out_.digital_accuracy = digital_accuracy_;
}

// The exact outputs of the first layer, and what an LSB of a bit line's charge is in them.
void BudgetRun::prepare_scales() {
  const Index count = std::min(study_.layer_images, images_.test.inputs.rows());
  layer_images_ = images_.test.inputs.topRows(count);
  const nn::Network layer = first_layer(network_);
  const auto& weights = layer.layers.front();
  exact_ = layer_images_.cast<double>() * weights.weights.cast<double>();
  exact_.rowwise() += weights.bias.row(0).cast<double>();
  const auto arrays = nn::map_network(layer, study_.tile);
  std::vector<double> charges;
  double unit = 0.0;
  tilemodel::ModelSpec ideal;
  ideal.form = tilemodel::Form::ideal;
  const int bits = study_.tile.pulse.dac_bits;
  for (const auto& tile : arrays.layers.front().tiles) {
    const IntMatrix codes =
        data::dac_codes(layer_images_.middleCols(tile.row_begin, tile.spec.rows).cast<double>(), bits);
    Matrix charge;
    for (const Matrix* g : {&tile.g_plus_siemens, &tile.g_minus_siemens}) {
      tilemodel::TileModel(ideal, tile.spec, *g).charge(codes, charge);
      for (Index k = 0; k < charge.size(); ++k) charges.push_back(std::abs(charge.data()[k]));
    }
    unit += tile.weight_per_siemens / (tile.spec.v_read_volt * tile.spec.pulse.t_lsb_s) /
            data::max_code(bits) / static_cast<double>(arrays.layers.front().tiles.size());
  }
  lsb_output_ = quantile(charges, 0.999) / 255.0 * unit;
  if (!(lsb_output_ > 0.0))
    throw Error(ErrorKind::bad_data,
                "the first layer gives no charge for the first test images: nothing to measure");
}

BudgetRun::Condition BudgetRun::condition(const std::string& name, const Strengths& strengths) const {
  const auto present = [&](Effect effect) {
    return strengths[static_cast<std::size_t>(effect)] > 0.0 &&
           is_configured(study_, static_cast<std::size_t>(effect));
  };
  return {name, tile_with(study_, strengths), devices_with(study_, strengths),
          present(Effect::read_noise) || present(Effect::programming) || present(Effect::drift) ||
              (present(Effect::front_end) &&
               (study_.tile.adc.gain_spread > 0.0 || study_.tile.adc.offset_spread_lsb > 0.0))};
}

nn::TileSystem BudgetRun::system_of(const nn::Network& network, const Condition& condition) const {
  tilemodel::ModelSpec spec = study_.model;
  if (!has_wires(condition.tile)) spec.form = tilemodel::Form::ideal;
  nn::CalibrationOptions calibration;
  calibration.threads = threads_;
  if (condition.tile.adc.bits > study_.tile.adc.bits) {  // an absent converter does not clip either
    calibration.adc_quantile = 1.0;
    calibration.adc_margin = 2.0;
  }
  return nn::make_tile_system(
      network, condition.tile, images_.calibration,
      [spec](const data::TileSpec& tile, const Matrix& g) { return tilemodel::TileModel(spec, tile, g); },
      calibration);
}

nn::DeviceOptions BudgetRun::devices_of(const Condition& condition) const {
  nn::DeviceOptions devices;
  devices.model = condition.devices;
  devices.time_s = study_.time_s;
  devices.draws = condition.random ? study_.draws : 1;
  devices.compensation = study_.compensation;
  devices.compensation_images = images_.calibration;
  return devices;
}

StudyPieces::Numbers BudgetRun::accuracy(const Condition& condition) {
  const nn::TileSystem system = system_of(network_, condition);
  nn::EvaluationOptions options;
  options.threads = threads_;
  if (condition.random) options.devices = devices_of(condition);
  options.progress = [this, &condition](double, std::string_view) {
    report(condition.name);
    return true;
  };
  const auto result = nn::evaluate_on_tiles(system, images_.test, options);
  if (!result.accuracy) return {{}, result.reason};
  return {{{"accuracy", *result.accuracy}, {"draw_error", result.draw_error.value_or(0.0)}}, {}};
}

Matrix BudgetRun::layer_outputs(const nn::TileSystem& system, const Condition& condition, Index draw,
                                const MatrixF& images) const {
  nn::TileWorkspace work;
  Matrix out;
  if (!condition.random) {
    nn::TiledNetwork(system, system.arrays, 1, threads_).logits(images, work, out);
    return out;
  }
  const nn::DeviceOptions devices = devices_of(condition);
  nn::DeviceOptions at_first = devices;
  at_first.time_s = 0.0;
  const auto now = nn::draw_arrays(system.arrays, devices, 1, draw);
  const auto before = nn::draw_arrays(system.arrays, at_first, 1, draw);
  const auto ready =
      nn::compensated(system, before, now, devices.compensation_images, devices.compensation, 1, threads_);
  nn::TiledNetwork(ready, now, 1, threads_).logits(images, work, out);
  return out;
}

BudgetRun::LayerError BudgetRun::layer_error(const Condition& condition) const {
  const nn::TileSystem system = system_of(first_layer(network_), condition);
  double square = 0.0;
  const Index draws = condition.random ? study_.draws : 1;
  for (Index d = 0; d < draws; ++d)
    square += std::pow(layer_rms(layer_outputs(system, condition, d, layer_images_) - exact_), 2) /
              static_cast<double>(draws);
  return {std::sqrt(square) / lsb_output_, std::sqrt(square) / layer_rms(exact_)};
}

void BudgetRun::add_budget(const std::string& name, const Strengths& strengths) {
  report(name);
  const Condition here = condition(name, strengths);
  const auto make = [&] {
    StudyPieces::Numbers numbers = accuracy(here);
    if (!numbers.failure.empty()) return numbers;
    const LayerError error = layer_error(here);
    numbers.values["rms_lsb"] = error.rms_lsb;
    numbers.values["rms_relative"] = error.rms_relative;
    return numbers;
  };
  const auto found =
      pieces_.numbers("budget-" + budget_piece_name(name), make, cost_kind("error budget", here));
  done_ += 1.0;
  if (!found.failure.empty()) throw Error(ErrorKind::not_converged, name + ": " + found.failure);
  out_.budget.push_back({name, found.at("rms_lsb"), found.at("rms_relative"), found.at("accuracy"),
                         found.at("draw_error"), sampled_star(found.at("accuracy"))});
}

std::string BudgetRun::cost_kind(const std::string& what, const Condition& condition) {
  return what + (condition.random ? ", several chips" : ", one chip") +
         (has_wires(condition.tile) ? " with wires" : "");
}

// Standard error: of the chips, and of the images that were lost (as a Poisson number; the digital network
// sees the same images).
FactorSample BudgetRun::star_sample(const Condition& condition) {
  const auto found = pieces_.numbers(
      budget_piece_name(condition.name), [&] { return accuracy(condition); },
      cost_kind("accuracy", condition));
  if (!found.failure.empty()) return {0.0, 0.0};  // diverged: worse than any level
  const double a = found.at("accuracy"), per_star = digital_accuracy_ - chance_;
  const auto images = static_cast<double>(images_.test.inputs.rows());
  const double lost = std::max(1.0, std::abs(digital_accuracy_ - a) * images);
  return {sampled_star(a), std::hypot(found.at("draw_error"), std::sqrt(lost) / images) / per_star};
}

// Steps of a converter of fewer and more bits, over that of the configured one, ascending.
std::vector<double> BudgetRun::whole_bit_factors(std::size_t effect) const {
  const bool pwm = effect == static_cast<std::size_t>(Effect::pwm);
  const int bits = pwm ? study_.tile.pulse.dac_bits - 1 : study_.tile.adc.bits;
  const int most = pwm ? std::max(bits, 10) : std::max(bits, 14), least = 2;
  std::vector<double> factors;
  for (int b = most; b >= least; --b) factors.push_back((std::exp2(bits) - 1.0) / (std::exp2(b) - 1.0));
  return factors;
}

void BudgetRun::add_growth(std::size_t effect) {
  done_ += 1.0;
  if (!is_configured(study_, effect)) return;
  const auto value_at = [&](double factor) {
    const Strengths strengths =
        study_.others_absent ? only_effect(effect, factor) : without_effect(effect, factor);
    const auto name = fmt::format("grow-{}-{:.6g}", effect_name(effect), factor);
    report(name);
    return star_sample(condition(name, strengths));
  };
  const bool whole_bits =
      effect == static_cast<std::size_t>(Effect::pwm) || effect == static_cast<std::size_t>(Effect::adc);
  out_.growth.push_back(
      {effect, whole_bits ? largest_factor_of(whole_bit_factors(effect), value_at, study_.a_star)
                          : largest_factor(value_at, study_.a_star, study_.most_factor, kGrowthPrecision)});
}

BudgetOutcome BudgetRun::run() {
  prepare_network();
  prepare_scales();
  add_budget("all", all_effects(1.0));
  add_budget("none", all_effects(0.0));
  for (std::size_t e = 0; e < kEffects; ++e)
    if (is_configured(study_, e)) add_budget("only " + effect_name(e), only_effect(e));
  for (std::size_t e = 0; e < kEffects; ++e)
    if (is_configured(study_, e)) add_budget("no " + effect_name(e), without_effect(e));
  for (std::size_t e = 0; e < kEffects; ++e) add_growth(e);
  std::stable_sort(out_.growth.begin(), out_.growth.end(),
                   [](const Growth& a, const Growth& b) { return a.root.factor < b.root.factor; });
  add_wire_limits();
  add_tile_limits();
  for (const double ohm : study_.table_r_ohm)
    for (const data::Passes passes : study_.table_passes)
      for (const std::int64_t bits : study_.table_adc_bits) add_trade(ohm, passes, static_cast<Index>(bits));
  out_.made = pieces_.made;
  out_.kept = pieces_.kept;
  return out_;
}

BudgetOutcome run_budget_study(const BudgetStudy& study, const StudyOptions& options) {
  return BudgetRun(study, options).run();
}

}  // namespace crosstile::validation
