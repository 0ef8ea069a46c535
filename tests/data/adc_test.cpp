#include "data/adc.hpp"

#include <catch2/catch.hpp>
#include <cmath>

#include "core/random.hpp"
#include "tests/core/scratch.hpp"

using namespace crosstile;
using namespace crosstile::data;
using namespace crosstile::testing;

namespace {

constexpr double kFullScale = 255e-15;

AdcSpec spec_with(AdcRounding rounding, int bits = 8) {
  AdcSpec spec;
  spec.bits = bits;
  spec.rounding = rounding;
  return spec;
}

}  // namespace

TEST_CASE(
    "An ideal converter is within half a step when it rounds, and below by less than a step when it floors",
    "[property]") {
  const Adc rounds(spec_with(AdcRounding::round), kFullScale, 1, false, 1, 0);
  const Adc floors(spec_with(AdcRounding::floor), kFullScale, 1, false, 1, 0);
  const double lsb = rounds.lsb_coulomb();
  REQUIRE(lsb == Approx(1e-15));
  const Matrix charge = random_uniform_matrix({41, Stream::test, 0}, 1000, 1) * kFullScale;
  for (Index k = 0; k < charge.rows(); ++k) {
    const double q = charge(k, 0);
    REQUIRE(std::abs(rounds.convert(q, 0) - q) <= 0.5 * lsb * (1.0 + 1e-9));
    const double lost = q - floors.convert(q, 0);
    REQUIRE(lost >= -1e-9 * lsb);
    REQUIRE(lost < lsb * (1.0 + 1e-9));
  }
}

TEST_CASE("Results are whole steps of the lsb", "[property]") {
  for (const bool is_signed : {false, true}) {
    const Adc adc(spec_with(AdcRounding::round, 5), kFullScale, 3, is_signed, 1, 0);
    const Matrix charge = random_normal_matrix({42, Stream::test, 0}, 200, 3) * kFullScale;
    Matrix converted = charge;
    adc.convert(converted);
    for (Index v = 0; v < 200; ++v)
      for (Index j = 0; j < 3; ++j) {
        const double code = converted(v, j) / adc.lsb_coulomb();
        REQUIRE(code == Approx(std::round(code)).margin(1e-9));
        REQUIRE(converted(v, j) == adc.convert(charge(v, j), j));
      }
  }
}

TEST_CASE("Conversion clips: unsigned at 0 and full scale, signed at both full scales", "[analytic]") {
  const Adc positive(spec_with(AdcRounding::round), kFullScale, 1, false, 1, 0);
  REQUIRE(positive.convert(1.0, 0) == Approx(kFullScale).epsilon(1e-12));
  REQUIRE(positive.convert(-1.0, 0) == 0.0);
  const Adc both(spec_with(AdcRounding::round), kFullScale, 1, true, 1, 0);
  REQUIRE(both.lsb_coulomb() == Approx(kFullScale / 127.0));
  REQUIRE(both.convert(1.0, 0) == Approx(kFullScale).epsilon(1e-12));
  REQUIRE(both.convert(-1.0, 0) == Approx(-kFullScale).epsilon(1e-12));
  REQUIRE(both.convert(-0.3 * kFullScale, 0) == -both.convert(0.3 * kFullScale, 0));
}

TEST_CASE("Gain and offset errors have the given spread from column to column", "[statistics]") {
  constexpr Index kCols = 20000;
  AdcSpec spec = spec_with(AdcRounding::round, 24);
  spec.gain_spread = 0.02;
  spec.offset_spread_lsb = 5e4;
  const Adc adc(spec, 1.0, kCols, false, 9, 3);
  // Two charges per column separate offset (in LSB) and gain; 24 bits make rounding negligible.
  Vector gain(kCols);
  Vector offset(kCols);
  for (Index j = 0; j < kCols; ++j) {
    const double low = adc.convert(0.25, j);
    const double high = adc.convert(0.75, j);
    gain[j] = (high - low) / 0.5;
    offset[j] = (low - 0.25 * gain[j]) / adc.lsb_coulomb();
  }
  const double n = static_cast<double>(kCols);
  REQUIRE(std::abs(gain.mean() - 1.0) < 5.0 * 0.02 / std::sqrt(n));
  REQUIRE(std::abs(offset.mean()) < 5.0 * 5e4 / std::sqrt(n));
  const double gain_spread = std::sqrt((gain.array() - gain.mean()).square().mean());
  const double offset_spread = std::sqrt((offset.array() - offset.mean()).square().mean());
  REQUIRE(std::abs(gain_spread / 0.02 - 1.0) < 5.0 / std::sqrt(2.0 * n));
  REQUIRE(std::abs(offset_spread / 5e4 - 1.0) < 5.0 / std::sqrt(2.0 * n));
}

TEST_CASE("Converters are a function of seed and tile alone", "[property]") {
  AdcSpec spec = spec_with(AdcRounding::round, 16);
  spec.gain_spread = 0.05;
  const auto first = Adc(spec, 1.0, 4, false, 1, 0).convert(0.5, 2);
  REQUIRE(Adc(spec, 1.0, 8, false, 1, 0).convert(0.5, 2) == first);
  REQUIRE(Adc(spec, 1.0, 4, false, 2, 0).convert(0.5, 2) != first);
  REQUIRE(Adc(spec, 1.0, 4, false, 1, 1).convert(0.5, 2) != first);
}

TEST_CASE("A full scale that is not positive is refused", "[error]") {
  for (const double full_scale : {0.0, -1e-12, std::nan("")})
    require_error(error_of([&] { Adc(AdcSpec{}, full_scale, 1, false, 1, 0); }), ErrorKind::usage,
                  {"adc.full_scale_coulomb"});
}

TEST_CASE("A converter's code is clip(round or floor(gain Q / lsb + offset)) with the column's own draws", "[kat]") {
  // Two bits, full scale 3 steps: every decision level is easy to see.
  const Adc rounds(spec_with(AdcRounding::round, 2), 3.0, 1, false, 1, 0);
  const Adc floors(spec_with(AdcRounding::floor, 2), 3.0, 1, false, 1, 0);
  const double charge[] = {-0.7, 0.0, 0.49, 0.51, 1.49, 1.99, 2.51, 3.0, 3.7, 100.0};
  const double rounded[] = {0, 0, 0, 1, 1, 2, 3, 3, 3, 3};
  const double floored[] = {0, 0, 0, 0, 1, 1, 2, 3, 3, 3};
  for (std::size_t k = 0; k < std::size(charge); ++k) {
    CAPTURE(charge[k]);
    REQUIRE(rounds.convert(charge[k], 0) == rounded[k]);
    REQUIRE(floors.convert(charge[k], 0) == floored[k]);
  }
  // Signed, floor: towards minus infinity, and symmetric ends.
  const Adc both(spec_with(AdcRounding::floor, 3), 3.0, 1, true, 1, 0);
  REQUIRE(both.convert(-0.1, 0) == -1.0);
  REQUIRE(both.convert(-2.01, 0) == -3.0);
  REQUIRE(both.convert(-9.0, 0) == -3.0);

  AdcSpec spec = spec_with(AdcRounding::floor, 8);
  spec.gain_spread = 0.1;
  spec.offset_spread_lsb = 2.0;
  const Adc spread(spec, kFullScale, 6, false, 5, 3);
  for (Index j = 0; j < 6; ++j) {
    const auto draw = random_normal4({5, Stream::adc, 3}, 0, static_cast<std::uint64_t>(j));
    const double level = (1.0 + 0.1 * draw[0]) * 100.3 + 2.0 * draw[1];
    REQUIRE(spread.convert(100.3e-15, j) == Approx(std::floor(level) * 1e-15).epsilon(1e-12));
  }
}
