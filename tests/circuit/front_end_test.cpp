#include <boost/numeric/odeint.hpp>
#include <catch2/catch.hpp>
#include <cmath>
#include <numbers>

#include "core/error.hpp"
#include "support.hpp"

using namespace crosstile;
using namespace crosstile::circuit;
using namespace crosstile::circuit::test;

namespace {

// One column with RC and an op-amp integrator, written down by hand and integrated by Boost.Odeint's Dormand-Prince pair:
// shares nothing with the solver but the equations of docs/theory.md, "Front ends".
class ColumnByHand {
 public:
  using State = std::vector<double>;  // column nodes, voltage across c_int, op-amp output

  ColumnByHand(const data::TileSpec& tile, const Matrix& g) : tile_(tile), g_(g) {}

  double charge(const IntVector& codes) const {
    const auto& front = tile_.front_end;
    const double c_int = integration_capacitance(tile_);
    const double reset = front.offset_volt * front.dc_gain / (1.0 + front.dc_gain);
    State state(static_cast<std::size_t>(tile_.rows) + 2, 0.0);
    state.back() = reset;
    std::vector<double> edges{0.0, 128e-9 * std::ldexp(1.0, tile_.pulse.dac_bits - 8) + tile_.pulse.t_settle_s};
    for (Index i = 0; i < tile_.rows; ++i) edges.push_back(codes[i] * tile_.pulse.t_lsb_s);
    std::sort(edges.begin(), edges.end());
    using Stepper = boost::numeric::odeint::runge_kutta_dopri5<State>;
    for (std::size_t k = 0; k + 1 < edges.size(); ++k) {
      if (edges[k + 1] - edges[k] < 1e-15) continue;
      const double middle = 0.5 * (edges[k] + edges[k + 1]);
      const auto rate = [&](const State& x, State& dx, double) { derivative(x, dx, codes, middle); };
      boost::numeric::odeint::integrate_adaptive(boost::numeric::odeint::make_controlled<Stepper>(1e-13, 1e-11), rate, state, edges[k],
                                                 edges[k + 1], 1e-15);
    }
    return -c_int * (state.back() - reset);
  }

 private:
  void derivative(const State& x, State& dx, const IntVector& codes, double t) const {
    const auto& front = tile_.front_end;
    const std::size_t n = static_cast<std::size_t>(tile_.rows);
    const double v_cap = x[n], v_out = x[n + 1], v_x = v_cap + v_out;
    const double end = tile_.sense_segment * tile_.r_col_ohm + tile_.r_sense_ohm;
    const double sensed = (x[n - 1] - v_x) / end;
    for (std::size_t k = 0; k < n; ++k) {
      const bool on = codes[static_cast<Index>(k)] * tile_.pulse.t_lsb_s > t;
      double current = 0.0;
      if (tile_.drive == data::Drive::gated) current = on ? g_(static_cast<Index>(k), 0) * (tile_.v_read_volt - x[k]) : 0.0;
      else current = g_(static_cast<Index>(k), 0) * ((on ? tile_.v_read_volt : 0.0) - x[k]);
      if (k > 0) current += (x[k - 1] - x[k]) / tile_.r_col_ohm;
      current -= k + 1 < n ? (x[k] - x[k + 1]) / tile_.r_col_ohm : sensed;
      dx[k] = current / tile_.c_col_farad;
    }
    dx[n] = (sensed - front.leak_siemens * v_cap) / integration_capacitance(tile_);
    const double unity = 2.0 * std::numbers::pi * front.gain_bandwidth_hz;
    const double wanted = unity * (front.offset_volt - v_x) - unity / front.dc_gain * v_out;
    double beyond = 0.0;
    if (v_out > front.swing_volt) beyond = v_out - front.swing_volt;
    if (v_out < -front.swing_volt) beyond = v_out + front.swing_volt;
    dx[n + 1] = front.slew_volt_per_s * std::tanh(wanted / front.slew_volt_per_s) - 100.0 * unity * beyond;
  }

  data::TileSpec tile_;
  Matrix g_;
};

data::TileSpec column_tile() {
  data::TileSpec tile = plain_tile(6, 1);
  tile.r_row_ohm = 0.0;
  tile.r_col_ohm = 300.0;
  tile.r_sense_ohm = 400.0;
  tile.c_col_farad = 20e-15;
  tile.pulse.dac_bits = 5;
  tile.pulse.t_settle_s = 3e-9;
  tile.front_end.kind = data::FrontEndKind::integrator;
  return tile;
}

double relative_gap(const data::TileSpec& tile) {
  const Matrix g = random_conductances(tile, 4);
  const IntVector codes = random_codes(tile.rows, 1, 15, 4);
  TransientOptions options;
  options.relative_tolerance = 1e-9;
  const auto transient = solve_transient(Crossbar(tile, g), codes, options);
  REQUIRE(transient.failure == "");
  const double by_hand = ColumnByHand(tile, g).charge(codes);
  return std::abs(transient.charge_coulomb[0] - by_hand) / std::abs(by_hand);
}

}  // namespace

TEST_CASE("A column with RC and op-amp agrees with Boost.Odeint", "[cross]") {
  data::TileSpec tile = column_tile();
  for (const data::Drive drive : {data::Drive::gated, data::Drive::level}) {
    tile.drive = drive;
    CAPTURE(data::to_name(drive));
    CHECK(relative_gap(tile) < 1e-7);
  }
}

TEST_CASE("Leak, offset, low gain and slew limit agree with Boost.Odeint", "[cross]") {
  data::TileSpec tile = column_tile();
  SECTION("leak and offset") {
    tile.front_end.leak_siemens = 1e-6;
    tile.front_end.offset_volt = 2e-3;
  }
  SECTION("low gain") { tile.front_end.dc_gain = 30.0; }
  SECTION("slew limit") { tile.front_end.slew_volt_per_s = 2e7; }
  SECTION("clipped swing") { tile.front_end.c_int_farad = 0.3 * integration_capacitance(tile) / 4.0; }
  CHECK(relative_gap(tile) < 1e-6);
}

TEST_CASE("An ideal op-amp measures the charge of the virtual ground", "[property]") {
  data::TileSpec tile = column_tile();
  tile.c_col_farad = 0.0;
  tile.c_row_farad = 0.0;
  tile.front_end.dc_gain = 1e8;
  tile.front_end.gain_bandwidth_hz = 1e13;
  tile.front_end.slew_volt_per_s = 1e15;
  const Matrix g = random_conductances(tile, 4);
  const IntVector codes = random_codes(tile.rows, 1, 15, 4);
  const auto events = solve_charge(Crossbar(tile, g), codes);
  const auto transient = solve_transient(Crossbar(tile, g), codes);
  REQUIRE(transient.status == Status::ok);
  CHECK(transient.charge_coulomb[0] == Approx(events.charge_coulomb[0]).epsilon(1e-5));
}

TEST_CASE("A clipping integrator loses charge", "[property]") {
  data::TileSpec tile = column_tile();
  const Matrix g = random_conductances(tile, 4);
  const IntVector codes = random_codes(tile.rows, 10, 15, 4);
  const double free = solve_transient(Crossbar(tile, g), codes).charge_coulomb[0];
  tile.front_end.c_int_farad = 0.25 * free / tile.front_end.swing_volt;
  CHECK(solve_transient(Crossbar(tile, g), codes).charge_coulomb[0] < 0.3 * free);
}

TEST_CASE("An op-amp without any resistance before it is refused", "[error]") {
  data::TileSpec tile = column_tile();
  tile.sense_segment = 0.0;
  tile.r_sense_ohm = 0.0;
  const Crossbar crossbar(tile, random_conductances(tile, 4));
  CHECK_THROWS_WITH(solve_transient(crossbar, random_codes(6, 1, 15, 4)), Catch::Contains("r_sense_ohm"));
}
