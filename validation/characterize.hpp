// From a user's measured reads to a device model: programming noise, drift and read noise with confidence intervals, and how well they
// describe devices that were kept out of the fit. Equations: docs/theory.md, "Characterisation".
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "core/types.hpp"
#include "device/pcm.hpp"
#include "validation/results.hpp"

namespace crosstile::validation {

/// Reads of many devices, in any order.
struct DeviceReads {
  std::vector<double> device, target_siemens, time_s, conductance_siemens;  ///< equal lengths; time counts from programming
};
/// A table (.csv, .h5, file.h5:name) with the columns device, target (siemens), time (s), conductance (siemens); or without the target
/// column when `common_target_siemens` is positive. Errors: io; bad_data naming line and value.
DeviceReads read_device_reads(const std::filesystem::path& path, double common_target_siemens = 0.0);
/// Reads that a model would give: `devices` devices per target, each read at all times (since programming, at least t0).
/// Errors: usage.
DeviceReads simulate_reads(const device::PcmModel& model, const std::vector<double>& target_siemens, Index devices,
                           const std::vector<double>& times_s, std::uint64_t seed);

struct CharacterizeOptions {
  std::string name = "measured";
  std::string source{};             ///< into the model file; empty: says that it was measured
  double g_max_siemens = 0.0;       ///< 0: the largest target
  double t0_s = 0.0;                ///< first read of the model; 0: the earliest read
  double read_s = 250e-9;           ///< length of one read
  double held_out_share = 0.2;      ///< of the devices, kept out of the fit; 0 .. 0.9
  std::uint64_t seed = 1;           ///< which devices these are
  void validate() const;            ///< usage Error naming the field
};

/// A fitted number with its 95 % interval, as it stands in the model file.
struct FittedNumber {
  std::string key, unit;
  double value = 0.0, standard_error = 0.0;
  double low() const;
  double high() const;
};
/// Residuals over their predicted standard deviations: standard normal when the model is right.
struct Goodness {
  std::string what;
  Index count = 0;
  double mean = 0.0, rms = 0.0;
  double p_value = 1.0;  ///< Kolmogorov and Smirnov, against the standard normal
};

struct Characterization {
  device::PcmModel model;
  std::vector<FittedNumber> numbers;
  std::vector<Goodness> fitted, held_out;
  Index devices = 0, held_out_devices = 0, reads = 0, ignored_reads = 0;  ///< ignored: not positive
  double g_low = 0.0, g_high = 0.0;                                       ///< measured range, target / g_max
};
/// Errors: usage (options); bad_data when the reads do not determine a model (fewer than 10 devices, devices with fewer than 3 reads,
/// reads of one device at a single time, targets of a device that differ).
Characterization characterize(const DeviceReads& reads, const CharacterizeOptions& options = {});

/// The model file: every key, with intervals and goodness of fit in comments.
std::string characterization_to_toml(const Characterization& fit);
/// Numbers with their intervals, and goodness of fit.
std::vector<Table> characterization_tables(const Characterization& fit);

}  // namespace crosstile::validation
