#include "nn/train.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <limits>
#include <numbers>
#include <sstream>

#include "core/error.hpp"
#include "core/parallel.hpp"
#include "core/random.hpp"

namespace crosstile::nn {

namespace {

constexpr Index kSlices = 4;             // of a batch, for the passes
constexpr Index kBlockWeights = 1 << 16;  // about this many weights per block, for gradients and updates
constexpr std::uint32_t kShiftKey = 1;    // RandomKey::tile of the shifts; 0 is the order of the samples

struct Block {
  std::size_t layer;
  Rows lines;
};

std::vector<Block> blocks_of(const Network& network) {
  std::vector<Block> blocks;
  for (std::size_t l = 0; l < network.depth(); ++l) {
    const Index inputs = network.layers[l].weights.rows();
    const Index lines = std::max<Index>(1, kBlockWeights / network.layers[l].weights.cols());
    for (Index begin = 0; begin < inputs; begin += lines)
      blocks.push_back({l, {begin, std::min(lines, inputs - begin)}});
  }
  return blocks;
}

Network zeros_like(const Network& network) {
  Network zeros = network;
  for (auto& layer : zeros.layers) {
    layer.weights.setZero();
    layer.bias.setZero();
  }
  return zeros;
}

void check_state(const TrainState& state, const TrainOptions& options) {
  check_shapes(state.network);
  check_shapes(state.velocity);
  if (spec_of(state.velocity).layers != spec_of(state.network).layers)
    throw Error(ErrorKind::usage, "velocity and network of the training to be continued differ in shape");
  if (state.settings == options.settings()) return;
  std::istringstream was(state.settings), is(options.settings());
  std::string old_line, new_line;
  while (std::getline(is, new_line)) {
    std::getline(was, old_line);
    if (old_line != new_line)
      throw Error(ErrorKind::usage,
                  "the training to be continued was started with " + old_line + ", not with " + new_line);
  }
  throw Error(ErrorKind::usage, "the training to be continued was started with other settings");
}

// One run of train(): buffers, and the two parallel phases a batch consists of.
class Trainer {
 public:
  Trainer(const TrainState& state, const data::LabelledImages& images, const TrainOptions& options)
      : state_(state),
        images_(images),
        options_(options),
        work_(make_workspace(state.network, options.batch)),
        gradient_(zeros_like(state.network)),
        blocks_(blocks_of(state.network)),
        labels_(static_cast<std::size_t>(options.batch)) {}

  const TrainState& state() const { return state_; }
  const std::string& reason() const { return reason_; }

  bool run_epoch(const Progress& progress);

 private:
  void load(Index row, Index sample);
  LossSum pass(Index first, Index samples);
  void update(Index samples, double learning_rate);
  void update_block(const Block& block, Index samples, float learning_rate);
  bool diverged(double mean_loss, Index step);

  TrainState state_;
  const data::LabelledImages& images_;
  const TrainOptions& options_;
  Workspace work_;
  Network gradient_;
  std::vector<Block> blocks_;
  std::vector<std::uint8_t> labels_;
  std::vector<Index> order_;
  std::string reason_;
};

void Trainer::load(Index row, Index sample) {
  labels_[static_cast<std::size_t>(row)] = images_.labels[static_cast<std::size_t>(sample)];
  const float* from = images_.inputs.row(sample).data();
  float* to = work_.activation.front().row(row).data();
  if (options_.max_shift_pixels == 0) {
    std::copy_n(from, images_.inputs.cols(), to);
    return;
  }
  const auto u =
      random_uniform4({options_.seed, Stream::shuffle, kShiftKey}, static_cast<std::uint64_t>(sample), 0,
                      static_cast<std::uint64_t>(state_.epochs_done));
  const int most = options_.max_shift_pixels;
  const auto shift = [most](double uniform) { return static_cast<Index>(uniform * (2 * most + 1)) - most; };
  shift_image(from, images_.height, images_.width, shift(u[0]), shift(u[1]), to);
}

// Phase one, over slices of the batch: inputs, forward, loss, backward.
LossSum Trainer::pass(Index first, Index samples) {
  std::array<LossSum, kSlices> sums{};
  parallel_for(kSlices, options_.threads, [&](Index slice, int) {
    const Index begin = slice * samples / kSlices;
    const Rows rows{begin, (slice + 1) * samples / kSlices - begin};
    if (rows.count == 0) return;
    for (Index r = begin; r < begin + rows.count; ++r) load(r, order_[static_cast<std::size_t>(first + r)]);
    forward(state_.network, work_, rows);
    sums[static_cast<std::size_t>(slice)] =
        softmax_cross_entropy(work_, std::span<const std::uint8_t>(labels_), rows);
    backward(state_.network, work_, rows);
  });
  LossSum total;
  for (const LossSum& sum : sums) {
    total.loss += sum.loss;
    total.correct += sum.correct;
  }
  return total;
}

// Phase two, over blocks of the weights: gradient of the whole batch, momentum, step.
void Trainer::update(Index samples, double learning_rate) {
  parallel_for(static_cast<Index>(blocks_.size()), options_.threads, [&](Index b, int) {
    update_block(blocks_[static_cast<std::size_t>(b)], samples, static_cast<float>(learning_rate));
  });
}

void Trainer::update_block(const Block& block, Index samples, float learning_rate) {
  const auto momentum = static_cast<float>(options_.momentum);
  const auto decay = static_cast<float>(options_.weight_decay);
  auto& layer = state_.network.layers[block.layer];
  auto& velocity = state_.velocity.layers[block.layer];
  auto& gradient = gradient_.layers[block.layer];
  weight_gradient(work_, block.layer, samples, block.lines, gradient.weights);
  auto w = layer.weights.middleRows(block.lines.begin, block.lines.count);
  auto v = velocity.weights.middleRows(block.lines.begin, block.lines.count);
  v = momentum * v + gradient.weights.middleRows(block.lines.begin, block.lines.count) + decay * w;
  w -= learning_rate * v;
  if (block.lines.begin > 0) return;
  bias_gradient(work_, block.layer, samples, gradient.bias);
  velocity.bias = momentum * velocity.bias + gradient.bias;
  layer.bias -= learning_rate * velocity.bias;
}

bool Trainer::diverged(double mean_loss, Index step) {
  if (std::isfinite(mean_loss) && mean_loss <= options_.divergence_loss) return false;
  std::ostringstream text;
  text << "mean loss of batch " << step + 1 << " in epoch " << state_.epochs_done + 1 << " is " << mean_loss
       << " (limit " << options_.divergence_loss << ")";
  reason_ = text.str();
  return true;
}

bool Trainer::run_epoch(const Progress& progress) {
  const Index count = images_.inputs.rows();
  const Index steps = (count + options_.batch - 1) / options_.batch;
  const auto epoch = static_cast<double>(state_.epochs_done);
  const std::string what =
      "training, epoch " + std::to_string(state_.epochs_done + 1) + " of " + std::to_string(options_.epochs);
  order_ = random_permutation({options_.seed, Stream::shuffle, 0}, count,
                              static_cast<std::uint64_t>(state_.epochs_done));
  LossSum total;
  for (Index step = 0; step < steps; ++step) {
    const double done = epoch + static_cast<double>(step) / static_cast<double>(steps);
    report_progress(progress, done / static_cast<double>(options_.epochs), what);
    const Index first = step * options_.batch;
    const Index samples = std::min(options_.batch, count - first);
    const LossSum sum = pass(first, samples);
    if (diverged(sum.loss / static_cast<double>(samples), step)) return false;
    update(samples, learning_rate_at(options_, done));
    total.loss += sum.loss;
    total.correct += sum.correct;
  }
  if (!state_.network.all_finite()) {
    reason_ = "weights are not finite after epoch " + std::to_string(state_.epochs_done + 1);
    return false;
  }
  state_.epochs_done += 1;
  state_.history.push_back({total.loss / static_cast<double>(count),
                            static_cast<double>(total.correct) / static_cast<double>(count),
                            learning_rate_at(options_, static_cast<double>(state_.epochs_done))});
  return true;
}

}  // namespace

void TrainOptions::validate() const {
  const double huge = std::numeric_limits<float>::max();
  require_in_range("epochs", static_cast<double>(epochs), 1, 1e6);
  require_in_range("batch", static_cast<double>(batch), 1, 1e6);
  require_in_range("learning_rate", learning_rate, 0.0, huge);
  require_in_range("momentum", momentum, 0.0, 0.9999);
  require_in_range("weight_decay", weight_decay, 0.0, 1e3);
  require_in_range("step_epochs", static_cast<double>(step_epochs), 1, 1e6);
  require_in_range("step_factor", step_factor, 1e-6, 1.0);
  require_in_range("max_shift_pixels", max_shift_pixels, 0, 8);
  require_in_range("divergence_loss", divergence_loss, std::numeric_limits<double>::min(), huge);
  require_in_range("threads", threads, 0, 4096);
}

std::string TrainOptions::settings() const {
  std::ostringstream text;
  text.precision(17);
  text << "epochs = " << epochs << "\nbatch = " << batch << "\nlearning_rate = " << learning_rate
       << "\nmomentum = " << momentum << "\nweight_decay = " << weight_decay
       << "\nschedule = " << data::to_name(schedule) << "\nstep_epochs = " << step_epochs
       << "\nstep_factor = " << step_factor << "\nmax_shift_pixels = " << max_shift_pixels
       << "\ndivergence_loss = " << divergence_loss << "\nseed = " << seed << "\n";
  return text.str();
}

double learning_rate_at(const TrainOptions& options, double epochs_done) {
  switch (options.schedule) {
    case Schedule::constant: return options.learning_rate;
    case Schedule::step:
      return options.learning_rate *
             std::pow(options.step_factor,
                      std::floor(epochs_done / static_cast<double>(options.step_epochs)));
    case Schedule::cosine: break;
  }
  const double share = std::min(1.0, epochs_done / static_cast<double>(options.epochs));
  return 0.5 * options.learning_rate * (1.0 + std::cos(std::numbers::pi * share));
}

TrainState start_training(const NetworkSpec& spec, const TrainOptions& options) {
  options.validate();
  TrainState state;
  state.network = make_network<float>(spec, options.seed);
  state.velocity = zeros_like(state.network);
  state.settings = options.settings();
  return state;
}

void check_images(const Network& network, const data::LabelledImages& images) {
  if (images.inputs.rows() == 0) throw_out_of_range("images (count)", 0, "allowed: at least 1");
  if (images.inputs.rows() != static_cast<Index>(images.labels.size()))
    throw_out_of_range("labels (count)", static_cast<double>(images.labels.size()),
                       "it must equal the images, " + std::to_string(images.inputs.rows()));
  if (images.inputs.cols() != network.inputs())
    throw_out_of_range("images (pixels)", static_cast<double>(images.inputs.cols()),
                       "it must equal layers[0] of the network, " + std::to_string(network.inputs()));
  const Index highest = *std::max_element(images.labels.begin(), images.labels.end());
  if (highest >= network.outputs())
    throw_out_of_range(
        "label", static_cast<double>(highest),
        "allowed: 0 to " + std::to_string(network.outputs() - 1) + " (the outputs of the network)");
}

TrainReport train(TrainState& state, const data::LabelledImages& images, const TrainOptions& options,
                  const TrainHooks& hooks) {
  options.validate();
  check_state(state, options);
  check_images(state.network, images);
  if (options.max_shift_pixels > 0 && images.height * images.width != images.inputs.cols())
    throw_out_of_range("max_shift_pixels", options.max_shift_pixels,
                       "allowed: 0 for inputs that are not images");
  const auto begin = std::chrono::steady_clock::now();
  Trainer trainer(state, images, options);
  TrainReport report;
  while (state.epochs_done < options.epochs) {
    if (!trainer.run_epoch(hooks.progress)) {
      report.status = TrainStatus::diverged;
      report.reason = trainer.reason();
      break;
    }
    state = trainer.state();
    if (hooks.after_epoch) hooks.after_epoch(state);
  }
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return report;
}

void shift_image(const float* from, Index height, Index width, Index down, Index right, float* to) {
  for (Index y = 0; y < height; ++y) {
    const Index source_y = y - down;
    float* line = to + y * width;
    std::fill_n(line, width, 0.0F);
    if (source_y < 0 || source_y >= height) continue;
    const Index x_begin = std::clamp<Index>(right, 0, width);
    const Index x_end = std::clamp<Index>(width + right, 0, width);
    if (x_end > x_begin)
      std::copy_n(from + source_y * width + x_begin - right, x_end - x_begin, line + x_begin);
  }
}

}  // namespace crosstile::nn
