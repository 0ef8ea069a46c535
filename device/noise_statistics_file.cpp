#include <cmath>
#include <string>
#include <string_view>
#include <type_traits>

#include "core/error.hpp"
#include "data/hdf5_file.hpp"
#include "device/noise_statistics.hpp"

namespace crosstile::device {

namespace {

constexpr const char* kKind = "read-noise-study";
constexpr int kVersion = 1;

/// One list of the study's arrays for writing and reading.
template <typename Study, typename Visitor>
void visit_arrays(Study& study, const Visitor& visit) {
  visit("t_s", study.t_s, "s");
  visit("g_siemens", study.g_siemens, "S");
  visit("sigma_siemens", study.sigma_siemens, "S");
  visit("sigma_error_siemens", study.sigma_error_siemens, "S");
  visit("closed_form_siemens", study.closed_form_siemens, "S");
  visit("published_siemens", study.published_siemens, "S");
  visit("a", study.a, "1");
  visit("a_error", study.a_error, "1");
  visit("b_siemens", study.b_siemens, "S");
  visit("b_error_siemens", study.b_error_siemens, "S");
  visit("chi_squared", study.chi_squared, "1");
  visit("published_a", study.published_a, "1");
  visit("published_b_siemens", study.published_b_siemens, "S");
}

template <typename Study, typename Visitor>
void visit_study_numbers(Study& study, const Visitor& visit) {
  visit("spectrum_exponent", study.process.fit.shape.exponent);
  visit("spectrum_corner_low_hz", study.process.fit.shape.corner_low_hz);
  visit("spectrum_corner_high_hz", study.process.fit.shape.corner_high_hz);
  visit("spectrum_variance", study.process.fit.shape.variance);
  visit("spectrum_white_per_hz", study.process.fit.shape.white_per_hz);
  visit("fit_largest_deviation", study.process.fit.largest_deviation);
  visit("fit_rms_deviation", study.process.fit.rms_deviation);
  visit("g_offset_siemens", study.process.g_offset_siemens);
  visit("spectrum_deviation", study.spectrum_deviation);
  visit("largest_pull", study.largest_pull);
}

void put(data::Hdf5Writer& file, const char* name, const Vector& value, const char* unit) { file.vector(name, value, unit); }
void put(data::Hdf5Writer& file, const char* name, const Matrix& value, const char* unit) { file.matrix(name, value, unit); }
void get(const data::Hdf5Reader& file, const char* name, Vector& value) { value = file.vector(name); }
void get(const data::Hdf5Reader& file, const char* name, Matrix& value) { value = file.matrix(name); }

void check_shape(const std::string& file, const char* name, Index found, Index expected) {
  if (found == expected) return;
  throw Error(ErrorKind::bad_data, file + ": data set " + name + " has a length of " + std::to_string(found) + ", expected " +
                                       std::to_string(expected));
}

std::uint64_t whole_number(const std::string& file, const std::string& name, double value) {
  if (value >= 0.0 && value < 0x1p53 && value == std::floor(value)) return static_cast<std::uint64_t>(value);
  throw Error(ErrorKind::bad_data, file + ": " + name + " is not a whole number");
}

}  // namespace

void write_read_noise_study(const std::filesystem::path& path, const ReadNoiseStudy& study) {
  data::Hdf5Writer file(kKind, kVersion);
  visit_arrays(study, [&](const char* name, const auto& value, const char* unit) { put(file, name, value, unit); });
  visit_study_numbers(study, [&](const char* name, double value) { file.number(name, value); });
  file.number("spectrum_corners_per_decade", study.process.fit.shape.corners_per_decade);
  file.number("devices", static_cast<double>(study.devices));
  file.text("seed", std::to_string(study.seed));  // 64 bits do not fit a double
  file.write(path);
}

ReadNoiseStudy read_read_noise_study(const std::filesystem::path& path) {
  const data::Hdf5Reader file(path, kKind, kVersion);
  const std::string name_of_file = path.string();
  ReadNoiseStudy study;
  visit_arrays(study, [&](const char* name, auto& value, const char*) { get(file, name, value); });
  visit_study_numbers(study, [&](const char* name, double& value) { value = file.number(name); });
  const Index times = study.t_s.size(), conductances = study.g_siemens.size();
  visit_arrays(study, [&](const char* name, const auto& value, const char*) {
    if (name == std::string_view("g_siemens")) return;
    check_shape(name_of_file, name, value.rows(), times);
    if constexpr (std::is_same_v<std::decay_t<decltype(value)>, Matrix>)
      check_shape(name_of_file, name, value.cols(), conductances);
  });
  study.process.fit.shape.corners_per_decade =
      static_cast<int>(whole_number(name_of_file, "spectrum_corners_per_decade", file.number("spectrum_corners_per_decade")));
  study.devices = static_cast<Index>(whole_number(name_of_file, "devices", file.number("devices")));
  try {
    study.seed = std::stoull(file.text("seed"));
  } catch (const std::exception&) {
    throw Error(ErrorKind::bad_data, name_of_file + ": seed is not a whole number");
  }
  return study;
}

}  // namespace crosstile::device
