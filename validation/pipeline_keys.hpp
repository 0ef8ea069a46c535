// Internal. The keys that every command with a network reads alike: [data], [network], [training].
#pragma once

#include "data/config.hpp"
#include "nn/train.hpp"
#include "validation/pipeline.hpp"

namespace crosstile::validation {

/// What is absent keeps its value; mistakes are collected by the configuration.
void read_data_files(data::Config& config, DataFiles& files);
void read_digital_training(data::Config& config, nn::NetworkSpec& network, nn::TrainOptions& training);

}  // namespace crosstile::validation
