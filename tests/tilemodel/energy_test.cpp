#include "tilemodel/energy.hpp"

#include <catch2/catch.hpp>
#include <cmath>

#include "circuit/circuit.hpp"
#include "core/error.hpp"
#include "nodal.hpp"

using namespace crosstile;
using tilemodel::EnergyMeter;
using tilemodel::EnergyModel;
using tilemodel::ModelSpec;
using tilemodel::ProductEnergy;

namespace {

// Wires that take several per cent, no capacitance.
data::TileSpec energy_tile() {
  data::TileSpec tile = nodal::small_tile(20, 6);
  tile.r_col_ohm = 60.0;
  tile.r_sense_ohm = 150.0;
  tile.c_row_farad = tile.c_col_farad = 0.0;
  return tile;
}

circuit::PowerBudget circuit_energy(const data::TileSpec& tile, const Matrix& g, const IntMatrix& codes) {
  const auto result = circuit::solve_charge(circuit::Crossbar(tile, g), IntVector(codes.row(0).transpose()));
  REQUIRE(result.status == circuit::Status::ok);
  return result.energy_joule;
}

ProductEnergy model_energy(const data::TileSpec& tile, const Matrix& g, const IntMatrix& codes,
                           const EnergyModel& model = {}) {
  return tilemodel::energy_per_product(ModelSpec{}, tile, g, codes, model);
}

std::string message_of(const EnergyModel& model) {
  try {
    model.validate();
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::usage);
    return error.what();
  }
  return {};
}

}  // namespace

TEST_CASE("gated drive: what the supplies deliver is the circuit's, for every pass scheme and sense end",
          "[cross]") {
  data::TileSpec tile = energy_tile();
  tile.pulse.passes = GENERATE(data::Passes::conventional, data::Passes::split, data::Passes::bit_serial);
  tile.sense = GENERATE(data::SenseEnd::south, data::SenseEnd::alternate);
  const Matrix g = nodal::random_conductances(20, 6, 1);
  const IntMatrix codes = nodal::random_codes(1, 20, -7, 7, 2);
  CHECK(model_energy(tile, g, codes).array_joule[0] ==
        Approx(circuit_energy(tile, g, codes).source).epsilon(1e-9));
}

TEST_CASE("column wires and senses take what the charge loses with their resistance", "[cross]") {
  data::TileSpec tile = energy_tile();
  tile.pulse.passes = GENERATE(data::Passes::conventional, data::Passes::bit_serial);
  const Matrix g = nodal::random_conductances(20, 6, 3);
  const IntMatrix codes = nodal::random_codes(1, 20, -7, 7, 4);
  tilemodel::Workspace workspace;
  const double wires = EnergyMeter(ModelSpec{}, tile, g).column_wire_joule(codes, workspace)[0];
  const circuit::PowerBudget budget = circuit_energy(tile, g, codes);
  CHECK(wires == Approx(budget.column_wires + budget.senses).epsilon(1e-8));
}

TEST_CASE("the energy of the cells is right to first order in the wires, selectors and row wires included",
          "[order]") {
  data::TileSpec tile = energy_tile();
  tile.selector.r_on_ohm = 2000.0;
  const bool rows = GENERATE(false, true);
  const Matrix g = nodal::random_conductances(20, 6, 5);
  const IntMatrix codes = nodal::random_codes(1, 20, 1, 7, 6);
  const auto remainder = [&](double scale) {
    tile.r_col_ohm = 8.0 * scale;
    tile.r_sense_ohm = 20.0 * scale;
    if (rows) tile.r_row_ohm = 6.0 * scale, tile.r_driver_ohm = 15.0 * scale;
    return std::abs(model_energy(tile, g, codes).cells_joule[0] / circuit_energy(tile, g, codes).cells - 1.0);
  };
  const double coarse = remainder(2.0), fine = remainder(1.0);
  CHECK(coarse < 0.01);
  CHECK(std::log2(coarse / fine) == Approx(2.0).margin(0.15));
}

TEST_CASE("where supplies differ the lossless energy bounds the circuit's from above, within the loss",
          "[cross]") {
  struct Case {
    data::Drive drive;
    data::SignMode sign;
  };
  const Case c = GENERATE(Case{data::Drive::level, data::SignMode::two_phase},
                          Case{data::Drive::gated, data::SignMode::bipolar});
  data::TileSpec tile = energy_tile();
  tile.drive = c.drive;
  tile.pulse.sign = c.sign;
  const Matrix g = nodal::random_conductances(20, 6, 7);
  const IntMatrix codes = nodal::random_codes(1, 20, -7, 7, 8);
  const double loss = circuit_energy(tile, g, codes).source / model_energy(tile, g, codes).array_joule[0];
  CHECK(loss < 1.0);
  CHECK(loss > 0.9);
  tile.r_col_ohm = tile.r_sense_ohm = 0.0;
  CHECK(model_energy(tile, g, codes).array_joule[0] ==
        Approx(circuit_energy(tile, g, codes).source).epsilon(1e-9));
}

TEST_CASE("the wires of a level-driven tile take c V^2 a pulse, as in the circuit", "[cross]") {
  data::TileSpec tile = energy_tile();
  tile.drive = data::Drive::level;
  tile.r_col_ohm = tile.r_sense_ohm = 1e-3;
  tile.r_row_ohm = 1e-3;
  tile.c_row_farad = 0.5e-15;
  const Matrix g = nodal::random_conductances(20, 6, 9);
  const IntMatrix codes = nodal::random_codes(1, 20, 1, 7, 10);
  const auto exact = circuit::solve_charge(circuit::Crossbar(tile, g), IntVector(codes.row(0).transpose()));
  REQUIRE(exact.status == circuit::Status::ok);
  CHECK(model_energy(tile, g, codes).wire_charging_joule[0] ==
        Approx(exact.wire_charging_joule).epsilon(1e-5));
}

TEST_CASE("latency and electronics follow the passes that have a pulse", "[analytic]") {
  data::TileSpec tile = energy_tile();
  IntMatrix codes = IntMatrix::Zero(3, 20);
  codes(1, 3) = 5;
  codes(2, 3) = 5, codes(2, 4) = -2, codes(2, 5) = -7;
  EnergyModel model;
  model.conversion_s = 30e-9;
  const ProductEnergy e = model_energy(tile, nodal::random_conductances(20, 6, 11), codes, model);
  const double window = 8 * tile.pulse.t_lsb_s + tile.pulse.t_settle_s;
  for (Index v = 0; v < 3; ++v) {
    const double passes = static_cast<double>(v);  // none, one sign, both signs
    const double pulses = v == 2 ? 3.0 : passes;
    CHECK(e.latency_s[v] == Approx(passes * (window + 30e-9)));
    CHECK(e.conversion_joule[v] == Approx(passes * 6 * model.conversion_joule));
    CHECK(e.row_driver_joule[v] == Approx(pulses * model.row_driver_joule));
    CHECK(e.total_joule()[v] == Approx(e.array_joule[v] + e.conversion_joule[v] + e.row_driver_joule[v]));
  }
  CHECK(e.total_joule()[0] == 0.0);
}

TEST_CASE("the published parts of a 256 x 256 core add up to about its published energy a product", "[kat]") {
  data::TileSpec tile = data::tile_preset("pcm-14nm");
  tile.rows = tile.cols = 256;
  EnergyModel model;
  model.cell_joule = 33e-15;
  ModelSpec ideal;
  ideal.form = tilemodel::Form::ideal;
  const ProductEnergy e = tilemodel::energy_per_product(ideal, tile, Matrix::Constant(256, 256, 5e-6),
                                                        IntMatrix::Constant(1, 256, 64), model);
  CHECK(e.total_joule()[0] == Approx(12.5e-9).epsilon(0.02));
  CHECK(e.latency_s[0] == Approx(129e-9));
}

TEST_CASE("a successive-approximation converter of 8 bits at 1 V takes 0.87 pJ", "[analytic]") {
  CHECK(tilemodel::sar_conversion_joule(8, 1.0) == Approx(865.536e-15));
  CHECK(tilemodel::sar_conversion_joule(8, 0.5) == Approx(0.25 * 865.536e-15));
}

TEST_CASE("bad energy settings are refused by name", "[error]") {
  EnergyModel model;
  model.conversion_joule = -1.0;
  CHECK(message_of(model).find("energy.conversion_joule") != std::string::npos);
  model = {};
  model.cell_joule = std::nan("");
  CHECK(message_of(model).find("energy.cell_joule") != std::string::npos);
  CHECK_THROWS_AS(tilemodel::sar_conversion_joule(0, 1.0), Error);
  const data::TileSpec tile = energy_tile();
  const Matrix g = nodal::random_conductances(20, 6, 12);
  CHECK_THROWS_AS(model_energy(tile, g, IntMatrix::Zero(1, 19)), Error);
  CHECK_THROWS_AS(model_energy(tile, g.leftCols(5), IntMatrix::Zero(1, 20)), Error);
  CHECK_THROWS_AS(model_energy(tile, g, IntMatrix::Constant(1, 20, 8)), Error);
  data::TileSpec level = tile;
  level.drive = data::Drive::level;
  tilemodel::Workspace workspace;
  CHECK_THROWS_AS(EnergyMeter(ModelSpec{}, level, g).column_wire_joule(IntMatrix::Zero(1, 20), workspace),
                  Error);
}
