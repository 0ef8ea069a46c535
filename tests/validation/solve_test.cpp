// Every way of pulsing and converting, through `solve` and through reference generation.
#include "validation/solve.hpp"

#include <catch2/catch.hpp>

#include "circuit/reference.hpp"
#include "core/random.hpp"
#include "data/pulse.hpp"
#include "tests/core/scratch.hpp"

using namespace crosstile;
using namespace crosstile::validation;
using crosstile::testing::ScratchFolder;

namespace {

template <typename Visit>
void for_all_pulses(data::TileSpec tile, const Visit& visit) {
  for (const auto& drive : data::EnumNames<data::Drive>::value)
    for (const auto& passes : data::EnumNames<data::Passes>::value)
      for (const auto& align : data::EnumNames<data::PulseAlign>::value)
        for (const auto& sign : data::EnumNames<data::SignMode>::value) {
          CAPTURE(drive.name, passes.name, align.name, sign.name);
          tile.drive = drive.value;
          tile.weight_layout = drive.value == data::Drive::bipolar ? data::WeightLayout::bipolar
                                                                   : data::WeightLayout::pair_columns;
          tile.pulse.passes = passes.value;
          tile.pulse.align = align.value;
          tile.pulse.sign = sign.value;
          visit(tile);
        }
}

data::TileSpec tile_with(double r_ohm) {
  data::TileSpec tile;
  tile.rows = 9;
  tile.cols = 6;
  tile.r_row_ohm = tile.r_col_ohm = r_ohm;
  tile.r_driver_ohm = tile.r_sense_ohm = 10.0 * r_ohm;
  tile.pulse.dac_bits = 6;
  tile.pulse.split_bits = 2;
  return tile;
}

SolveInput random_input(const data::TileSpec& tile) {
  SolveInput input;
  const auto draw = [&](std::uint64_t event) {
    const Matrix u = random_uniform_matrix({81, Stream::test, 0}, tile.rows, tile.cols, event);
    return Matrix(tile.g_min_siemens + (tile.g_max_siemens - tile.g_min_siemens) * u.array());
  };
  input.tile = tile;
  input.g_siemens = draw(1);
  input.g_minus_siemens = draw(2);
  const Matrix u = random_uniform_matrix({82, Stream::test, 0}, 3, tile.rows);
  input.codes = data::dac_codes((2.0 * u.array() - 1.0).matrix(), tile.pulse.dac_bits);
  return input;
}

Matrix output(const SolveInput& input, SolveMethod method = SolveMethod::charge) {
  SolveOptions options;
  options.relative_tolerance = 1e-4;  // the charge of an ohmic network does not depend on it
  options.method = method;
  options.threads = 1;
  return solve(input, options).output;
}

double difference(const Matrix& a, const Matrix& b) {
  return (a - b).cwiseAbs().maxCoeff() / b.cwiseAbs().maxCoeff();
}

// Column charges of 1 fC a code step and weight: g v_read t_lsb = 1e-15 C.
constexpr double kUnit = 1e-15;
SolveInput counted_input(const Matrix& weights, const IntMatrix& codes) {
  SolveInput input;
  data::TileSpec& tile = input.tile;
  tile.rows = weights.rows();
  tile.cols = weights.cols();
  tile.weight_layout = data::WeightLayout::single;
  tile.r_col_ohm = 0.0;
  tile.pulse.dac_bits = 10;
  tile.adc.enabled = true;
  input.g_siemens = weights * (kUnit / (tile.v_read_volt * tile.pulse.t_lsb_s));
  input.codes = codes;
  return input;
}

}  // namespace

TEST_CASE("Without wire resistance every way of pulsing gives the plain product", "[property]") {
  for_all_pulses(tile_with(0.0), [](const data::TileSpec& tile) {
    const SolveInput input = random_input(tile);
    const Matrix product = tile.v_read_volt * tile.pulse.t_lsb_s * input.codes.cast<double>() *
                           (input.g_siemens - *input.g_minus_siemens);
    CHECK(difference(output(input), product) < 1e-13);
  });
}

TEST_CASE("On a linear tile recombined passes give the charge of the conventional one", "[property]") {
  for_all_pulses(tile_with(3.0), [](data::TileSpec tile) {
    const SolveInput input = random_input(tile);
    SolveInput conventional = input;
    conventional.tile.pulse.passes = data::Passes::conventional;
    conventional.tile.pulse.align = data::PulseAlign::left;
    conventional.tile.pulse.sign = data::SignMode::two_phase;
    const double apart = difference(output(input), output(conventional));
    if (tile.is_linear()) {
      CHECK(apart < 1e-10);
      CHECK(difference(output(input, SolveMethod::effective), output(conventional)) < 1e-10);
    } else if (tile.pulse.passes != data::Passes::conventional) {
      CHECK(apart > 1e-5);  // other rows are on together
    }
  });
}

TEST_CASE("Both transient and generated sets know every way of pulsing", "[cross]") {
  const ScratchFolder folder;
  int number = 0;
  for_all_pulses(tile_with(3.0), [&](const data::TileSpec& tile) {
    const SolveInput input = random_input(tile);
    const Matrix charge = output(input);
    CHECK(difference(output(input, SolveMethod::transient), charge) < 1e-7);
    data::ReferenceSet set;
    set.tile = tile;
    set.g_plus_siemens = {input.g_siemens};
    set.g_minus_siemens = {*input.g_minus_siemens};
    set.codes = input.codes;
    set.draw = set.held_out = IntVector::Zero(input.codes.rows());
    circuit::ReferenceOptions options;
    options.threads = 1;
    const auto generated = circuit::run_reference(set, options, folder / std::to_string(++number));
    CHECK(difference(generated.differential_coulomb(), charge) < 1e-12);
  });
}

TEST_CASE("The converter rounds, floors and clips a charge to known codes", "[kat]") {
  Matrix weights(2, 1);
  weights << 1.0, 0.25;
  IntMatrix codes(6, 2);
  codes << 0, 0, 7, 1, 7, 3, 100, 2, 254, 3, 400, 511;
  struct Case {
    data::AdcRounding rounding;
    std::vector<double> expected;
  };
  // Charges 0, 7.25, 7.75, 100.5, 254.75, 527.75 units on an 8-bit scale of 255 units.
  for (const Case& c : {Case{data::AdcRounding::round, {0, 7, 8, 101, 255, 255}},
                        Case{data::AdcRounding::floor, {0, 7, 7, 100, 254, 255}}}) {
    SolveInput input = counted_input(weights, codes);
    // Half a millionth of a step keeps 100.5 on its upper side whatever the last bits are.
    input.g_siemens *= 1.0 + 1e-8;
    input.tile.adc.rounding = c.rounding;
    input.tile.adc.full_scale_coulomb = 255.0 * kUnit;
    const Matrix result = output(input);
    for (Index v = 0; v < 6; ++v) {
      CAPTURE(v, data::to_name(c.rounding));
      CHECK(result(v, 0) / kUnit == Approx(c.expected[static_cast<std::size_t>(v)]).margin(1e-9));
    }
  }
}

TEST_CASE("Negative inputs make the converter signed, with symmetric codes", "[kat]") {
  IntMatrix codes(5, 1);
  codes << 3, -3, 126, -126, -500;
  SolveInput input = counted_input(Matrix::Constant(1, 1, 1.0 - 1e-3), codes);
  input.tile.adc.full_scale_coulomb = 127.0 * kUnit;
  const double rounded[] = {3, -3, 126, -126, -127}, floored[] = {2, -3, 125, -126, -127};
  for (const bool floor : {false, true}) {
    input.tile.adc.rounding = floor ? data::AdcRounding::floor : data::AdcRounding::round;
    const Matrix result = output(input);
    for (Index v = 0; v < 5; ++v)
      CHECK(result(v, 0) / kUnit == Approx((floor ? floored : rounded)[v]).margin(1e-9));
  }
}

TEST_CASE("Gain and offset of every column's converter come from the seed, array by array", "[kat]") {
  data::TileSpec tile = tile_with(0.0);
  SolveInput input = random_input(tile);
  input.codes = input.codes.cwiseAbs();
  input.seed = 17;
  const double step = tile.v_read_volt * tile.pulse.t_lsb_s;
  const Matrix plus = step * input.codes.cast<double>() * input.g_siemens,
               minus = step * input.codes.cast<double>() * *input.g_minus_siemens;
  input.tile.adc.enabled = true;
  input.tile.adc.bits = 10;
  input.tile.adc.gain_spread = 0.03;
  input.tile.adc.offset_spread_lsb = 4.0;
  input.tile.adc.full_scale_coulomb = plus.maxCoeff();
  const double lsb = plus.maxCoeff() / 1023.0;
  const Matrix result = output(input);
  double moved = 0.0;
  for (Index v = 0; v < 3; ++v)
    for (Index j = 0; j < tile.cols; ++j) {
      const auto code = [&](double charge, std::uint32_t array) {
        const auto draw = random_normal4({17, Stream::adc, array}, 0, static_cast<std::uint64_t>(j));
        return std::min(1023.0,
                        std::max(0.0, std::round((1.0 + 0.03 * draw[0]) * charge / lsb + 4.0 * draw[1])));
      };
      CHECK(result(v, j) == Approx(lsb * (code(plus(v, j), 0) - code(minus(v, j), 1))).margin(1e-9 * lsb));
      moved = std::max(moved, std::abs(result(v, j) - (plus(v, j) - minus(v, j))) / lsb);
    }
  CHECK(moved > 3.0);
}
