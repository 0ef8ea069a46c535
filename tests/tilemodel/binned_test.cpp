#include <catch2/catch.hpp>
#include <cmath>

#include "nodal.hpp"
#include "tilemodel/tilemodel.hpp"

using namespace crosstile;
using tilemodel::Form;
using tilemodel::ModelSpec;
using tilemodel::TileModel;

namespace {

Matrix model_charge(const data::TileSpec& tile, const Matrix& g, const IntMatrix& codes, Form form,
                    int segments = 8, int bins = 8) {
  ModelSpec spec;
  spec.form = form;
  spec.segments = segments;
  spec.time_bins = bins;
  Matrix charge;
  TileModel(spec, tile, g).charge(codes, charge);
  return charge;
}

// The definition, written out for one column of positive codes: south sense, conventional pass.
double binned_by_definition(const data::TileSpec& tile, const Vector& g, const IntVector& codes, Index length,
                            int width) {
  const Index n = g.size();
  const Index segments = (n + length - 1) / length;
  const double r = tile.r_col_ohm, half = 0.5 * static_cast<double>(length - 1);
  double charge = 0.0;
  for (int begin = 0; begin < 8; begin += width) {
    double u = 1.0, current = 0.0;
    for (Index s = 0; s < segments; ++s) {
      double mean = 0.0;
      for (Index i = n - (segments - s) * length; i < n - (segments - s - 1) * length; ++i)
        if (i >= 0) mean += g[i] * std::min(std::max(codes[i] - begin, 0), width) / width;
      u += r * half * current;
      current += mean * u;
      u += r * (s + 1 < segments ? half + 1.0 : half + tile.sense_segment) * current;
    }
    u += tile.r_sense_ohm * current;
    charge += tile.v_read_volt * tile.pulse.t_lsb_s * width * current / u;
  }
  return charge;
}

}  // namespace

TEST_CASE("one segment a row and one bin a code make the binned ladder exact", "[identity]") {
  const auto sense = GENERATE(data::SenseEnd::south, data::SenseEnd::north, data::SenseEnd::alternate);
  const auto passes = GENERATE(data::Passes::conventional, data::Passes::split, data::Passes::bit_serial);
  const auto sign = GENERATE(data::SignMode::two_phase, data::SignMode::bipolar);
  data::TileSpec tile = nodal::small_tile(23, 27);
  tile.sense = sense;
  tile.pulse.passes = passes;
  tile.pulse.sign = sign;
  tile.sense_segment = 0.5;
  tile.r_sense_ohm = 70.0;
  const Matrix g = nodal::random_conductances(23, 27, 1);
  const IntMatrix codes = nodal::random_codes(4, 23, -7, 7, 2);
  CHECK(nodal::largest_difference(model_charge(tile, g, codes, Form::binned, 23, 8),
                                  model_charge(tile, g, codes, Form::ladder)) < 1e-13);
}

TEST_CASE("the binned ladder follows its definition, also when segments and bins do not divide evenly",
          "[analytic]") {
  struct Case {
    int segments, bins;
    Index length;
    int width;
  };
  const Case c =
      GENERATE(Case{1, 1, 10, 8}, Case{4, 2, 3, 4}, Case{5, 4, 2, 2}, Case{3, 3, 4, 3}, Case{10, 8, 1, 1});
  data::TileSpec tile = nodal::small_tile(10, 3);
  tile.sense_segment = 1.25;
  tile.r_sense_ohm = 55.0;
  const Matrix g = nodal::random_conductances(10, 3, 3);
  const IntMatrix codes = nodal::random_codes(3, 10, 1, 7, 4);
  const Matrix charge = model_charge(tile, g, codes, Form::binned, c.segments, c.bins);
  for (Index v = 0; v < 3; ++v)
    for (Index j = 0; j < 3; ++j)
      CHECK(charge(v, j) ==
            Approx(binned_by_definition(tile, g.col(j), codes.row(v).transpose(), c.length, c.width))
                .epsilon(1e-12));
}

TEST_CASE("pulses that end on bin edges need no finer bins", "[property]") {
  const data::TileSpec tile = nodal::small_tile(12, 5);
  const Matrix g = nodal::random_conductances(12, 5, 5);
  const IntMatrix codes = 2 * nodal::random_codes(4, 12, 0, 3, 6);
  CHECK(nodal::largest_difference(model_charge(tile, g, codes, Form::binned, 12, 4),
                                  model_charge(tile, g, codes, Form::ladder)) < 1e-13);
}

TEST_CASE("halving the bins of time makes the binned ladder's error four times smaller", "[order]") {
  // Within a bin the loss is quadratic in the current, so what averaging leaves out is the variance of the
  // current over the bin. 512 evenly spaced pulse ends, so that many fall into every bin and the current
  // falls smoothly.
  data::TileSpec tile = nodal::small_tile(512, 4);
  tile.pulse.dac_bits = 12;
  tile.r_col_ohm = 0.02;
  const Matrix g = nodal::random_conductances(512, 4, 7);
  const std::vector<Index> order = random_permutation({8}, 512);
  IntMatrix codes(1, 512);
  for (Index i = 0; i < 512; ++i) codes(0, i) = static_cast<int>(4 * order[static_cast<std::size_t>(i)] + 2);
  const Matrix exact = model_charge(tile, g, codes, Form::ladder);
  const auto error = [&](int bins) {
    return (model_charge(tile, g, codes, Form::binned, 512, bins) - exact).norm();
  };
  CHECK(std::log2(error(2) / error(4)) == Approx(2.0).margin(0.1));
  CHECK(std::log2(error(4) / error(8)) == Approx(2.0).margin(0.1));
}

TEST_CASE("more segments than rows and more bins than codes change nothing", "[property]") {
  const data::TileSpec tile = nodal::small_tile(8, 4);
  const Matrix g = nodal::random_conductances(8, 4, 9);
  const IntMatrix codes = nodal::random_codes(2, 8, 0, 7, 10);
  CHECK(model_charge(tile, g, codes, Form::binned, 100, 100) ==
        model_charge(tile, g, codes, Form::binned, 8, 8));
}

TEST_CASE("segments and bins below one are refused", "[error]") {
  const data::TileSpec tile = nodal::small_tile(8, 4);
  const Matrix g = nodal::random_conductances(8, 4, 9);
  const IntMatrix codes = IntMatrix::Zero(1, 8);
  CHECK_THROWS_WITH(model_charge(tile, g, codes, Form::binned, 0, 4), Catch::Contains("segments = 0"));
  CHECK_THROWS_WITH(model_charge(tile, g, codes, Form::binned, 8, -1), Catch::Contains("time_bins = -1"));
}
