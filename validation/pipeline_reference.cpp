#include "validation/pipeline_reference.hpp"

#include <algorithm>
#include <numeric>

#include "core/error.hpp"
#include "data/pulse.hpp"
#include "nn/nn.hpp"
#include "tilemodel/tilemodel.hpp"

namespace crosstile::validation {

namespace {

[[noreturn]] void refuse(const std::string& why) {
  throw Error(ErrorKind::usage, why);
}

// The given tile with two arrays of pairs, which is what a network is mapped to.
data::TileSpec pair_tile(data::TileSpec tile) {
  if (tile.weight_layout == data::WeightLayout::single)
    refuse(
        "reference.weights = \"network\" needs G+ and G- for every weight; tile.weight_layout = \"single\" "
        "has one conductance");
  if (tile.drive == data::Drive::bipolar) tile.drive = data::Drive::level;
  tile.weight_layout = data::WeightLayout::pair_columns;
  tile.adc.enabled = false;
  return tile;
}

// Codes that the images put on all inputs of a layer: vectors x inputs.
IntMatrix layer_codes(const data::TileSpec& tile, const LayerOptions& options, const nn::Network* network,
                      const LayerImages& images) {
  if (network != nullptr && images.images.cols() != network->inputs())
    refuse("the images have " + std::to_string(images.images.cols()) + " pixels, and " +
           options.network_file.string() + " has " + std::to_string(network->inputs()) + " inputs");
  if (options.layer == 0) return data::dac_codes(images.images.cast<double>(), tile.pulse.dac_bits);
  data::TileSpec any = tile;  // only its DAC matters
  any.drive = data::Drive::level;
  any.weight_layout = data::WeightLayout::pair_columns;
  any.adc.enabled = false;
  tilemodel::ModelSpec ideal;
  ideal.form = tilemodel::Form::ideal;
  const auto system = nn::make_tile_system(
      *network, any, images.calibration,
      [ideal](const data::TileSpec& t, const Matrix& g) { return tilemodel::TileModel(ideal, t, g); });
  const auto& layer = system.arrays.layers[static_cast<std::size_t>(options.layer)];
  IntMatrix codes(images.images.rows(), layer.row_bounds.back());
  for (Index r = 0; r < layer.tile_rows(); ++r) {
    const Index begin = layer.row_bounds[static_cast<std::size_t>(r)];
    const IntMatrix part = nn::tile_inputs(system, options.layer, r, images.images);
    codes.middleCols(begin, part.cols()) = part;
  }
  return codes;
}

// Blocks of a layer: as the mapping cuts them for its own weights; runs of exactly the tile's rows for drawn
// ones.
std::vector<Index> block_bounds(const data::TileSpec& tile, bool own_weights, Index inputs) {
  if (own_weights) return nn::split_evenly(inputs, tile.rows);
  if (inputs < tile.rows)
    refuse("tile.rows = " + std::to_string(tile.rows) + " is not allowed; the layer has " +
           std::to_string(inputs) + " inputs, and every row needs one (reference.inputs = \"activations\")");
  std::vector<Index> bounds;
  for (Index begin = 0; begin <= inputs; begin += tile.rows) bounds.push_back(begin);
  return bounds;
}

// Conductances of the chosen rows of the layer, mapped as a network's are.
void add_layer_weights(data::ReferenceSet& set, const nn::BasicLayer<float>& layer,
                       const std::vector<Index>& rows) {
  nn::Network part;
  part.layers.resize(1);
  part.layers.front().weights.resize(static_cast<Index>(rows.size()), layer.weights.cols());
  for (std::size_t k = 0; k < rows.size(); ++k)
    part.layers.front().weights.row(static_cast<Index>(k)) = layer.weights.row(rows[k]);
  part.layers.front().bias = layer.bias;
  const auto mapped = nn::map_network(part, pair_tile(set.tile));
  const auto& tiles = mapped.layers.front().tiles;
  set.tile.rows = tiles.front().spec.rows;
  set.tile.cols = tiles.front().spec.cols;
  for (const auto& tile : tiles) {
    if (tile.spec.cols != set.tile.cols) continue;  // one column less than the first: not of this set's shape
    set.g_plus_siemens.push_back(tile.g_plus_siemens);
    set.g_minus_siemens.push_back(tile.g_minus_siemens);
  }
}

void check_network(const LayerOptions& options, const nn::Network* network) {
  const Index depth = network != nullptr ? static_cast<Index>(network->depth()) : 1;
  if (options.needs_network() && network == nullptr)
    refuse("no network is given for the weights or activations of its layer");
  require_in_range("reference.network_layer", static_cast<double>(options.layer), 0,
                   static_cast<double>(depth - 1));
}

}  // namespace

void LayerOptions::require_network_file() const {
  if (needs_network() && network_file.empty())
    refuse(std::string("reference.network_file is missing; ") +
           (weights ? "weights = \"network\" takes" : "the activations of a hidden layer take") +
           " a trained network (crosstile train)");
}

std::vector<Index> choose_rows(const LayerOptions& options, const IntMatrix& codes,
                               const std::vector<Index>& bounds) {
  const auto activity = [&codes](Index begin, Index count) {
    return codes.middleCols(begin, count).cast<double>().cwiseAbs().mean();
  };
  std::vector<Index> rows;
  if (options.rows == RowChoice::active) {
    rows.resize(static_cast<std::size_t>(codes.cols()));
    std::iota(rows.begin(), rows.end(), Index{0});
    const Vector of_input = codes.cast<double>().cwiseAbs().colwise().mean().transpose();
    std::stable_sort(rows.begin(), rows.end(), [&](Index a, Index b) { return of_input[a] > of_input[b]; });
    rows.resize(static_cast<std::size_t>(bounds[1] - bounds[0]));
    std::sort(rows.begin(), rows.end());
    return rows;
  }
  Index block = options.tile_row;
  const auto blocks = static_cast<Index>(bounds.size()) - 1;
  require_in_range("reference.network_tile_row", static_cast<double>(block), -1,
                   static_cast<double>(blocks - 1));
  if (block < 0) {
    double best = -1.0;
    for (Index k = 0; k < blocks; ++k) {
      const Index begin = bounds[static_cast<std::size_t>(k)];
      const double mean = activity(begin, bounds[static_cast<std::size_t>(k) + 1] - begin);
      if (mean > best) {
        best = mean;
        block = k;
      }
    }
  }
  for (Index i = bounds[static_cast<std::size_t>(block)]; i < bounds[static_cast<std::size_t>(block) + 1];
       ++i)
    rows.push_back(i);
  return rows;
}

data::ReferenceSet layer_reference_inputs(const data::TileSpec& tile, const circuit::DrawOptions& draw,
                                          const LayerOptions& options, const nn::Network* network,
                                          const LayerImages& images, std::uint64_t seed) {
  tile.validate();
  draw.validate();
  check_network(options, network);
  data::ReferenceSet set;
  set.tile = tile;
  set.seed = seed;
  const auto layer = static_cast<std::size_t>(options.layer);
  const Index inputs = network != nullptr ? network->layers[layer].weights.rows() : images.images.cols();
  IntMatrix codes;
  if (images.images.rows() > 0) codes = layer_codes(tile, options, network, images);
  const auto bounds = block_bounds(tile, options.weights, inputs);
  const auto rows = choose_rows(options, codes, bounds);

  if (options.weights)
    add_layer_weights(set, network->layers[layer], rows);
  else
    circuit::add_drawn_weights(set, draw);
  if (options.activations) {
    set.codes.resize(codes.rows(), set.tile.rows);
    for (std::size_t k = 0; k < rows.size(); ++k) set.codes.col(static_cast<Index>(k)) = codes.col(rows[k]);
  } else {
    circuit::add_drawn_codes(set, draw);
  }
  circuit::assign_vectors(set, draw);
  return set;
}

}  // namespace crosstile::validation
