#include "data/pulse.hpp"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <set>

#include "core/random.hpp"
#include "tests/core/scratch.hpp"

using namespace crosstile;
using namespace crosstile::data;
using namespace crosstile::testing;

namespace {

IntVector random_codes(Index rows, int dac_bits, std::uint64_t event) {
  const Matrix x =
      random_uniform_matrix({31, Stream::inputs, 0}, rows, 1, event) * 2.0 - Matrix::Ones(rows, 1);
  return dac_codes(x, dac_bits).col(0);
}

template <typename Visit>
void for_all_modes(const Visit& visit) {
  for (const int bits : {2, 4, 8, 11})
    for (const auto& passes : EnumNames<Passes>::value)
      for (const auto& sign : EnumNames<SignMode>::value)
        for (const auto& drive : EnumNames<Drive>::value) {
          if (passes.value == Passes::split && bits < 3) continue;
          TileSpec tile;
          tile.drive = drive.value;
          tile.pulse.dac_bits = bits;
          tile.pulse.passes = passes.value;
          tile.pulse.split_bits = std::max(1, bits / 2 - 1);
          tile.pulse.sign = sign.value;
          visit(tile);
        }
}

}  // namespace

TEST_CASE("The DAC rounds to the nearest code, ties away from zero, and clips", "[analytic]") {
  REQUIRE(max_code(8) == 127);
  REQUIRE(max_code(2) == 1);
  REQUIRE(dac_code(0.0, 8) == 0);
  REQUIRE(dac_code(1.0, 8) == 127);
  REQUIRE(dac_code(-1.0, 8) == -127);
  REQUIRE(dac_code(7.5, 8) == 127);
  REQUIRE(dac_code(-std::numeric_limits<double>::infinity(), 8) == -127);
  // 3 bits: codes -3..3, and x = 1/2 stands exactly between codes 1 and 2.
  REQUIRE(dac_code(0.5, 3) == 2);
  REQUIRE(dac_code(-0.5, 3) == -2);
  REQUIRE(dac_code(0.49, 3) == 1);
}

TEST_CASE("A code stands for its input within half a step", "[property]") {
  const Matrix x = random_uniform_matrix({32, Stream::inputs, 0}, 40, 25) * 2.0 - Matrix::Ones(40, 25);
  for (const int bits : {2, 5, 8, 16}) {
    const Matrix back = dac_codes(x, bits).cast<double>() / max_code(bits);
    REQUIRE((back - x).cwiseAbs().maxCoeff() <= 0.5 / max_code(bits) * (1.0 + 1e-12));
  }
}

TEST_CASE("A DAC input that is not a number is refused", "[error]") {
  require_error(error_of([] { dac_code(std::nan(""), 8); }), ErrorKind::usage, {"DAC input"});
}

TEST_CASE("Passes recombine to the code in every mode", "[property]") {
  std::uint64_t event = 0;
  for_all_modes([&](const TileSpec& tile) {
    const IntVector codes = random_codes(50, tile.pulse.dac_bits, event++);
    Vector sum = Vector::Zero(codes.size());
    for (const Pass& pass : make_passes(codes, tile)) {
      REQUIRE(pass.codes.size() == codes.size());
      sum += pass.weight * pass.codes.cast<double>();
    }
    REQUIRE(sum == codes.cast<double>());
  });
}

TEST_CASE("Every pulse fits its window, and only a signed drive has negative pulses", "[property]") {
  std::uint64_t event = 100;
  for_all_modes([&](const TileSpec& tile) {
    const bool is_signed = tile.drive == Drive::bipolar || tile.pulse.sign == SignMode::bipolar;
    bool negative = false;
    for (const Pass& pass : make_passes(random_codes(50, tile.pulse.dac_bits, event++), tile)) {
      REQUIRE(pass.codes.cwiseAbs().maxCoeff() < pass.longest_code);
      REQUIRE(pass.window_s == pass.longest_code * tile.pulse.t_lsb_s + tile.pulse.t_settle_s);
      negative = negative || pass.codes.minCoeff() < 0;
    }
    REQUIRE(negative == is_signed);
  });
}

TEST_CASE("Windows have 2^(bits of the pass) slots", "[analytic]") {
  TileSpec tile;
  tile.drive = Drive::bipolar;
  const IntVector codes = IntVector::Constant(3, 127);
  auto passes = make_passes(codes, tile);
  REQUIRE(passes.size() == 1);
  REQUIRE(passes[0].window_s == Approx(129e-9));  // 128 ns and 1 ns to settle
  REQUIRE(passes[0].weight == 1.0);

  tile.pulse.passes = Passes::split;
  passes = make_passes(codes, tile);
  REQUIRE(passes.size() == 2);
  REQUIRE(passes[0].window_s == Approx(17e-9));
  REQUIRE(passes[0].codes[0] == 15);
  REQUIRE(passes[1].window_s == Approx(9e-9));
  REQUIRE(passes[1].weight == 16.0);
  REQUIRE(passes[1].codes[0] == 7);

  tile.pulse.passes = Passes::bit_serial;
  passes = make_passes(codes, tile);
  REQUIRE(passes.size() == 7);
  for (std::size_t bit = 0; bit < 7; ++bit) {
    REQUIRE(passes[bit].weight == std::ldexp(1.0, static_cast<int>(bit)));
    REQUIRE(passes[bit].window_s == Approx(3e-9));
  }
}

TEST_CASE("Two-phase inputs take the negative part with weight -1", "[analytic]") {
  IntVector codes(4);
  codes << 5, -7, 0, 127;
  const auto passes = make_passes(codes, TileSpec{});
  REQUIRE(passes.size() == 2);
  REQUIRE(passes[0].weight == 1.0);
  REQUIRE(passes[0].codes == (IntVector(4) << 5, 0, 0, 127).finished());
  REQUIRE(passes[1].weight == -1.0);
  REQUIRE(passes[1].codes == (IntVector(4) << 0, 7, 0, 0).finished());
}

TEST_CASE("A vector without pulses needs no pass, and one phase alone is one pass", "[analytic]") {
  REQUIRE(make_passes(IntVector::Zero(4), TileSpec{}).empty());
  REQUIRE(make_passes(IntVector::Constant(4, 3), TileSpec{}).size() == 1);
  REQUIRE(make_passes(IntVector::Constant(4, -3), TileSpec{}).size() == 1);
}

TEST_CASE("Codes beyond the DAC are refused with row, value and range", "[error]") {
  for (const int code : {128, -128, std::numeric_limits<int>::min(), std::numeric_limits<int>::max()}) {
    IntVector codes = IntVector::Zero(3);
    codes[2] = code;
    require_error(error_of([&] { make_passes(codes, TileSpec{}); }), ErrorKind::usage,
                  {"row 2", "-127 to 127"});
  }
}

TEST_CASE("Left pulses start together, centred pulses share their middle", "[analytic]") {
  PulseSpec pulse;
  pulse.t_lsb_s = 2e-9;
  Pass pass;
  pass.codes = (IntVector(4) << 0, 1, -100, 127).finished();
  pass.longest_code = 128;
  const Vector length = pass.codes.cwiseAbs().cast<double>() * 2e-9;

  const PulseTimes left = pulse_times(pass, pulse);
  REQUIRE(left.start_s == Vector::Zero(4));
  REQUIRE(left.end_s == length);

  pulse.align = PulseAlign::centre;
  const PulseTimes centre = pulse_times(pass, pulse);
  const double tolerance = 4.0 * std::numeric_limits<double>::epsilon() * 256e-9;
  for (Index i = 0; i < 4; ++i) {
    REQUIRE(std::abs(0.5 * (centre.start_s[i] + centre.end_s[i]) - 128e-9) < tolerance);
    REQUIRE(std::abs(centre.end_s[i] - centre.start_s[i] - length[i]) < tolerance);
  }
  REQUIRE(centre.start_s[0] == centre.end_s[0]);
  REQUIRE(centre.start_s.minCoeff() >= 0.0);
}
