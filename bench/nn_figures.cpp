// Figures of training: scripts/bench.sh nn
//
// An epoch is 60 000 MNIST images, 784-256-10, batch 64, rate 0.01 without momentum, one thread, processor seconds, best of three;
// PyTorch's epoch (bench/pytorch_epoch.py, Debian's python3-torch) is timed in the same run, and the rows that need it are skipped
// where it is not installed. MNIST is read from data/mnist.
#include <fmt/format.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <memory>

#include "bench/figure_table.hpp"
#include "bench/openblas.hpp"
#include "nn/nn.hpp"
#include "nn/tile_layer.hpp"

namespace crosstile::bench {

namespace {

const std::string kMnist = std::string(CROSSTILE_SOURCE_DIR) + "/data/mnist/";
constexpr int kRounds = 3;
// Issue of the figures: pulsed at most 1.3 s where PyTorch's digital epoch takes 0.8 s.
constexpr double kPulsedGoal = 1.3 / 0.8;

struct Mnist {
  data::LabelledImages train = data::read_labelled_images(kMnist + "train-images-idx3-ubyte.gz", kMnist + "train-labels-idx1-ubyte.gz");
  data::LabelledImages test = data::read_labelled_images(kMnist + "t10k-images-idx3-ubyte.gz", kMnist + "t10k-labels-idx1-ubyte.gz");
};

nn::TrainOptions published_options(Index epochs) {
  nn::TrainOptions options;
  options.epochs = epochs;
  options.batch = 64;
  options.learning_rate = 0.01;
  options.momentum = options.weight_decay = 0.0;
  options.schedule = nn::Schedule::constant;
  options.max_shift_pixels = 0;
  options.threads = 1;
  return options;
}

nn::LayerKindPtr pulsed(double forward_noise, double backward_noise, int desired_pulses) {
  nn::AnalogSettings settings;
  settings.forward.output_noise = forward_noise;
  settings.backward.output_noise = backward_noise;
  settings.pulses.desired_pulses = desired_pulses;
  return nn::analog_kind(settings);
}

nn::NetworkSpec published_network() {
  nn::NetworkSpec spec;
  spec.layers = {784, 256, 10};
  spec.initial = nn::Initial::uniform;
  return spec;
}

Samples epochs_of(const Mnist& mnist, const nn::TrainOptions& options, const nn::NetworkSpec& network) {
  Samples samples;
  nn::TrainState state = nn::start_training(network, options);
  nn::TrainHooks hooks;
  const auto clock = [] { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; };
  double before = clock();
  hooks.after_epoch = [&](const nn::TrainState&) {
    const double now = clock();
    samples.add(now - before);
    before = now;
  };
  nn::train(state, mnist.train, options, hooks);
  return samples;
}

struct PyTorch {
  Samples samples;
  std::string version;
};

// Nothing when there is no PyTorch.
std::optional<PyTorch> pytorch_epochs() {
  const std::string command = fmt::format("OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 /usr/bin/python3 '{0}/bench/pytorch_epoch.py' '{1}train-images-idx3-ubyte.gz' "
                                          "'{1}train-labels-idx1-ubyte.gz' {2} 2>/dev/null",
                                          CROSSTILE_SOURCE_DIR, kMnist, kRounds);
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(popen(command.c_str(), "r"), pclose);
  if (!pipe) return {};
  PyTorch out;
  char line[128];
  while (std::fgets(line, sizeof line, pipe.get()) != nullptr) {
    if (out.version.empty()) {
      out.version = std::string(line).substr(0, std::string(line).find('\n'));
      continue;
    }
    out.samples.add(std::strtod(line, nullptr));
  }
  if (out.samples.empty()) return {};
  return out;
}

const char* kNoPyTorch = "PyTorch is not installed (Debian: python3-torch)";

void epoch_figures(Report& report) {
  const Mnist mnist;
  const Samples digital = epochs_of(mnist, published_options(kRounds), published_network());
  nn::TrainOptions options = published_options(kRounds);
  options.kinds = {pulsed(0.0, 0.0, 7)};
  const Samples quiet = epochs_of(mnist, options, published_network());
  options.kinds = {pulsed(0.4, 0.4, 7)};
  const Samples noisy = epochs_of(mnist, options, published_network());
  const auto torch = pytorch_epochs();
  const auto add = [&](const std::string& name, const Goal& goal, const Samples& ours) {
    if (!torch) return report.skip(name, goal, "x", kNoPyTorch + std::string("; ") + to_text(seconds(ours)));
    report.add(Figure{.name = name,
                      .goal = goal,
                      .reached = times(ours.best() / torch->samples.best()),
                      .note = to_text(seconds(ours)),
                      .baseline = Baseline{"PyTorch " + torch->version, seconds(torch->samples), "digital epoch"}});
  };
  add("digital epoch, in PyTorch epochs", at_most(1.0), digital);
  add("pulsed epoch without noise, in PyTorch epochs", at_most(kPulsedGoal), quiet);
  add("pulsed epoch, noise 0.4 both ways, in PyTorch epochs", at_most(kPulsedGoal), noisy);
}

// As examples/mnist_irdrop.toml trains: 392 rows a tile, sensed behind the last, blocks of 56 rows, 20 ohm a cell.
void tile_figures(Report& report) {
  const Mnist mnist;
  nn::NetworkSpec network;
  network.layers = {784, 256, 10};
  nn::TrainOptions options;
  options.epochs = 1;
  options.threads = 1;
  nn::TileLayerOptions kind;
  kind.tile = data::tile_preset("pcm-14nm");
  kind.tile.rows = 392;
  kind.tile.cols = 512;
  kind.tile.sense = data::SenseEnd::south;
  kind.tile.r_col_ohm = 20.0;
  kind.tile.adc.enabled = true;
  kind.model.block_rows = 56;
  nn::TrainOptions through = options;
  through.learning_rate = 0.05;
  through.kinds = {nn::tile_kind(kind)};
  Samples digital, tiles;  // in turn, because the machine's pace changes
  for (int round = 0; round < kRounds; ++round) {
    digital.add(epochs_of(mnist, options, network).best());
    tiles.add(epochs_of(mnist, through, network).best());
  }
  report.add(Figure{.name = "epoch through the tile model, 20 ohm, in digital epochs",
                    .goal = at_most(4.0),
                    .reached = times(tiles.best() / digital.best()),
                    .note = to_text(seconds(tiles)),
                    .baseline = Baseline{"digital", seconds(digital), "epoch, batch 128, shifts, momentum"}});
}

// Four points from quiet to noisy, none of which diverges, stand for the 144 of the sweep.
void sweep_figures(Report& report) {
  const Mnist mnist;
  double sum = 0.0;
  const std::vector<std::array<double, 3>> points{{0.0, 0.0, 1}, {0.4, 0.4, 3}, {0.6, 0.6, 5}, {1.0, 0.2, 7}};
  for (const auto& [forward, backward, pulses] : points) {
    nn::TrainOptions options = published_options(3);
    options.kinds = {pulsed(forward, backward, static_cast<int>(pulses))};
    nn::EvaluationOptions evaluation;
    evaluation.threads = 1;
    sum += cpu_seconds([&] {
      nn::TrainState state = nn::start_training(published_network(), options);
      nn::train(state, mnist.train, options);
      nn::evaluate_layers(state, options, mnist.test, evaluation);
    });
  }
  const double point = sum / static_cast<double>(points.size());
  report.add(Figure{.name = "144-point sweep, 3 epochs a point, two cores",
                    .goal = at_most(15.0 * 60.0),
                    .reached = seconds(144.0 * point / 2.0),
                    .note = fmt::format("{} a point, mean of {}", to_text(seconds(point)), points.size())});
}

void accuracy_figures(Report& report) {
  const std::string name = "784-256-128-10, digital: test accuracy";
  if (report.quick()) return report.skip(name, at_least(98.0), "%", "takes a minute");
  const Mnist mnist;
  nn::TrainOptions options;
  options.threads = 1;
  nn::NetworkSpec spec;
  spec.layers = {784, 256, 128, 10};
  nn::TrainState state = nn::start_training(spec, options);
  const auto training = nn::train(state, mnist.train, options);
  const auto result = nn::evaluate_digital(state.network, mnist.test);
  const Quantity reached{100.0 * result.accuracy.value_or(0.0), "%"};
  report.add(Figure{.name = name,
                    .goal = at_least(98.0),
                    .reached = reached,
                    .note = fmt::format("{} epochs, momentum, cosine, shifts of one pixel", options.epochs),
                    .failure = training.status == nn::TrainStatus::diverged ? training.reason : ""});
}

}  // namespace

}  // namespace crosstile::bench

int main(int argc, char** argv) {
  using namespace crosstile::bench;
  prepare_openblas(argv);  // for PyTorch, which inherits the choice of kernels
  const Program program{"nn",
                        {{"epoch", "epochs beside PyTorch", epoch_figures},
                         {"tiles", "an epoch through the tile model beside a digital one", tile_figures},
                         {"sweep", "time of the 144-point sweep", sweep_figures},
                         {"accuracy", "digital accuracy", accuracy_figures}},
                        {{"BLAS of PyTorch", openblas_text()}}};
  return run_program(program, argc, argv);
}
