#include "validation/characterize_figures.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <string>

#include "core/error.hpp"
#include "core/files.hpp"
#include "core/parallel.hpp"
#include "data/hdf5_file.hpp"
#include "device/device.hpp"
#include "validation/python_process.hpp"

namespace crosstile::validation {

std::string_view device_figures_script();  // characterize_figures.py, embedded by CMake

namespace {

constexpr const char* kFile = "device_figures.h5";
constexpr std::array<const char*, 4> kPictureNames{"read_noise.png", "spectrum.png", "drift.png", "programming.png"};
constexpr std::array<double, 5> kPercentiles{5, 25, 50, 75, 95};
constexpr double kYear = 365.0 * 86400.0;
constexpr int kNoPackages = 86;  // exit code of the script

Vector log_spaced(double low, double high, Index count) {
  return Vector::NullaryExpr(count, [&](Index k) { return low * std::pow(high / low, static_cast<double>(k) / static_cast<double>(count - 1)); });
}

// Percentiles of the entries of `values`, by linear interpolation between order statistics.
Vector percentiles_of(const Matrix& values) {
  Vector sorted = values.reshaped();
  std::sort(sorted.begin(), sorted.end());
  Vector out(static_cast<Index>(kPercentiles.size()));
  for (Index k = 0; k < out.size(); ++k) {
    const double place = kPercentiles[static_cast<std::size_t>(k)] / 100.0 * static_cast<double>(sorted.size() - 1);
    const auto below = std::min<Index>(static_cast<Index>(place), sorted.size() - 2);
    out(k) = sorted(below) + (place - static_cast<double>(below)) * (sorted(below + 1) - sorted(below));
  }
  return out;
}

void add_read_noise(data::Hdf5Writer& file, const DeviceFigureOptions& options, const Progress& progress) {
  device::ReadNoiseStudyOptions study_options;
  study_options.seed = options.seed;
  study_options.threads = options.threads;
  const auto study = device::run_read_noise_study(study_options, progress);
  file.vector("read_noise_t_s", study.t_s, "s");
  file.vector("read_noise_g_siemens", study.g_siemens, "S");
  file.matrix("read_noise_sigma_siemens", study.sigma_siemens, "S");
  file.matrix("read_noise_error_siemens", study.sigma_error_siemens, "S");
  const Vector fine = log_spaced(1e-9, 1e-6, 200);
  Matrix published(fine.size(), study.g_siemens.size()), spectrum = published;
  const auto relative = options.model.trace.relative();
  const device::NanosecondReadNoise quartics;
  for (Index k = 0; k < fine.size(); ++k)
    for (Index g = 0; g < study.g_siemens.size(); ++g) {
      published(k, g) = quartics.sigma_siemens(study.g_siemens(g), fine(k));
      spectrum(k, g) = std::sqrt(relative.window_variance(fine(k))) * (study.g_siemens(g) + options.model.trace.g_offset_siemens);
    }
  file.vector("read_noise_fine_t_s", fine, "s");
  file.matrix("read_noise_published_siemens", published, "S");
  file.matrix("read_noise_model_siemens", spectrum, "S");
}

// Welch densities of traces read at five rates, with averaging and aliases taken out by the closed form.
void add_spectrum(data::Hdf5Writer& file, const std::string& name, const device::NoiseSpectrum& spectrum, const DeviceFigureOptions& options) {
  constexpr Index kSegment = 256, kReads = 1024, kDevices = 60;
  std::vector<double> frequency, measured;
  for (const double step : {1e-5, 1e-6, 1e-7, 1e-8, 1e-9}) {
    const device::RandomAccessNoise noise(spectrum, {.tick_s = step, .root_s = 1024.0 * step});
    Matrix densities(kDevices, kSegment / 2 - 1);
    parallel_for(kDevices, options.threads, [&](Index d, int) {
      const auto reads = noise.reads({options.seed, 0, static_cast<std::uint64_t>(d), 0}, {.first = 0, .window = 1, .period = 1, .count = kReads});
      densities.row(d) = device::welch_density(reads, step, kSegment).per_hz.transpose();
    });
    const Vector mean = densities.colwise().mean();
    for (Index low = 2, high = 0; low < kSegment / 3; low = high) {
      high = std::max(low + 1, low * 5 / 4);
      double ratio = 0.0, centre = 0.0;
      for (Index k = low; k < high; ++k) {
        const double f = static_cast<double>(k + 1) / (static_cast<double>(kSegment) * step);
        ratio += mean(k) / device::averaged_density(spectrum, f, step) / static_cast<double>(high - low);
        centre += std::log(f) / static_cast<double>(high - low);
      }
      frequency.push_back(std::exp(centre));
      measured.push_back(ratio * spectrum.density(std::exp(centre)));
    }
  }
  const auto n = static_cast<Index>(frequency.size());
  file.vector(name + "_measured_hz", Eigen::Map<Vector>(frequency.data(), n), "Hz");
  file.vector(name + "_measured_per_hz", Eigen::Map<Vector>(measured.data(), n), "1/Hz");
  const Vector fine = log_spaced(1e2, 1e11, 300);
  file.vector(name + "_hz", fine, "Hz");
  file.vector(name + "_per_hz", fine.unaryExpr([&](double f) { return spectrum.density(f); }), "1/Hz");
  file.vector(name + "_allan_t_s", log_spaced(1e-9, 1e-4, 100), "s");
  file.vector(name + "_allan", log_spaced(1e-9, 1e-4, 100).unaryExpr([&](double t) { return spectrum.allan_variance(t); }), "1");
}

void add_drift(data::Hdf5Writer& file, const DeviceFigureOptions& options) {
  const auto& model = options.model;
  const Vector times = log_spaced(model.drift.t0_s, std::max(kYear, 1e3 * model.drift.t0_s), 40);
  const Vector targets = (Vector(3) << 0.1, 0.4, 1.0).finished() * model.g_max_siemens;
  std::vector<Matrix> fans;
  Matrix mean(times.size(), targets.size());
  for (Index g = 0; g < targets.size(); ++g) {
    const auto array = device::program(model, Matrix::Constant(1, options.devices, targets(g)), options.seed, static_cast<std::uint32_t>(g));
    Matrix fan(times.size(), static_cast<Index>(kPercentiles.size()));
    for (Index k = 0; k < times.size(); ++k) {
      fan.row(k) = percentiles_of(device::conductance_at(model, array, times(k), options.seed, static_cast<std::uint32_t>(g),
                                                         static_cast<std::uint64_t>(k)))
                       .transpose();
      mean(k, g) = targets(g) * std::pow(times(k) / model.drift.t0_s, -model.drift.mean(targets(g) / model.g_max_siemens));
    }
    fans.push_back(fan);
  }
  file.vector("drift_t_s", times, "s");
  file.vector("drift_target_siemens", targets, "S");
  file.matrices("drift_fan_siemens", fans, "S");
  file.matrix("drift_mean_siemens", mean, "S");
}

void add_programming(data::Hdf5Writer& file, const DeviceFigureOptions& options) {
  constexpr Index kTargets = 41;
  const Vector target = Vector::LinSpaced(kTargets, 0.0, 1.0) * options.model.g_max_siemens;
  auto verified = options.model;
  if (verified.verify.max_pulses == 0) verified.verify.max_pulses = 20;
  auto single = options.model;
  single.verify.max_pulses = 0;
  const auto fan_of = [&](const device::PcmModel& model) {
    Matrix fan(kTargets, static_cast<Index>(kPercentiles.size()));
    for (Index k = 0; k < kTargets; ++k) {
      const auto array = device::program(model, Matrix::Constant(1, options.devices, target(k)), options.seed, static_cast<std::uint32_t>(k));
      fan.row(k) = percentiles_of(array.programmed_siemens - array.target_siemens).transpose();
    }
    return fan;
  };
  file.vector("programming_target_siemens", target, "S");
  file.matrix("programming_single_siemens", fan_of(single), "S");
  file.matrix("programming_verified_siemens", fan_of(verified), "S");
  file.vector("programming_sigma_siemens",
              target.unaryExpr([&](double g) { return options.model.programming.sigma(g / options.model.g_max_siemens); }), "S");
  file.number("programming_tolerance_siemens", verified.verify.tolerance_siemens);
  file.number("programming_max_pulses", verified.verify.max_pulses);
}

}  // namespace

std::vector<std::filesystem::path> write_device_figures(const std::filesystem::path& folder, const DeviceFigureOptions& options,
                                                        const Progress& progress) {
  options.model.validate();
  require_in_range("devices", static_cast<double>(options.devices), 10.0, 1e7);
  require_writable_folder(folder);
  data::Hdf5Writer file("device-figures", 1);
  file.text("model", options.model.name);
  file.number("devices", static_cast<double>(options.devices));
  file.vector("percentiles", Eigen::Map<const Vector>(kPercentiles.data(), static_cast<Index>(kPercentiles.size())), "%");
  add_read_noise(file, options, progress);
  add_spectrum(file, "fitted", options.model.trace.relative(), options);
  device::SpectrumShape pink = options.model.trace.shape;
  pink.exponent = 1.0;
  pink.white_per_hz = 0.0;
  add_spectrum(file, "pink", make_spectrum(pink), options);
  add_drift(file, options);
  add_programming(file, options);
  file.write(folder / kFile);

  std::string last;
  for (const std::string& interpreter : python_candidates()) {
    const PythonResult result = run_python(interpreter, device_figures_script(), {(folder / kFile).string(), folder.string()});
    if (result.status == 0) {
      std::vector<std::filesystem::path> pictures;
      for (const char* name : kPictureNames) pictures.push_back(folder / name);
      return pictures;
    }
    last = interpreter + ": " + (result.error_output.empty() ? "exit code " + std::to_string(result.status) : result.error_output);
    if (result.status != kNoPackages && result.status != -1) break;
  }
  throw Error(ErrorKind::io, "device figures: the pictures could not be drawn (they need Python with numpy, h5py and matplotlib): " + last);
}

}  // namespace crosstile::validation
