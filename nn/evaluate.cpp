#include "nn/evaluate.hpp"

#include <chrono>
#include <cmath>
#include <mutex>

#include "core/error.hpp"
#include "core/parallel.hpp"
#include "nn/compensation.hpp"
#include "nn/train.hpp"

namespace crosstile::nn {

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

struct BatchScore {
  Index correct = 0;
  Index not_finite = 0;
};

template <typename Scalar>
BatchScore score(const RowMatrix<Scalar>& logits, const data::LabelledImages& images, Index first) {
  BatchScore out;
  const std::vector<Index> classes = classify<Scalar>(logits);
  for (std::size_t r = 0; r < classes.size(); ++r) {
    out.not_finite += classes[r] < 0 ? 1 : 0;
    out.correct += classes[r] == images.labels[static_cast<std::size_t>(first) + r] ? 1 : 0;
  }
  return out;
}

// Scores all images in batches: score_batch(first, count, worker), in any order.
template <typename ScoreBatch>
BatchScore score_all(Index images, const EvaluationOptions& options, const ScoreBatch& score_batch) {
  const Index batches = (images + options.batch - 1) / options.batch;
  std::vector<BatchScore> scores(static_cast<std::size_t>(batches));
  parallel_for(batches, options.threads, [&](Index b, int worker) {
    const Index first = b * options.batch;
    scores[static_cast<std::size_t>(b)] = score_batch(first, std::min(options.batch, images - first), worker);
  });
  BatchScore total;
  for (const BatchScore& one : scores) {
    total.correct += one.correct;
    total.not_finite += one.not_finite;
  }
  return total;
}

// Progress over draws and batches, from any worker.
class Steps {
 public:
  Steps(const Progress& progress, Index count, const char* what)
      : progress_(progress), count_(count), what_(what) {}
  void step() {
    const std::lock_guard lock(mutex_);
    report_progress(progress_, static_cast<double>(++done_) / static_cast<double>(count_), what_);
  }

 private:
  const Progress& progress_;
  Index count_;
  Index done_ = 0;
  const char* what_;
  std::mutex mutex_;
};

void set_diverged(EvaluationReport& report, const BatchScore& total, const std::string& where) {
  report.status = EvaluationStatus::diverged;
  report.reason = std::to_string(total.not_finite) + " of " + std::to_string(report.images) +
                  " images have outputs that are not finite" + where;
}

void summarise(EvaluationReport& report) {
  if (report.status == EvaluationStatus::diverged) return;
  const auto draws = static_cast<double>(report.correct.size());
  const std::vector<double> each = report.accuracies();
  double mean = 0.0;
  for (const double a : each) mean += a / draws;
  report.accuracy = mean;
  report.image_error = std::sqrt(mean * (1.0 - mean) / static_cast<double>(report.images));
  double error = *report.image_error;
  if (each.size() > 1) {
    double squares = 0.0;
    for (const double a : each) squares += (a - mean) * (a - mean);
    report.draw_error = std::sqrt(squares / (draws - 1.0) / draws);
    error = std::hypot(error, *report.draw_error);
  }
  report.standard_error = error;
}

constexpr Index kLayerBatch = 250;  // noise depends on it, so it is fixed

BatchScore score_layers(const std::vector<std::unique_ptr<Layer>>& layers, const Pass& pass, Activation hidden,
                        const data::LabelledImages& images, Workspace& work) {
  const Index batches = (images.inputs.rows() + kLayerBatch - 1) / kLayerBatch;
  const Index first = static_cast<Index>(pass.step) % batches * kLayerBatch;
  const Index count = std::min(work.capacity(), images.inputs.rows() - first);
  work.activation.front().topRows(count) = images.inputs.middleRows(first, count);
  for (std::size_t l = 0; l < layers.size(); ++l) {
    layers[l]->forward(pass, work.activation[l].topRows(count), work.activation[l + 1].topRows(count));
    if (l + 1 < layers.size()) apply_activation<float>(hidden, work.activation[l + 1].topRows(count));
  }
  return score<float>(work.activation.back().topRows(count), images, first);
}

class TileEvaluation {
 public:
  TileEvaluation(const TileSystem& system, const data::LabelledImages& images,
                 const EvaluationOptions& options)
      : system_(system),
        images_(images),
        options_(options),
        work_(static_cast<std::size_t>(options.threads > 0 ? options.threads : default_threads())),
        logits_(work_.size()) {}

  /// One draw of the arrays; false when it diverged.
  bool run(const TileSystem& system, const MappedNetwork& arrays, Index draw, Steps& steps,
           EvaluationReport& report);
  /// A chip: programmed, drifted, read, and compensated for it.
  bool run_chip(Index draw, Steps& steps, EvaluationReport& report);
  void count_clipped(EvaluationReport& report) const;

 private:
  const TileSystem& system_;
  const data::LabelledImages& images_;
  const EvaluationOptions& options_;
  std::vector<TileWorkspace> work_;  // one a worker
  std::vector<Matrix> logits_;
};

bool TileEvaluation::run_chip(Index draw, Steps& steps, EvaluationReport& report) {
  const DeviceOptions& devices = *options_.devices;
  const MappedNetwork now = draw_arrays(system_.arrays, devices, options_.seed, draw);
  if (devices.compensation == DriftCompensation::none) return run(system_, now, draw, steps, report);
  DeviceOptions at_first = devices;
  at_first.time_s = 0.0;
  const MappedNetwork before = draw_arrays(system_.arrays, at_first, options_.seed, draw);
  return run(compensated(system_, before, now, devices.compensation_images, devices.compensation,
                         options_.seed, options_.threads),
             now, draw, steps, report);
}

bool TileEvaluation::run(const TileSystem& system, const MappedNetwork& arrays, Index draw, Steps& steps,
                         EvaluationReport& report) {
  const TiledNetwork tiled(system, arrays, options_.seed, options_.threads);
  const BatchScore total = score_all(report.images, options_, [&](Index first, Index count, int worker) {
    TileWorkspace& work = work_[static_cast<std::size_t>(worker)];
    Matrix& logits = logits_[static_cast<std::size_t>(worker)];
    tiled.logits(images_.inputs.middleRows(first, count), work, logits);
    steps.step();
    return score<double>(logits, images_, first);
  });
  report.correct.push_back(total.correct);
  if (total.not_finite == 0) return true;
  set_diverged(report, total, " in draw " + std::to_string(draw + 1));
  return false;
}

void TileEvaluation::count_clipped(EvaluationReport& report) const {
  const auto share = [&](std::vector<Index> TileWorkspace::*part, std::vector<Index> TileWorkspace::*whole,
                         std::size_t l) {
    Index parts = 0, all = 0;
    for (const TileWorkspace& work : work_) {
      if ((work.*whole).size() <= l) continue;
      parts += (work.*part)[l];
      all += (work.*whole)[l];
    }
    return all > 0 ? static_cast<double>(parts) / static_cast<double>(all) : 0.0;
  };
  for (std::size_t l = 0; l < system_.arrays.layers.size(); ++l) {
    report.clipped_inputs.push_back(share(&TileWorkspace::clipped_inputs, &TileWorkspace::inputs, l));
    report.clipped_charges.push_back(share(&TileWorkspace::clipped_charges, &TileWorkspace::charges, l));
  }
}

}  // namespace

void EvaluationOptions::validate() const {
  require_in_range("batch", static_cast<double>(batch), 1, 1e6);
  require_in_range("threads", threads, 0, 4096);
  require_in_range("noise_draws", static_cast<double>(noise_draws), 1, 1e5);
  if (!devices) return;
  devices->model.validate();
  require_in_range("devices.time_s", devices->time_s, 0.0, 1e12);
  require_in_range("devices.draws", static_cast<double>(devices->draws), 1, 1e5);
}

std::vector<double> EvaluationReport::accuracies() const {
  std::vector<double> out;
  for (const Index count : correct) out.push_back(static_cast<double>(count) / static_cast<double>(images));
  return out;
}

EvaluationReport evaluate_digital(const Network& network, const data::LabelledImages& images,
                                  const EvaluationOptions& options) {
  options.validate();
  check_shapes(network);
  check_images(network, images);
  const auto begin = Clock::now();
  EvaluationReport report;
  report.images = images.inputs.rows();
  const BatchScore total = score_all(report.images, options, [&](Index first, Index count, int) {
    Workspace work = make_workspace(network, count);
    work.activation.front() = images.inputs.middleRows(first, count);
    forward(network, work, {0, count});
    return score<float>(work.activation.back(), images, first);
  });
  report.correct.push_back(total.correct);
  if (total.not_finite > 0) set_diverged(report, total, "");
  summarise(report);
  report.seconds = seconds_since(begin);
  return report;
}

EvaluationReport evaluate_layers(const TrainState& state, const TrainOptions& training,
                                 const data::LabelledImages& images, const EvaluationOptions& options) {
  options.validate();
  check_images(state.network, images);
  const auto begin = Clock::now();
  TrainState copy = state;
  const auto layers = make_layers(copy, training);
  EvaluationReport report;
  report.images = images.inputs.rows();
  const Index batches = (report.images + kLayerBatch - 1) / kLayerBatch;
  Workspace work = make_workspace(state.network, std::min(kLayerBatch, report.images));
  Steps steps(options.progress, batches * options.noise_draws, "evaluation");
  Pass pass{Pass::Purpose::evaluation, 0, static_cast<double>(state.epochs_done), 0.0, options.threads};
  for (Index draw = 0; draw < options.noise_draws && report.status == EvaluationStatus::ok; ++draw) {
    BatchScore total;
    for (Index b = 0; b < batches; ++b, ++pass.step) {
      const BatchScore one = score_layers(layers, pass, state.network.hidden, images, work);
      total.correct += one.correct;
      total.not_finite += one.not_finite;
      steps.step();
    }
    report.correct.push_back(total.correct);
    if (total.not_finite > 0) set_diverged(report, total, " in draw " + std::to_string(draw + 1));
  }
  summarise(report);
  report.seconds = seconds_since(begin);
  return report;
}

EvaluationReport evaluate_on_tiles(const TileSystem& system, const data::LabelledImages& images,
                                   const EvaluationOptions& options) {
  options.validate();
  check_images(system.network, images);
  const auto begin = Clock::now();
  const Index draws = options.devices ? options.devices->draws : 1;
  EvaluationReport report;
  report.images = images.inputs.rows();
  TileEvaluation evaluation(system, images, options);
  Steps steps(options.progress, draws * ((report.images + options.batch - 1) / options.batch),
              "evaluation on tiles");
  for (Index draw = 0; draw < draws; ++draw) {
    const bool finite = options.devices
                            ? evaluation.run_chip(draw, steps, report)
                            : evaluation.run(system, system.arrays, draw, steps, report);
    if (!finite) break;
  }
  evaluation.count_clipped(report);
  summarise(report);
  report.seconds = seconds_since(begin);
  return report;
}

}  // namespace crosstile::nn
