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
#include "nn/bulk_random.hpp"

namespace crosstile::nn {

namespace {

constexpr Index kSlices = 4;            // of a batch, for inputs, activations and loss
constexpr std::uint32_t kShiftKey = 1;  // RandomKey::tile of the shifts; 0 is the order of the samples
constexpr std::uint32_t kSlopeKey = 2;  // RandomKey::tile of randomised slopes

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

// Checks what does not follow from the network's shape, and gives every layer a memory.
TrainState prepared(TrainState state) {
  state.memory.resize(state.network.depth());
  return state;
}

// One run of train(): buffers, layers, and the steps a batch consists of.
class Trainer {
 public:
  Trainer(const TrainState& state, const data::LabelledImages& images, const TrainOptions& options)
      : state_(prepared(state)),
        images_(images),
        options_(options),
        work_(make_workspace(state.network, options.batch)),
        layers_(make_layers(state_, options)),
        labels_(static_cast<std::size_t>(options.batch)),
        slope_key_(bulk_key({options.seed, Stream::dropout, kSlopeKey})) {
    if (state.network.hidden == Activation::randomised_relu) slopes_ = work_.delta;
  }

  const TrainState& state() const { return state_; }
  const std::string& reason() const { return reason_; }

  bool run_epoch(const Progress& progress);

 private:
  void load(Index row, Index sample);
  void activate(const Pass& pass, std::size_t layer, Index samples);
  void draw_slopes(const Pass& pass, std::size_t layer, Index row);
  LossSum forward_and_loss(const Pass& pass, Index first, Index samples);
  void backward_and_update(const Pass& pass, Index samples);
  bool diverged(double mean_loss, Index step);

  TrainState state_;
  const data::LabelledImages& images_;
  const TrainOptions& options_;
  Workspace work_;
  std::vector<std::unique_ptr<Layer>> layers_;
  std::vector<MatrixF> slopes_;  // randomised_relu: of the hidden layers, as work_.delta
  std::vector<std::uint8_t> labels_;
  std::vector<Index> order_;
  BulkKey slope_key_;
  std::string reason_;
};

template <typename Body>
void for_slices(Index samples, int threads, const Body& body) {
  parallel_for(kSlices, threads, [&](Index slice, int) {
    const Index begin = slice * samples / kSlices;
    const Rows rows{begin, (slice + 1) * samples / kSlices - begin};
    if (rows.count > 0) body(slice, rows);
  });
}

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

void Trainer::draw_slopes(const Pass& pass, std::size_t layer, Index row) {
  const Index width = work_.delta[layer].cols();
  std::vector<float> uniform(static_cast<std::size_t>(bulk_groups(width) * kBulkGroup));
  bulk_uniforms(slope_key_, {pass.step, static_cast<std::uint32_t>(row), static_cast<std::uint32_t>(layer)},
                0, bulk_groups(width), uniform.data());
  constexpr auto kLow = static_cast<float>(kRandomisedSlopeLow);
  constexpr auto kRange = static_cast<float>(kRandomisedSlopeHigh - kRandomisedSlopeLow);
  const Eigen::Map<const RowVector<float>> drawn(uniform.data(), width);
  const auto y = work_.activation[layer + 1].row(row).array();
  slopes_[layer].row(row) =
      (y < 0.0F).select(kLow + kRange * drawn.array(), RowVector<float>::Ones(width).array());
}

void Trainer::activate(const Pass& pass, std::size_t layer, Index samples) {
  const Activation kind = state_.network.hidden;
  for_slices(samples, pass.threads, [&](Index, Rows rows) {
    auto y = work_.activation[layer + 1].middleRows(rows.begin, rows.count);
    if (kind != Activation::randomised_relu) return apply_activation<float>(kind, y);
    for (Index r = rows.begin; r < rows.begin + rows.count; ++r) draw_slopes(pass, layer, r);
    y.array() *= slopes_[layer].middleRows(rows.begin, rows.count).array();
  });
}

LossSum Trainer::forward_and_loss(const Pass& pass, Index first, Index samples) {
  for_slices(samples, pass.threads, [&](Index, Rows rows) {
    for (Index r = rows.begin; r < rows.begin + rows.count; ++r)
      load(r, order_[static_cast<std::size_t>(first + r)]);
  });
  for (std::size_t l = 0; l < layers_.size(); ++l) {
    layers_[l]->forward(pass, work_.activation[l].topRows(samples), work_.activation[l + 1].topRows(samples));
    if (l + 1 < layers_.size()) activate(pass, l, samples);
  }
  std::array<LossSum, kSlices> sums{};
  const std::span<const std::uint8_t> labels(labels_);
  for_slices(samples, pass.threads, [&](Index slice, Rows rows) {
    sums[static_cast<std::size_t>(slice)] = options_.loss == Loss::cross_entropy
                                                ? softmax_cross_entropy(work_, labels, rows)
                                                : squared_error(work_, labels, rows);
  });
  LossSum total;
  for (const LossSum& sum : sums) {
    total.loss += sum.loss;
    total.correct += sum.correct;
  }
  return total;
}

void Trainer::backward_and_update(const Pass& pass, Index samples) {
  work_.delta.back().topRows(samples) *= 1.0F / static_cast<float>(samples);
  for (std::size_t l = layers_.size() - 1; l > 0; --l) {
    layers_[l]->backward(pass, work_.activation[l].topRows(samples), work_.delta[l].topRows(samples),
                         work_.delta[l - 1].topRows(samples));
    for_slices(samples, pass.threads, [&](Index, Rows rows) {
      auto delta = work_.delta[l - 1].middleRows(rows.begin, rows.count);
      if (state_.network.hidden == Activation::randomised_relu)
        delta.array() *= slopes_[l - 1].middleRows(rows.begin, rows.count).array();
      else
        apply_activation_slope<float>(state_.network.hidden,
                                      work_.activation[l].middleRows(rows.begin, rows.count), delta);
    });
  }
  for (std::size_t l = 0; l < layers_.size(); ++l)
    layers_[l]->update(pass, work_.activation[l].topRows(samples), work_.delta[l].topRows(samples));
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
    const Pass pass{Pass::Purpose::training, static_cast<std::uint64_t>(state_.epochs_done * steps + step),
                    done, learning_rate_at(options_, done), options_.threads};
    const LossSum sum = forward_and_loss(pass, first, samples);
    if (diverged(sum.loss / static_cast<double>(samples), step)) return false;
    backward_and_update(pass, samples);
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

std::vector<std::unique_ptr<Layer>> make_layers(TrainState& state, const TrainOptions& options) {
  std::vector<std::unique_ptr<Layer>> layers;
  state.memory.resize(state.network.depth());
  for (std::size_t l = 0; l < state.network.depth(); ++l)
    layers.push_back(kind_of(options, l, state.network.depth())
                         .make({l, state.network.layers[l], state.velocity.layers[l], state.memory[l],
                                options, options.seed}));
  return layers;
}

const LayerKind& kind_of(const TrainOptions& options, std::size_t layer, std::size_t depth) {
  static const LayerKindPtr digital = digital_kind();
  const auto& kinds = options.kinds;
  if (kinds.size() > 1 && kinds.size() != depth)
    throw_out_of_range(
        "kinds (count)", static_cast<double>(kinds.size()),
        "allowed: 0 (all digital), 1 (all alike) or one a layer, here " + std::to_string(depth));
  if (kinds.empty()) return *digital;
  const LayerKindPtr& kind = kinds.size() == 1 ? kinds.front() : kinds[layer];
  return kind ? *kind : *digital;
}

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
  require_in_range("adam_beta1", adam_beta1, 0.0, 0.999999);
  require_in_range("adam_beta2", adam_beta2, 0.0, 0.999999);
  require_in_range("adam_epsilon", adam_epsilon, 1e-30, 1.0);
}

std::string TrainOptions::settings() const {
  std::ostringstream text;
  text.precision(17);
  text << "epochs = " << epochs << "\nbatch = " << batch << "\nlearning_rate = " << learning_rate
       << "\nmomentum = " << momentum << "\nweight_decay = " << weight_decay
       << "\nschedule = " << data::to_name(schedule) << "\nstep_epochs = " << step_epochs
       << "\nstep_factor = " << step_factor << "\nmax_shift_pixels = " << max_shift_pixels
       << "\ndivergence_loss = " << divergence_loss << "\nseed = " << seed
       << "\nloss = " << data::to_name(loss) << "\noptimiser = " << data::to_name(optimiser) << "\n";
  if (optimiser == Optimiser::adam)
    text << "adam_beta1 = " << adam_beta1 << "\nadam_beta2 = " << adam_beta2
         << "\nadam_epsilon = " << adam_epsilon << "\n";
  for (std::size_t l = 0; l < kinds.size(); ++l) {
    std::istringstream lines((kinds[l] ? kinds[l] : digital_kind())->settings());
    for (std::string line; std::getline(lines, line);) text << "layer[" << l << "]." << line << "\n";
  }
  return text.str();
}

double learning_rate_at(const TrainOptions& options, double epochs_done) {
  switch (options.schedule) {
    case Schedule::constant:
      return options.learning_rate;
    case Schedule::step:
      return options.learning_rate *
             std::pow(options.step_factor,
                      std::floor(epochs_done / static_cast<double>(options.step_epochs)));
    case Schedule::cosine:
      break;
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
