// Many cells at once: the laws of device/cell.cpp, sixteen cells in SIMD lanes. A lane that does not converge in a few of Newton's steps goes
// to the safeguarded scalar law.
#include <array>
#include <cmath>

#include "core/types.hpp"
#include "device/cell.hpp"

namespace crosstile::device {

namespace {

constexpr Index kLanes = 16;
using Lanes = Eigen::Array<double, kLanes, 1>;

constexpr double kTiny = 1e-300;     // keeps 0 / 0 away from cells that do not conduct
constexpr double kNewtonEnd = 1e-8;  // relative length of a step after which the next, quadratically shorter one would be rounding
constexpr int kMaxSteps = 12;

Lanes choose(const Lanes& condition, const Lanes& if_negative, const Lanes& otherwise) {
  Lanes out;
  for (Index k = 0; k < kLanes; ++k) out[k] = condition[k] < 0.0 ? if_negative[k] : otherwise[k];
  return out;
}

Lanes with_sign(const Lanes& size, const Lanes& sign) {
  Lanes out;
  for (Index k = 0; k < kLanes; ++k) out[k] = std::copysign(size[k], sign[k]);
  return out;
}

/// ln(1 + x) for x >= 0; the second term gives back what 1 + x rounded away.
Lanes log_1_plus(const Lanes& x) {
  const Lanes total = 1.0 + x;
  return total.log() + (x - (total - 1.0)) / total;
}

Lanes inverse_sinh(const Lanes& z) {
  const Lanes size = z.abs();
  return with_sign(log_1_plus(size + size * (size / (1.0 + (1.0 + size.square()).sqrt()))), z);
}

struct SinhCosh {
  Lanes sinh, cosh;
};

SinhCosh sinh_cosh(const Lanes& y) {
  const Lanes up = y.abs().exp(), down = up.inverse(), square = y.square();
  // Below 1/2 the difference of exponentials would lose digits; the series is cut at 1e-18.
  Lanes series = Lanes::Ones();
  for (const double factor : {210.0, 156.0, 110.0, 72.0, 42.0, 20.0, 6.0}) series = 1.0 + series * square * (1.0 / factor);
  return {choose(y.abs() - 0.5, y * series, with_sign(0.5 * (up - down), y)), 0.5 * (up + down)};
}

/// ln(1 + exp(u)) = positive + rest, and its slope.
struct Softplus {
  Lanes positive, rest, share;

  explicit Softplus(const Lanes& u) {
    const Lanes e = (-u.abs()).exp();
    const Lanes inverse = (1.0 + e).inverse();
    positive = u.max(0.0);
    rest = log_1_plus(e);
    share = choose(u, e * inverse, inverse);
  }
  Lanes value() const { return positive + rest; }
  /// Slope and curvature of its square.
  Lanes slope() const { return 2.0 * value() * share; }
  Lanes curvature() const { return 2.0 * share * (share + value() * (1.0 - share)); }
};

/// Channel between u_s and u_s - d, over I_s.
Lanes channel_current(const Softplus& source, const Softplus& drain, const Lanes& d) {
  // The positive parts differ by exactly d where both are in strong inversion.
  const Lanes forward = d.max(0.0).min(source.positive), backward = (-d).max(0.0).min(drain.positive);
  return (forward - backward + (source.rest - drain.rest)) * (source.value() + drain.value());
}

struct Result {
  Lanes current, by_row, by_column;
  Lanes unconverged;  // negative where the lane gave up
};

/// Negative where the step is not short enough (NaN included).
Lanes open_end(const Lanes& step, const Lanes& unknown) {
  Lanes out;
  for (Index k = 0; k < kLanes; ++k) out[k] = std::abs(step[k]) <= kNewtonEnd * std::abs(unknown[k]) + kTiny ? 1.0 : -1.0;
  return out;
}

Result sinh_with_resistor(const Lanes& g, const Lanes& v, double v_h, double r_on) {
  const Lanes w = v.abs() / v_h;
  Result out;
  out.unconverged.setOnes();
  if (r_on == 0.0) {
    const SinhCosh at = sinh_cosh(v / v_h);
    out.current = g * v_h * at.sinh;
    out.by_row = out.by_column = g * at.cosh;
    return out;
  }
  // As series_root in cell.cpp: falls from an upper bound; asinh(x) <= ln(1 + 2 x).
  const Lanes a = g * r_on;
  Lanes y = (w / (1.0 + a)).min((1.0 + 2.0 * w / (a + kTiny)).log());
  SinhCosh at;
  for (int step = 0; step < kMaxSteps; ++step) {
    at = sinh_cosh(y);
    const Lanes change = (y - w + a * at.sinh) / (1.0 + a * at.cosh);
    y -= change;
    at.sinh += change * (0.5 * change * at.sinh - at.cosh);
    at.cosh -= change * at.sinh;
    out.unconverged = open_end(change, y);
    if (out.unconverged.minCoeff() > 0.0) break;
  }
  out.current = with_sign(g * v_h * at.sinh, v);
  out.by_row = out.by_column = g * at.cosh / (1.0 + r_on * g * at.cosh);
  return out;
}

struct Transistor {
  double two_phi, scale_ampere;
  Softplus source;
  Lanes u_source;

  Transistor(const Lanes& pinch_off_volt, double two_phi_volt, double scale)
      : two_phi(two_phi_volt), scale_ampere(scale), source(pinch_off_volt / two_phi_volt), u_source(pinch_off_volt / two_phi_volt) {}

  /// Channel voltage over 2 phi where the channel's parabola around 0 meets a device current `level - slope d` (over I_s).
  Lanes first_guess(const Lanes& level, const Lanes& slope) const {
    const Lanes b = source.slope() + slope + kTiny;
    const Lanes discriminant = (b.square() - 2.0 * source.curvature() * level).max(0.0);
    return 2.0 * level / (b + discriminant.sqrt());
  }
  /// Slopes of device and channel in series; d(device current)/dv, and the channel's at its drain and source over I_s / 2 phi.
  void series(const Lanes& device, const Lanes& by_drain, Result& out) const {
    const double unit = scale_ampere / two_phi;
    const Lanes share = device / (device + unit * by_drain);
    out.by_row = share * unit * by_drain;
    out.by_column = share * unit * source.slope();
  }
};

Result ohmic_with_transistor(const Lanes& g, const Lanes& v, const Transistor& mos) {
  Result out;
  const Lanes slope = g * (mos.two_phi / mos.scale_ampere), level = g * v / mos.scale_ampere;
  Lanes d = mos.first_guess(level, slope), current, by_drain;
  for (int step = 0; step < kMaxSteps; ++step) {
    const Softplus drain(mos.u_source - d);
    current = channel_current(mos.source, drain, d);
    by_drain = drain.slope();
    const Lanes change = (current - level + slope * d) / (by_drain + slope);
    d -= change;
    current -= by_drain * change;
    by_drain += drain.curvature() * change;
    out.unconverged = open_end(change, d);
    if (out.unconverged.minCoeff() > 0.0) break;
  }
  const Lanes channel = mos.two_phi * d, left = v - channel;
  out.current = choose(channel.abs() - left.abs(), g * left, mos.scale_ampere * current);
  mos.series(g, by_drain, out);
  return out;
}

Result sinh_with_transistor(const Lanes& g, const Lanes& v, double v_h, const Transistor& mos) {
  Result out;
  const Lanes unit = g * (v_h / mos.scale_ampere), over = v / mos.two_phi;
  const double volt_ratio = v_h / mos.two_phi;
  const SinhCosh full = sinh_cosh(v / v_h);
  Lanes d = mos.first_guess(unit * full.sinh, unit * full.cosh / volt_ratio), current, by_drain;
  for (int step = 0; step < kMaxSteps; ++step) {
    const Softplus drain(mos.u_source - d);
    current = channel_current(mos.source, drain, d);
    by_drain = drain.slope();
    const Lanes z = current / unit;
    const Lanes change = (volt_ratio * inverse_sinh(z) - over + d) / (1.0 + volt_ratio * by_drain / (unit * (1.0 + z.square()).sqrt()));
    d -= change;
    current -= by_drain * change;
    by_drain += drain.curvature() * change;
    out.unconverged = open_end(change, d);
    if (out.unconverged.minCoeff() > 0.0) break;
  }
  const Lanes channel = mos.two_phi * d, left = v - channel;
  const SinhCosh at = sinh_cosh(left / v_h);
  out.current = choose(channel.abs() - left.abs().min(v_h), g * v_h * at.sinh, mos.scale_ampere * current);
  mos.series(g * (1.0 + (mos.scale_ampere * current / (g * v_h)).square()).sqrt(), by_drain, out);
  return out;
}

}  // namespace

void CellModel::branches(double gate_volt, const Inputs& in, const Outputs& out) const {
  const auto size = static_cast<Index>(in.g_siemens.size());
  const auto put = [&](Index k, const CellBranch& cell) {
    const auto n = static_cast<std::size_t>(k);
    out.current_ampere[n] = cell.current_ampere;
    out.by_row_siemens[n] = cell.by_row_siemens;
    out.by_column_siemens[n] = cell.by_column_siemens;
  };
  if (!(gate_volt > 0.0)) {
    for (Index k = 0; k < size; ++k) put(k, {});
    return;
  }
  for (Index begin = 0; begin < size; begin += kLanes) {
    const Index count = std::min(kLanes, size - begin);
    Lanes g = Lanes::Ones(), v_row = Lanes::Zero(), v_column = Lanes::Zero();
    for (Index k = 0; k < count; ++k) {
      const auto n = static_cast<std::size_t>(begin + k);
      g[k] = std::max(in.g_siemens[n], 1e-30);  // an open cell is set to 0 below
      v_row[k] = in.v_row_volt[n];
      v_column[k] = in.v_column_volt[n];
    }
    Result cells;
    if (mos_) {
      const Transistor mos((gate_volt - threshold_) / slope_factor_ - v_column, two_phi_, scale_ampere_);
      cells = sinh_ ? sinh_with_transistor(g, v_row - v_column, v_h_, mos) : ohmic_with_transistor(g, v_row - v_column, mos);
    } else if (sinh_) {
      cells = sinh_with_resistor(g, v_row - v_column, v_h_, r_on_);
    } else {
      cells.by_row = cells.by_column = g / (1.0 + g * r_on_);
      cells.current = cells.by_row * (v_row - v_column);
      cells.unconverged.setOnes();
    }
    for (Index k = 0; k < count; ++k) {
      const double given = in.g_siemens[static_cast<std::size_t>(begin + k)];
      if (given == 0.0) put(begin + k, {});
      else if (cells.unconverged[k] < 0.0) put(begin + k, branch(given, v_row[k], v_column[k], gate_volt));
      else put(begin + k, {cells.current[k], cells.by_row[k], cells.by_column[k]});
    }
  }
}

}  // namespace crosstile::device
