#include <unistd.h>

#include <catch2/catch.hpp>
#include <cmath>
#include <filesystem>
#include <limits>
#include <string>
#include <vector>

#include "core/error.hpp"
#include "core/random.hpp"
#include "data/hdf5_file.hpp"
#include "device/noise_statistics.hpp"
#include "device/noise_trace.hpp"

using namespace crosstile;
using namespace crosstile::device;

namespace {

Vector log_times(int points) {
  Vector t(points);
  for (int k = 0; k < points; ++k) t(k) = 1e-9 * std::pow(1e3, k / (points - 1.0));
  return t;
}

SpectrumFit fit_published(const SpectrumFitOptions& options) { return fit_nanosecond_process({}, options).fit; }

ReadNoiseStudyOptions small_study() {
  ReadNoiseStudyOptions options;
  options.devices = 100;
  options.window_steps = {1, 3, 10, 32, 100};
  return options;
}

struct StudyFolder {
  std::filesystem::path path =
      std::filesystem::temp_directory_path() / ("crosstile_device_" + std::to_string(::getpid()));
  StudyFolder() { std::filesystem::create_directories(path); }
  ~StudyFolder() { std::filesystem::remove_all(path); }
};

}  // namespace

TEST_CASE("The fit gives back the spectrum that made the data", "[device][analytic]") {
  for (const double exponent : {0.5, 0.8, 1.1}) {
    INFO("exponent " << exponent);
    const SpectrumShape truth{.exponent = exponent, .variance = 3e-3, .white_per_hz = 4e-13};
    const auto spectrum = make_spectrum(truth);
    const Vector t = log_times(31);
    const Vector sigma = t.unaryExpr([&](double time) { return std::sqrt(spectrum.window_variance(time)); });
    const auto fit = fit_spectrum(t, sigma);
    CHECK(fit.shape.exponent == Approx(exponent).epsilon(1e-4));
    CHECK(fit.shape.variance == Approx(truth.variance).epsilon(1e-3));
    CHECK(fit.shape.white_per_hz == Approx(truth.white_per_hz).epsilon(1e-3));
    CHECK(fit.largest_deviation < 1e-6);
  }
}

TEST_CASE("The fitted spectrum reproduces the published sigma(T) within 2 percent", "[device][cross]") {
  const auto fit = fit_published({});
  CHECK(fit.largest_deviation < 0.02);
  CHECK(fit.rms_deviation < 0.005);
  CHECK(fit.shape.exponent == Approx(0.746).margin(0.005));
  CHECK(fit.shape.white_per_hz > 0.0);
  // The deviation is that of the returned shape, not of some internal state.
  const auto spectrum = make_spectrum(fit.shape);
  const NanosecondReadNoise noise;
  const double g0 = offset_conductance_siemens(noise);
  double largest = 0.0;
  const Vector t = log_times(61);
  for (const double time : t) {
    const double fitted = std::sqrt(spectrum.window_variance(time)) * (15e-6 + g0);
    largest = std::max(largest, std::abs(fitted / noise.sigma_siemens(15e-6, time) - 1.0));
  }
  CHECK(largest == Approx(fit.largest_deviation).epsilon(1e-6));
}

TEST_CASE("Fixed exponents reach the deviations stated in the theory, white noise is needed", "[device][cross]") {
  const auto worst = FitCriterion::largest_deviation;
  CHECK(fit_published({.exponent = 0.7}).largest_deviation < 0.051);
  CHECK(fit_published({.exponent = 0.7, .criterion = worst}).largest_deviation < 0.040);
  CHECK(fit_published({.exponent = 1.0, .corner_low_hz = 1e5}).largest_deviation < 0.061);
  CHECK(fit_published({.exponent = 1.0, .corner_low_hz = 1e5, .criterion = worst}).largest_deviation < 0.052);
  CHECK(fit_published({.exponent = 1.0, .white = false, .corner_low_hz = 1e5, .criterion = worst}).largest_deviation > 0.18);
}

TEST_CASE("The fit is a minimum of its own criterion", "[device][property]") {
  const auto best = fit_published({});
  const auto best_worst = fit_published({.criterion = FitCriterion::largest_deviation});
  for (const double step : {-0.01, 0.01}) {
    CHECK(fit_published({.exponent = best.shape.exponent + step}).rms_deviation > best.rms_deviation);
    const double moved = best_worst.shape.exponent + step;
    CHECK(fit_published({.exponent = moved, .criterion = FitCriterion::largest_deviation}).largest_deviation >
          best_worst.largest_deviation);
  }
  CHECK(best_worst.largest_deviation < best.largest_deviation);
  CHECK(best.rms_deviation < best_worst.rms_deviation);
}

TEST_CASE("A weighted line through exact points is exact and has the textbook errors", "[device][analytic]") {
  const Vector x = (Vector(3) << 1, 2, 3).finished(), y = (Vector(3) << 5, 7, 9).finished();
  const auto fit = fit_line(x, y, Vector::Constant(3, 0.1));
  CHECK(fit.a.value == Approx(2.0).epsilon(1e-14));
  CHECK(fit.b.value == Approx(3.0).epsilon(1e-14));
  CHECK(fit.a.standard_error == Approx(0.1 / std::sqrt(2.0)).epsilon(1e-14));
  CHECK(fit.b.standard_error == Approx(0.1 * std::sqrt(1.0 / 3.0 + 2.0)).epsilon(1e-14));
  CHECK(fit.covariance == Approx(-2.0 * 0.01 / 2.0).epsilon(1e-14));
  CHECK(std::abs(fit.chi_squared) < 1e-20);
  // A point with a huge error does not count.
  const auto two = fit_line(x, (Vector(3) << 5, 7, 90).finished(), (Vector(3) << 0.1, 0.1, 1e6).finished());
  CHECK(two.a.value == Approx(2.0).epsilon(1e-9));
}

TEST_CASE("Confidence intervals of the line cover the truth as often as they claim", "[device][statistics]") {
  const Vector x = (Vector(5) << 2, 5, 10, 17, 25).finished();
  const Vector error = (Vector(5) << 0.1, 0.2, 0.15, 0.3, 0.25).finished();
  constexpr int kFits = 4000;
  int a_inside = 0, b_inside = 0;
  double chi_squared = 0.0;
  for (int n = 0; n < kFits; ++n) {
    const Matrix normals = random_normal_matrix({8, Stream::test, 0}, 1, 5, static_cast<std::uint64_t>(n));
    const Vector y = (0.3 * x.array() + 1.2 + error.array() * normals.row(0).transpose().array()).matrix();
    const auto fit = fit_line(x, y, error);
    a_inside += std::abs(fit.a.value - 0.3) < kConfidence95 * fit.a.standard_error ? 1 : 0;
    b_inside += std::abs(fit.b.value - 1.2) < kConfidence95 * fit.b.standard_error ? 1 : 0;
    chi_squared += fit.chi_squared / kFits;
  }
  const double bound = 5.0 * std::sqrt(0.95 * 0.05 / kFits);
  CHECK(std::abs(a_inside / double(kFits) - 0.95) < bound);
  CHECK(std::abs(b_inside / double(kFits) - 0.95) < bound);
  CHECK(std::abs(chi_squared - 3.0) < 5.0 * std::sqrt(6.0 / kFits));  // five points, two parameters
}

TEST_CASE("Standard errors of sigma hold for correlated windows", "[device][statistics]") {
  // 64 windows of one device are nearly one number when its noise is slow; counting them as independent would make the
  // error 8 times too small.
  const NoiseSpectrum slow{{{1e3, 1.0}}, 0.0};
  constexpr Index kDevices = 40, kWindows = 64;
  constexpr int kRepeats = 300;
  double pull_squared = 0.0;
  for (int r = 0; r < kRepeats; ++r) {
    Matrix averages(kDevices, kWindows);
    for (Index d = 0; d < kDevices; ++d)
      averages.row(d) =
          noise_trace(slow, 1e-8, kWindows, {5, static_cast<std::uint32_t>(r), static_cast<std::uint64_t>(d), 0}).average;
    const auto sigma = sigma_from_window_averages(averages);
    const double pull = (sigma.value - std::sqrt(slow.window_variance(1e-8))) / sigma.standard_error;
    pull_squared += pull * pull / kRepeats;
  }
  // Var(z^2) = 2: five standard errors over the repeats are 0.41. The scatter estimated from 40 skewed numbers widens the
  // pulls by 0.1-0.2.
  CHECK(pull_squared > 1.0 - 0.41);
  CHECK(pull_squared < 1.2 + 0.41);
}

TEST_CASE("The read-noise study agrees with its closed form and with the published curve", "[device][statistics]") {
  auto options = small_study();
  options.window_steps = {1, 10, 100, 1000};
  const auto study = run_read_noise_study(options);
  CHECK(study.spectrum_deviation < 0.02);
  CHECK(study.largest_pull < 5.0);
  REQUIRE(study.sigma_siemens.rows() == 4);
  REQUIRE(study.sigma_siemens.cols() == 5);
  CHECK(study.t_s(3) == Approx(1e-6));
  for (Index k = 0; k < 4; ++k) {
    INFO("T = " << study.t_s(k));
    for (Index g = 0; g < 5; ++g) {
      const double closed = study.closed_form_siemens(k, g);
      CHECK(closed == Approx(study.published_siemens(k, g)).epsilon(0.02));
      CHECK(study.sigma_error_siemens(k, g) < 0.12 * closed);
    }
    const double slack = 0.02 * study.published_a(k);  // the spectrum's own deviation
    CHECK(std::abs(study.a(k) - study.published_a(k)) < 5.0 * study.a_error(k) + slack);
    CHECK(std::abs(study.b_siemens(k) - study.published_b_siemens(k)) <
          5.0 * study.b_error_siemens(k) + 0.02 * study.published_b_siemens(k));
  }
}

TEST_CASE("The read-noise study has the same bits for any number of threads", "[device][property]") {
  auto options = small_study();
  options.threads = 1;
  const auto one = run_read_noise_study(options);
  options.threads = 3;
  const auto three = run_read_noise_study(options);
  CHECK(one.sigma_siemens == three.sigma_siemens);
  CHECK(one.sigma_error_siemens == three.sigma_error_siemens);
  CHECK(one.a == three.a);
  CHECK(one.b_siemens == three.b_siemens);
  options.seed = 2;
  CHECK(run_read_noise_study(options).sigma_siemens != one.sigma_siemens);
}

TEST_CASE("The read-noise study reports rising progress and stops when asked", "[device][property]") {
  double last = -1.0;
  bool rising = true;
  run_read_noise_study(small_study(), [&](double fraction, std::string_view) {
    rising = rising && fraction > last;
    last = fraction;
    return true;
  });
  CHECK(rising);
  CHECK(last == 1.0);
  try {
    run_read_noise_study(small_study(), [](double fraction, std::string_view) { return fraction < 0.3; });
    FAIL("was not interrupted");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::interrupted);
  }
}

TEST_CASE("A read-noise study survives its file", "[device][property]") {
  const StudyFolder scratch;
  const auto path = scratch.path / "study.h5";
  auto options = small_study();
  options.devices = 20;
  options.seed = 0xfedcba9876543210u;  // does not fit a double
  const auto study = run_read_noise_study(options);
  write_read_noise_study(path, study);
  const auto back = read_read_noise_study(path);
  CHECK(back.t_s == study.t_s);
  CHECK(back.g_siemens == study.g_siemens);
  CHECK(back.sigma_siemens == study.sigma_siemens);
  CHECK(back.sigma_error_siemens == study.sigma_error_siemens);
  CHECK(back.closed_form_siemens == study.closed_form_siemens);
  CHECK(back.published_siemens == study.published_siemens);
  CHECK(back.a == study.a);
  CHECK(back.a_error == study.a_error);
  CHECK(back.b_siemens == study.b_siemens);
  CHECK(back.b_error_siemens == study.b_error_siemens);
  CHECK(back.chi_squared == study.chi_squared);
  CHECK(back.published_a == study.published_a);
  CHECK(back.published_b_siemens == study.published_b_siemens);
  CHECK(back.seed == study.seed);
  CHECK(back.devices == study.devices);
  CHECK(back.largest_pull == study.largest_pull);
  CHECK(back.process.spectrum(5e-6).window_variance(1e-8) == study.process.spectrum(5e-6).window_variance(1e-8));
}

TEST_CASE("Noise statistics refuse bad input by name", "[device][error]") {
  CHECK_THROWS_WITH(fit_spectrum(log_times(2), Vector::Ones(2)), Catch::Contains("number of integration times"));
  CHECK_THROWS_WITH(fit_spectrum(log_times(5), Vector::Ones(4)), Catch::Contains("differ in length"));
  CHECK_THROWS_WITH(fit_spectrum(log_times(5), Vector::Zero(5)), Catch::Contains("sigma = 0"));
  CHECK_THROWS_WITH(fit_published({.exponent = -1.0}), Catch::Contains("exponent = -1"));
  CHECK_THROWS_WITH(fit_line(Vector::Ones(3), Vector::Ones(3), Vector::Ones(3)), Catch::Contains("two different x"));
  CHECK_THROWS_WITH(fit_line(Vector::LinSpaced(3, 0, 1), Vector::Ones(3), Vector::Zero(3)), Catch::Contains("y_error = 0"));
  CHECK_THROWS_WITH(sigma_from_window_averages(Matrix::Ones(1, 5)), Catch::Contains("devices"));
  auto options = small_study();
  options.window_steps = {1, 2000};
  CHECK_THROWS_WITH(run_read_noise_study(options), Catch::Contains("integration time") && Catch::Contains("2e-06"));
  options = small_study();
  options.g_siemens = {1e-6};
  CHECK_THROWS_WITH(run_read_noise_study(options), Catch::Contains("g_siemens"));
  options = small_study();
  options.devices = 1;
  CHECK_THROWS_WITH(run_read_noise_study(options), Catch::Contains("devices = 1"));
}

TEST_CASE("A missing file, another kind of file and inconsistent arrays are refused as studies", "[device][error]") {
  const StudyFolder scratch;
  const auto kind_of_failure = [](const std::filesystem::path& path) {
    try {
      read_read_noise_study(path);
    } catch (const Error& error) {
      return error.kind();
    }
    return ErrorKind::check_failed;
  };
  CHECK(kind_of_failure(scratch.path / "absent.h5") == ErrorKind::io);

  data::Hdf5Writer other("tile-model", 1);
  other.vector("t_s", Vector::Ones(3), "s");
  other.write(scratch.path / "other.h5");
  CHECK(kind_of_failure(scratch.path / "other.h5") == ErrorKind::bad_data);

  auto options = small_study();
  options.devices = 4;
  auto study = run_read_noise_study(options);
  study.a_error.conservativeResize(3);
  write_read_noise_study(scratch.path / "short.h5", study);
  CHECK_THROWS_WITH(read_read_noise_study(scratch.path / "short.h5"),
                    Catch::Contains("short.h5") && Catch::Contains("a_error") && Catch::Contains("expected 5"));
}
