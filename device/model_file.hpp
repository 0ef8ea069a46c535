// Device models as TOML: every number of a PcmModel can be given; what is left out comes from a published set.
// Keys and units: docs/theory.md, "Device models as TOML", and what device_model_to_toml(pcm_default()) writes.
#pragma once

#include <filesystem>
#include <string>

#include "data/config.hpp"
#include "device/pcm.hpp"

namespace crosstile::device {

/// Reads `[device]` (or another table, "" for the top level). `device.base` names the published set whose values are the defaults.
/// Mistakes are recorded in `config` (config.finish() reports them); a model that is wrong as a whole is one of them.
PcmModel read_device_model(data::Config& config, const std::string& table = "device");
/// A whole file with the keys at the top level or below [device]. Errors: io; usage with every mistake of the file at once.
PcmModel load_device_model(const std::filesystem::path& path);
/// The name of a published set, or the path of a file that ends in ".toml". Errors: usage, io.
PcmModel find_device_model(const std::string& name_or_path);

/// Every key written out; read_device_model gives the same model again. `comment` (lines) comes first, each line behind "# ".
std::string device_model_to_toml(const PcmModel& model, const std::string& comment = {}, const std::string& table = "device");

}  // namespace crosstile::device
