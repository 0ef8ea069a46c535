#include "nn/network_file.hpp"

#include <cmath>
#include <sstream>

#include "core/error.hpp"
#include "data/hdf5_file.hpp"

namespace crosstile::nn {

namespace {

constexpr const char* kKind = "network";
constexpr int kFormatVersion = 1;
constexpr Index kMostLayers = 1000;
constexpr int kHistoryColumns = 3;

std::string numbered(const char* name, std::size_t layer) {
  return std::string(name) + "_" + std::to_string(layer);
}

[[noreturn]] void damaged(const std::filesystem::path& path, const std::string& what) {
  throw Error(ErrorKind::bad_data, path.string() + ": " + what);
}

void put_layers(data::Hdf5Writer& file, const Network& network, const char* weights, const char* bias) {
  for (std::size_t l = 0; l < network.depth(); ++l) {
    file.matrix(numbered(weights, l), network.layers[l].weights.cast<double>(), "1");
    file.vector(numbered(bias, l), network.layers[l].bias.transpose().cast<double>(), "1");
  }
}

data::Hdf5Writer network_writer(const Network& network, const std::string& provenance) {
  check_shapes(network);
  if (!network.all_finite())
    throw Error(ErrorKind::not_converged, "a weight or bias of the network is not finite; it is not written");
  data::Hdf5Writer file(kKind, kFormatVersion);
  file.text("config_toml", provenance);
  file.text("hidden_activation", std::string(data::to_name(network.hidden)));
  file.text("input_scaling", "pixel / 255");
  file.number("layers", static_cast<double>(network.depth()));
  put_layers(file, network, "weights", "bias");
  return file;
}

// Matrices of a layer's kind: "memory_<layer>" names them, "memory_<layer>_<name>" holds them.
void put_memory(data::Hdf5Writer& file, const std::vector<LayerMemory>& memory) {
  for (std::size_t l = 0; l < memory.size(); ++l) {
    std::string names;
    for (const auto& [name, values] : memory[l].all()) {
      file.matrix(numbered("memory", l) + "_" + name, values.cast<double>(), "1");
      names += (names.empty() ? "" : " ") + name;
    }
    if (!names.empty()) file.text(numbered("memory", l), names);
  }
}

std::vector<LayerMemory> get_memory(const data::Hdf5Reader& file, std::size_t layers) {
  std::vector<LayerMemory> memory(layers);
  for (std::size_t l = 0; l < layers; ++l) {
    if (!file.has(numbered("memory", l))) continue;
    std::istringstream names(file.text(numbered("memory", l)));
    for (std::string name; names >> name;)
      memory[l].put(name, file.matrix(numbered("memory", l) + "_" + name).cast<float>());
  }
  return memory;
}

// A count stored as a number: whole, and within what makes sense.
Index whole_number(const data::Hdf5Reader& file, const std::filesystem::path& path, const std::string& name,
                   Index most) {
  const double value = file.number(name);
  if (!(value >= 0.0 && value <= static_cast<double>(most)) || value != std::floor(value))
    damaged(path, name + " = " + std::to_string(value) + " is not a whole number from 0 to " +
                      std::to_string(most));
  return static_cast<Index>(value);
}

Network get_layers(const data::Hdf5Reader& file, const std::filesystem::path& path, const char* weights,
                   const char* bias) {
  Network network;
  const std::string hidden = file.text("hidden_activation");
  const auto activation = data::from_name<Activation>(hidden);
  if (!activation)
    damaged(path, "hidden_activation = \"" + hidden + "\" is not known; allowed: relu, sigmoid, tanh, leaky_relu, randomised_relu");
  network.hidden = *activation;
  const Index count = whole_number(file, path, "layers", kMostLayers);
  for (std::size_t l = 0; l < static_cast<std::size_t>(count); ++l) {
    BasicLayer<float> layer;
    layer.weights = file.matrix(numbered(weights, l)).cast<float>();
    layer.bias = file.vector(numbered(bias, l)).cast<float>().transpose();
    network.layers.push_back(std::move(layer));
  }
  try {
    check_shapes(network);
  } catch (const Error& error) {
    damaged(path, error.what());
  }
  if (!network.all_finite()) damaged(path, "a weight or bias is beyond the range of float");
  return network;
}

}  // namespace

void write_network(const std::filesystem::path& path, const Network& network, const std::string& provenance) {
  network_writer(network, provenance).write(path);
}

Network read_network(const std::filesystem::path& path) {
  const data::Hdf5Reader file(path, kKind, kFormatVersion);
  return get_layers(file, path, "weights", "bias");
}

void write_checkpoint(const std::filesystem::path& path, const TrainState& state,
                      const std::string& provenance) {
  data::Hdf5Writer file = network_writer(state.network, provenance);
  put_layers(file, state.velocity, "velocity_weights", "velocity_bias");
  put_memory(file, state.memory);
  file.text("train_settings", state.settings);
  file.number("epochs_done", static_cast<double>(state.epochs_done));
  Matrix history(static_cast<Index>(state.history.size()), kHistoryColumns);
  for (Index e = 0; e < history.rows(); ++e) {
    const EpochReport& epoch = state.history[static_cast<std::size_t>(e)];
    history.row(e) << epoch.loss, epoch.accuracy, epoch.learning_rate;
  }
  if (history.rows() > 0) file.matrix("history", history, "loss, accuracy, learning rate");
  file.write(path);
}

TrainState read_checkpoint(const std::filesystem::path& path) {
  const data::Hdf5Reader file(path, kKind, kFormatVersion);
  TrainState state;
  state.network = get_layers(file, path, "weights", "bias");
  state.velocity = get_layers(file, path, "velocity_weights", "velocity_bias");
  for (std::size_t l = 0; l < state.network.depth(); ++l)
    if (state.velocity.layers[l].weights.rows() != state.network.layers[l].weights.rows() ||
        state.velocity.layers[l].weights.cols() != state.network.layers[l].weights.cols())
      damaged(path, numbered("velocity_weights", l) + " has not the shape of " + numbered("weights", l));
  state.memory = get_memory(file, state.network.depth());
  state.settings = file.text("train_settings");
  state.epochs_done = whole_number(file, path, "epochs_done", 1000000);
  const Matrix history = state.epochs_done > 0 ? file.matrix("history") : Matrix(0, kHistoryColumns);
  if (history.rows() != state.epochs_done || history.cols() != kHistoryColumns)
    damaged(path, "history is " + std::to_string(history.rows()) + " x " + std::to_string(history.cols()) +
                      ", not " + std::to_string(state.epochs_done) + " x " + std::to_string(kHistoryColumns));
  for (Index e = 0; e < history.rows(); ++e)
    state.history.push_back({history(e, 0), history(e, 1), history(e, 2)});
  return state;
}

}  // namespace crosstile::nn
