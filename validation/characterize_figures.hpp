// Pictures of what the device models say: read noise against integration time, its spectrum, drift, programming error.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "core/progress.hpp"
#include "device/pcm.hpp"

namespace crosstile::validation {

struct DeviceFigureOptions {
  device::PcmModel model = device::pcm_default();
  std::uint64_t seed = 1;
  Index devices = 2000;  ///< simulated for drift and programming, per target
  int threads = 0;
};

/// Simulates and writes device_figures.h5 into the folder (created when missing), and draws read_noise.png, spectrum.png, drift.png,
/// programming.png from it with matplotlib (interpreters as for the report). Returns the pictures. Errors: usage, io, interrupted.
std::vector<std::filesystem::path> write_device_figures(const std::filesystem::path& folder, const DeviceFigureOptions& options = {},
                                                        const Progress& progress = {});

}  // namespace crosstile::validation
