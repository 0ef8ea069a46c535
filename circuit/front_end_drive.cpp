#include <algorithm>
#include <array>
#include <boost/numeric/odeint.hpp>
#include <cmath>
#include <limits>

#include "circuit/front_end.hpp"
#include "core/error.hpp"

namespace crosstile::circuit {

namespace {

namespace odeint = boost::numeric::odeint;

// Integrates from 0 to the window's end, piece by piece; `watch` sees every step.
template <typename State, typename Rate, typename Watch>
void integrate_pieces(const FrontEndDrive& drive, double tolerance, State& state, const Rate& rate, const Watch& watch) {
  std::vector<double> edges{0.0};
  for (const double t : drive.breaks_s)
    if (t > edges.back() && t < drive.window_s) edges.push_back(t);
  edges.push_back(drive.window_s);
  for (std::size_t k = 0; k + 1 < edges.size(); ++k) {
    auto stepper = odeint::make_controlled<odeint::runge_kutta_dopri5<State>>(tolerance, tolerance);
    const double begin = edges[k], end = edges[k + 1], inside = 1e-12 * (end - begin);
    // At a jump the current has two values; a piece sees those of its own side.
    const auto own_side = [&](const State& x, State& dx, double t) { rate(x, dx, std::clamp(t, begin + inside, end - inside)); };
    odeint::integrate_adaptive(stepper, own_side, state, begin, end, 1e-3 * (end - begin), watch);
  }
}

FrontEndOutput run_integrator(const data::FrontEndSpec& spec, double c_int, const FrontEndDrive& drive, double tolerance) {
  using State = std::array<double, 2>;  // voltage across c_int, output
  const OpAmp amp(spec, c_int);
  FrontEndOutput out;
  State state{0.0, amp.reset_output()};
  const auto rate = [&](const State& x, State& dx, double t) {
    dx[0] = (drive.ampere(t) - amp.leak_siemens * x[0]) / c_int;
    dx[1] = amp.output_slope(x[0] + x[1], x[1]);
  };
  integrate_pieces(drive, tolerance, state, rate, [&](const State& x, double) {
    ++out.steps;
    out.saturated = out.saturated || amp.clips(x[1]);
  });
  out.output_volt = state[1];
  out.charge_coulomb = -c_int * (state[1] - amp.reset_output());
  return out;
}

// Phase in counts (cco), or charge in units of the charge per count (ideal).
FrontEndOutput run_oscillator(const data::FrontEndSpec& spec, const FrontEndDrive& drive, double tolerance) {
  using State = std::array<double, 1>;
  const Oscillator oscillator(spec);
  const bool counts = spec.kind == data::FrontEndKind::cco;
  FrontEndOutput out;
  State state{0.0};
  const auto rate = [&](const State&, State& dx, double t) {
    const double ampere = drive.ampere(t);
    dx[0] = counts ? oscillator.frequency(ampere) : ampere / oscillator.charge_per_count_coulomb;
    out.saturated = out.saturated || (counts && oscillator.limits(ampere));
  };
  integrate_pieces(drive, tolerance, state, rate, [&](const State&, double) { ++out.steps; });
  out.counts = counts ? state[0] : 0.0;
  out.saturated = out.saturated || (counts && oscillator.overflows(state[0]));
  out.charge_coulomb = (counts ? oscillator.count(state[0]) : state[0]) * oscillator.charge_per_count_coulomb;
  return out;
}

}  // namespace

FrontEndOutput drive_front_end(const data::FrontEndSpec& spec, double c_int_farad, const FrontEndDrive& drive, double tolerance) {
  constexpr double kLargest = std::numeric_limits<double>::max();
  if (!drive.ampere) throw Error(ErrorKind::usage, "drive_front_end: no current given");
  if (!(drive.window_s > 0.0)) throw_out_of_range("window_s", drive.window_s, "allowed: above 0");
  require_in_range("tolerance", tolerance, 1e-14, 1e-1);
  if (spec.kind != data::FrontEndKind::integrator) return run_oscillator(spec, drive, tolerance);
  require_in_range("c_int_farad", c_int_farad, std::numeric_limits<double>::min(), kLargest);
  return run_integrator(spec, c_int_farad, drive, tolerance);
}

}  // namespace crosstile::circuit
