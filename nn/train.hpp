// Training: batches, loss, schedules and checkpoints over layers that each know how to pass and how to
// update themselves (nn/layer.hpp). Results are the same bits for any number of threads and after a resume:
// sums run in the order of their index, every weight belongs to one block, and every random number is a
// function of (seed, step, place).
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "core/progress.hpp"
#include "data/idx.hpp"
#include "nn/layer.hpp"
#include "nn/mlp.hpp"

namespace crosstile::nn {

enum class Schedule {
  constant,  ///< learning_rate throughout
  step,      ///< learning_rate * step_factor^floor(epoch / step_epochs)
  /// learning_rate (1 + cos(pi e / epochs)) / 2, e = epochs done, continuous [Loshchilov and Hutter, ICLR 2017]
  cosine
};

enum class Optimiser {
  sgd,  ///< v = momentum v + gradient; w -= learning rate * v
  /// Adam [Kingma and Ba, ICLR 2015] with both biases corrected; momentum is not used
  adam
};

struct TrainOptions {
  Index epochs = 20;
  Index batch = 128;           ///< samples per step; the last batch of an epoch may be smaller
  double learning_rate = 0.1;  ///< of the mean gradient of a batch
  double momentum = 0.9;       ///< v = momentum v + gradient; w -= learning rate * v
  double weight_decay = 1e-4;  ///< gradient += weight_decay * w, weights only
  Schedule schedule = Schedule::cosine;
  Index step_epochs = 10;
  double step_factor = 0.5;
  int max_shift_pixels = 1;    ///< every epoch moves every image by -s..s pixels both ways; 0: not at all
  double divergence_loss = 100.0;  ///< a batch with a larger mean loss ends the training as diverged
  std::uint64_t seed = 1;          ///< initial weights, order of samples, shifts
  int threads = 0;                 ///< 0: the number of processors; no influence on the result
  Loss loss = Loss::cross_entropy;
  Optimiser optimiser = Optimiser::sgd;
  double adam_beta1 = 0.9;      ///< share of the mean gradient that is kept from step to step
  double adam_beta2 = 0.999;    ///< the same of the mean squared gradient
  double adam_epsilon = 1e-8;   ///< added to the root of the mean squared gradient
  /// What the layers are made of: none (all digital), one (all alike), or one a layer.
  std::vector<LayerKindPtr> kinds;

  /// Errors: usage naming the field, its value and the allowed range.
  void validate() const;
  /// Every field that influences the result, one "name = value" a line.
  std::string settings() const;
};

/// Learning rate after `epochs_done` epochs (a fraction inside an epoch).
double learning_rate_at(const TrainOptions& options, double epochs_done);

/// One finished epoch.
struct EpochReport {
  double loss = 0.0;           ///< mean over the samples as they were trained on
  double accuracy = 0.0;       ///< share of these samples classified correctly before their update
  double learning_rate = 0.0;  ///< at the end of the epoch
};

/// A training at the end of an epoch: all that is needed to go on with it. The random numbers' position is
/// epochs_done.
struct TrainState {
  Network network;
  Network velocity;  ///< momentum (sgd) or mean gradient (adam), same shapes; zero where momentum is 0
  std::vector<LayerMemory> memory;   ///< one a layer (none before the first step): what else its kind keeps
  Index epochs_done = 0;
  std::string settings;              ///< TrainOptions::settings() of the run this belongs to
  std::vector<EpochReport> history;  ///< epochs_done entries
};
TrainState start_training(const NetworkSpec& spec, const TrainOptions& options);

enum class TrainStatus {
  finished,
  /// A loss or weight is not finite, or the loss exceeds divergence_loss; the state stays at the epoch before.
  diverged
};

struct TrainReport {
  TrainStatus status = TrainStatus::finished;
  std::string reason;    ///< what was seen where, when diverged
  double seconds = 0.0;  ///< wall time of this call
};

struct TrainHooks {
  std::function<void(const TrainState&)> after_epoch;  ///< write a checkpoint here
  Progress progress;
};

/// Trains from state.epochs_done to options.epochs. `state` always is at the end of an epoch, also when an
/// exception ends the call. Errors: usage (options; data that do not fit the network; a state of a run with
/// other settings); interrupted by the callback.
TrainReport train(TrainState& state, const data::LabelledImages& images, const TrainOptions& options,
                  const TrainHooks& hooks = {});

/// The kind of a layer. Errors: usage when options.kinds fits no network of `depth` layers.
const LayerKind& kind_of(const TrainOptions& options, std::size_t layer, std::size_t depth);

/// The layers at work on a state (which they refer to; it must not move). Errors: usage of a kind.
std::vector<std::unique_ptr<Layer>> make_layers(TrainState& state, const TrainOptions& options);

/// Throws a usage Error unless there are images, one label for each, pixels as the network's inputs and
/// labels below its outputs.
void check_images(const Network& network, const data::LabelledImages& images);

/// One image (height x width) moved by (down, right) pixels; what moves in is 0.
void shift_image(const float* from, Index height, Index width, Index down, Index right, float* to);

}  // namespace crosstile::nn

template <>
struct crosstile::data::EnumNames<crosstile::nn::Optimiser> {
  using Optimiser = crosstile::nn::Optimiser;
  static constexpr std::array<EnumName<Optimiser>, 2> value{
      {{Optimiser::sgd, "sgd"}, {Optimiser::adam, "adam"}}};
};
template <>
struct crosstile::data::EnumNames<crosstile::nn::Schedule> {
  using Schedule = crosstile::nn::Schedule;
  static constexpr std::array<EnumName<Schedule>, 3> value{
      {{Schedule::constant, "constant"}, {Schedule::step, "step"}, {Schedule::cosine, "cosine"}}};
};
