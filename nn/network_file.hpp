// Networks and checkpoints as HDF5, kind "network", version 1 (docs/file_format.md). The numbers come back
// bit by bit.
#pragma once

#include <filesystem>
#include <string>

#include "nn/train.hpp"

namespace crosstile::nn {

/// Weights (inputs x outputs, unit 1), biases, activation; inputs are pixel / 255. provenance: configuration
/// text stored with it. Errors: io; usage when shapes do not fit; not_converged when a weight is not finite.
void write_network(const std::filesystem::path& path, const Network& network,
                   const std::string& provenance = {});
/// The network of a network file or of a checkpoint. Errors: io, bad_data.
Network read_network(const std::filesystem::path& path);

/// A training at the end of an epoch: the network file plus momentum, history and settings.
void write_checkpoint(const std::filesystem::path& path, const TrainState& state,
                      const std::string& provenance = {});
/// Errors: io; bad_data, also for a network file that is not a checkpoint.
TrainState read_checkpoint(const std::filesystem::path& path);

}  // namespace crosstile::nn
