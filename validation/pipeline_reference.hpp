// The inputs of a reference set: drawn, or real ones - weights of a trained network's layer, and the
// activations that images of a data set put on its rows. docs/theory.md, "Reference inputs".
#pragma once

#include <array>
#include <filesystem>
#include <vector>

#include "circuit/reference_inputs.hpp"
#include "data/idx.hpp"
#include "data/reference_set.hpp"
#include "nn/mlp.hpp"

namespace crosstile::validation {

/// Which of a layer's inputs are the rows of the tile.
enum class RowChoice {
  block,  ///< consecutive inputs, as the mapping of a network cuts its layers
  active  ///< those with the largest mean |code| over the set's images, in the layer's order
};
enum class ImageSet { test, train };

/// Real weights and inputs.
struct LayerOptions {
  bool weights = false;      ///< of the layer: every tile column of one tile row is a weight draw
  bool activations = false;  ///< the inputs are codes of the layer's activations
  std::filesystem::path
      network_file;  ///< needed for the weights, and for activations of a layer other than the first
  Index layer = 0;
  RowChoice rows = RowChoice::block;
  Index tile_row = -1;  ///< which block; -1: the one with the largest mean |code|
  ImageSet images = ImageSet::test;
  Index first_image = 0;

  bool needs_network() const { return weights || (activations && layer > 0); }
  /// Throws a usage Error when a network is needed and no file is named.
  void require_network_file() const;
  /// The activations, or the choice of rows, depend on images.
  bool needs_images() const {
    return activations || (weights && (rows == RowChoice::active || tile_row < 0));
  }
};

/// Images for LayerOptions, scaled to [0, 1]; each holds one image a row.
struct LayerImages {
  MatrixF images;       ///< those of the set: one vector each
  MatrixF calibration;  ///< training images that scale the activations of hidden layers; unused for layer 0
};

/// The rows of the layer that the options choose, ascending. codes: vectors x inputs of the layer; may be
/// empty when the choice does not depend on them (block with a given tile_row). piece: bounds of the blocks.
/// Errors: usage.
std::vector<Index> choose_rows(const LayerOptions& options, const IntMatrix& codes,
                               const std::vector<Index>& bounds);

/// Weights from the layer or drawn, codes from the images or drawn; draw and held_out as for drawn sets
/// (DrawOptions::draws counts only for drawn weights; options.vectors images from the first). The tile of the
/// set has the size of the layer's block when the weights are the layer's. network: may be null where it is
/// not needed. Errors: usage naming the key.
data::ReferenceSet layer_reference_inputs(const data::TileSpec& tile, const circuit::DrawOptions& draw,
                                          const LayerOptions& options, const nn::Network* network,
                                          const LayerImages& images, std::uint64_t seed);

}  // namespace crosstile::validation

template <>
struct crosstile::data::EnumNames<crosstile::validation::RowChoice> {
  using RowChoice = crosstile::validation::RowChoice;
  static constexpr std::array<EnumName<RowChoice>, 2> value{
      {{RowChoice::block, "block"}, {RowChoice::active, "active"}}};
};
template <>
struct crosstile::data::EnumNames<crosstile::validation::ImageSet> {
  using ImageSet = crosstile::validation::ImageSet;
  static constexpr std::array<EnumName<ImageSet>, 2> value{
      {{ImageSet::test, "test"}, {ImageSet::train, "train"}}};
};
