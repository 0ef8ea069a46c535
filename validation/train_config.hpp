// The keys of a training beyond the plain digital one: start, loss and optimiser, and what the layers are
// made of. docs/commands.md, "Layer kinds".
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "data/config.hpp"
#include "data/idx.hpp"
#include "nn/hardware_aware_layer.hpp"
#include "nn/nn.hpp"
#include "nn/tile_layer.hpp"

namespace crosstile::validation {

/// `network.kinds` and the tables of the kinds it names.
struct LayerKinds {
  std::vector<std::string> names;  ///< none: all digital; one: all alike; otherwise one a layer
  nn::AnalogSettings analog;       ///< [analog] and the tables below it
  /// [hardware_aware]; kind "abstract" is the same with its products on [abstract_tile].
  nn::HardwareAwareOptions hardware_aware;
  std::string device_model = "pcm-2019";  ///< of hardware_aware: a published set or a model file
  nn::TileLayerOptions tile_training;     ///< [tile_training]; the tile is that of [tile]
};

/// Reads network.initial, network.kinds, training.loss, training.optimiser, training.adam_*, and the tables
/// of the kinds: [analog], [hardware_aware], [abstract_tile], [tile_training]; kind "tile" reads [tile], too.
/// Mistakes are recorded in `config`; training.kinds is set when there are none among the kinds.
void read_layer_kinds(data::Config& config, nn::NetworkSpec& network, nn::TrainOptions& training,
                      LayerKinds& kinds);
/// The same keys as TOML lines for the tables [network] and [training].
std::string network_lines(const nn::NetworkSpec& network, const LayerKinds& kinds);
std::string training_lines(const nn::TrainOptions& training);
/// The tables of all kinds, every key written out.
std::string kinds_to_toml(const LayerKinds& kinds);

/// Labelled images from IDX files or, where a name ends in .h5 or .hdf5, from HDF5: a matrix of images x
/// pixels with values from -1 to 1, and a matrix with one column of labels; "file.h5:name" chooses a data
/// set, otherwise the file's only 2-D one counts. Errors: io; bad_data naming file, row and value.
data::LabelledImages read_images(const std::filesystem::path& images, const std::filesystem::path& labels,
                                 Index classes);

}  // namespace crosstile::validation
