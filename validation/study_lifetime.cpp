#include "validation/study_lifetime.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "core/error.hpp"
#include "nn/compensation.hpp"
#include "nn/energy.hpp"

namespace crosstile::validation {

namespace {

// What is evaluated, besides the network.
struct LifetimeCondition {
  double time_s;
  nn::DriftCompensation compensation;
  nn::NonIdealityCase present{"all", {}};
};

std::string condition_text(const std::string& weights, const LifetimeCondition& condition) {
  return fmt::format("{}, {}, compensation {}, {:g} s", weights, condition.present.name,
                     data::to_name(condition.compensation), condition.time_s);
}

class LifetimeRun : StudyRun {
 public:
  LifetimeRun(const LifetimeStudy& study, const StudyOptions& options)
      : StudyRun(options, "mnist-lifetime", study.toml, study.data,
                 {study.data, study.network.layers.back(), study.images, study.calibration_images}),
        study_(study),
        chance_(1.0 / static_cast<double>(study.network.layers.back())) {
    for (const nn::DriftCompensation how : study.compensations)
      for (const double time : study.times_s) conditions_.push_back({time, how, {"all", {}}});
    if (study.parts_time_s > 0.0)
      for (const nn::NonIdealityCase& part : nn::each_alone_and_removed())
        parts_.push_back({study.parts_time_s, study.parts_compensation, part});
    steps_ = static_cast<double>(study.seeds) *
             (2.0 + 2.0 * static_cast<double>(conditions_.size() + parts_.size()));
  }

  LifetimeOutcome run() {
    for (Index seed = 1; seed <= study_.seeds; ++seed) run_seed(seed);
    out_.made = pieces_.made;
    out_.kept = pieces_.kept;
    out_.diverged = failures_;
    return out_;
  }

 private:
  void run_seed(Index seed);
  void run_network(Index seed, const std::string& weights, const nn::Network& network);
  std::optional<nn::Network> train(Index seed, const std::string& name, const nn::Network* start,
                                   nn::TrainOptions options);
  nn::TileSystem system_of(const nn::Network& network, const nn::NonIdealities& present) const;
  StudyPieces::Numbers evaluate(Index seed, const nn::Network& network, const LifetimeCondition& condition,
                                const std::string& what);
  std::optional<LifetimePoint> point(Index seed, const std::string& weights, const nn::Network& network,
                                     const LifetimeCondition& condition);
  void take_energy(const nn::Network& network);

  const LifetimeStudy& study_;
  std::vector<LifetimeCondition> conditions_, parts_;
  double chance_ = 0.1;
  LifetimeOutcome out_;
};

std::optional<nn::Network> LifetimeRun::train(Index seed, const std::string& name, const nn::Network* start,
                                              nn::TrainOptions options) {
  options.seed = static_cast<std::uint64_t>(seed);
  auto piece = StudyRun::train(fmt::format("s{}-{}", seed, name), study_.network, start, options);
  done_ += 1.0;
  if (piece.failure.empty()) return std::move(piece.state.network);
  add_failure(name + ": " + piece.failure);
  return std::nullopt;
}

nn::TileSystem LifetimeRun::system_of(const nn::Network& network, const nn::NonIdealities& present) const {
  nn::CalibrationOptions options;
  options.threads = threads_;
  return nn::make_tile_system(network, nn::with_only(present, study_.tile), images_.calibration,
                              model_factory(study_.model), options);
}

StudyPieces::Numbers LifetimeRun::evaluate(Index seed, const nn::Network& network,
                                           const LifetimeCondition& condition, const std::string& what) {
  nn::EvaluationOptions options;
  options.seed = static_cast<std::uint64_t>(seed);
  options.threads = threads_;
  options.progress = [this, &what](double, std::string_view) {
    this->report(what);
    return true;
  };
  nn::DeviceOptions devices;
  devices.model = nn::with_only(condition.present.present, study_.device);
  devices.time_s = condition.time_s;
  devices.draws = study_.draws;
  devices.compensation = condition.compensation;
  if (condition.compensation != nn::DriftCompensation::none)
    devices.compensation_images = images_.calibration;
  options.devices = devices;
  const auto report =
      nn::evaluate_on_tiles(system_of(network, condition.present.present), images_.test, options);
  if (!report.accuracy) return {{}, report.reason};
  StudyPieces::Numbers out;
  const std::vector<double> each = report.accuracies();
  for (std::size_t d = 0; d < each.size(); ++d) out.values[fmt::format("chip_{:04}", d + 1)] = each[d];
  return out;
}

std::optional<LifetimePoint> LifetimeRun::point(Index seed, const std::string& weights,
                                                const nn::Network& network,
                                                const LifetimeCondition& condition) {
  const std::string how(data::to_name(condition.compensation));
  std::string part = condition.present.name;
  std::replace(part.begin(), part.end(), ' ', '-');
  const std::string name = fmt::format("s{}-{}-{}-{}s-{}", seed, weights, how, condition.time_s, part);
  const std::string what = condition_text(weights, condition);
  report(what);
  const auto found = pieces_.numbers(
      name, [&] { return evaluate(seed, network, condition, what); }, "chips at one time");
  done_ += 1.0;
  if (!found.failure.empty()) {
    add_failure(name + ": " + found.failure);
    return std::nullopt;
  }
  LifetimePoint out{seed, weights, how, condition.present.name, condition.time_s, {}, 0.0};
  for (const auto& value : found.values) out.accuracies.push_back(value.second);
  out.a_star =
      nn::normalised_accuracy(study_mean(out.accuracies).mean, out_.digital_accuracy.back(), chance_);
  return out;
}

void LifetimeRun::take_energy(const nn::Network& network) {
  const auto found = pieces_.numbers("energy", [&] {
    const Index count = std::min(study_.energy_images, images_.test.inputs.rows());
    const auto cost = nn::inference_cost(system_of(network, {}), images_.test.inputs.topRows(count),
                                         study_.model, {}, threads_);
    return StudyPieces::Numbers{{{"inference_joule", cost.total_joule()},
                                 {"array_joule", cost.array_joule},
                                 {"driver_joule", cost.row_driver_joule},
                                 {"conversion_joule", cost.conversion_joule},
                                 {"latency_s", cost.latency_s}},
                                {}};
  });
  out_.inference_joule = found.at("inference_joule");
  out_.array_joule = found.at("array_joule");
  out_.driver_joule = found.at("driver_joule");
  out_.conversion_joule = found.at("conversion_joule");
  out_.latency_s = found.at("latency_s");
}

void LifetimeRun::run_network(Index seed, const std::string& weights, const nn::Network& network) {
  for (const LifetimeCondition& condition : conditions_)
    if (auto found = point(seed, weights, network, condition)) out_.points.push_back(std::move(*found));
  for (const LifetimeCondition& condition : parts_)
    if (auto found = point(seed, weights, network, condition)) out_.parts.push_back(std::move(*found));
}

void LifetimeRun::run_seed(Index seed) {
  const auto digital =
      train(seed, "digital", nullptr, digital_options(study_.digital, study_.digital_clip_sigma));
  if (!digital) return;
  const auto accuracy = pieces_.numbers(fmt::format("s{}-digital-accuracy", seed),
                                        [&] { return digital_accuracy(*digital, images_.test, threads_); });
  if (!accuracy.failure.empty()) return add_failure("digital: " + accuracy.failure);
  out_.digital_accuracy.push_back(accuracy.at("accuracy"));
  if (seed == 1) take_energy(*digital);
  run_network(seed, "direct", *digital);
  nn::TrainOptions options = study_.digital;
  options.epochs = study_.hardware_aware_epochs;
  options.learning_rate = study_.hardware_aware_rate;
  options.kinds = {nn::hardware_aware_kind(study_.hardware_aware)};
  if (const auto aware = train(seed, "hardware-aware", &*digital, options))
    run_network(seed, "hardware-aware", *aware);
}

}  // namespace

LifetimeOutcome run_lifetime_study(const LifetimeStudy& study, const StudyOptions& options) {
  return LifetimeRun(study, options).run();
}

}  // namespace crosstile::validation
