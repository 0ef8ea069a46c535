#include <catch2/catch.hpp>

#include "support.hpp"

using namespace crosstile;
using namespace crosstile::circuit;
using namespace crosstile::circuit::test;

namespace {

// The 16 x 16 tile of tests/reference/ngspice_16x16: both wires 0.35 ohm, sense 50 ohm, 0.5 fF per wire node.
data::TileSpec ngspice_tile() {
  data::TileSpec tile = plain_tile(16, 16);
  tile.r_row_ohm = tile.r_col_ohm = 0.35;
  tile.r_sense_ohm = 50.0;
  tile.c_row_farad = tile.c_col_farad = 0.5e-15;
  return tile;
}

double largest_difference(const Vector& charge, const Matrix& stored) {
  return (charge - stored.col(1)).cwiseAbs().maxCoeff() / stored.col(1).cwiseAbs().maxCoeff();
}

}  // namespace

TEST_CASE("Level drive gives the charge of ngspice", "[cross]") {
  data::TileSpec tile = ngspice_tile();
  tile.drive = data::Drive::level;
  tile.pulse.t_edge_s = 0.1e-9;
  const Crossbar crossbar(tile, read_reference("ngspice_16x16/G_16.csv"));
  const IntVector codes = read_reference("ngspice_16x16/codes_16.csv").row(0).cast<int>();
  const auto result = solve_charge(crossbar, codes);
  CHECK(result.status == Status::ok);
  CHECK(largest_difference(result.charge_coulomb, read_reference("ngspice_16x16/q_level_16.csv")) < 1e-6);
}

TEST_CASE("Gated drive gives the charge of ngspice", "[cross]") {
  data::TileSpec tile = ngspice_tile();
  tile.selector.r_on_ohm = 1.0;
  const Crossbar crossbar(tile, read_reference("ngspice_16x16/G_16.csv"));
  const IntVector codes = read_reference("ngspice_16x16/codes_16.csv").row(0).cast<int>();
  const auto result = solve_charge(crossbar, codes);
  CHECK(result.status == Status::ok);
  CHECK(largest_difference(result.charge_coulomb, read_reference("ngspice_16x16/q_gated_16.csv")) < 1e-6);
}

TEST_CASE("The bipolar ladder gives the charges of the public time-dependent model", "[cross]") {
  data::TileSpec tile = plain_tile(64, 16);
  tile.drive = data::Drive::bipolar;
  tile.weight_layout = data::WeightLayout::bipolar;
  tile.r_row_ohm = 0.0;
  tile.r_col_ohm = 0.35;
  tile.sense_segment = 0.5;
  tile.sense = data::SenseEnd::alternate;
  const Crossbar crossbar(tile, read_reference("bipolar_ladder_64x16/g_plus.csv"), read_reference("bipolar_ladder_64x16/g_minus.csv"));
  const Matrix codes = read_reference("bipolar_ladder_64x16/codes.csv");
  const Matrix stored = read_reference("bipolar_ladder_64x16/charge.csv");
  const double largest = stored.cwiseAbs().maxCoeff();
  const Matrix w = effective_matrix(crossbar);
  for (Index v = 0; v < codes.rows(); ++v) {
    const IntVector code = codes.row(v).cast<int>();
    const auto result = solve_charge(crossbar, code);
    CHECK(result.status == Status::ok);
    CHECK((result.charge_coulomb - stored.row(v).transpose()).cwiseAbs().maxCoeff() < 1e-10 * largest);
    const Vector product = w.transpose() * codes.row(v).transpose() * (tile.v_read_volt * tile.pulse.t_lsb_s);
    CHECK((product - stored.row(v).transpose()).cwiseAbs().maxCoeff() < 1e-10 * largest);
  }
}
