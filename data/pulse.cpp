#include "data/pulse.hpp"

#include <algorithm>
#include <cmath>

#include "core/error.hpp"

namespace crosstile::data {

namespace {

struct BitGroup {
  int shift;
  int bits;
};

// Which bits of |code| each electrical pass carries.
std::vector<BitGroup> bit_groups(const PulseSpec& pulse) {
  const int magnitude_bits = pulse.dac_bits - 1;
  switch (pulse.passes) {
    case Passes::conventional:
      return {{0, magnitude_bits}};
    case Passes::split:
      return {{0, pulse.split_bits}, {pulse.split_bits, magnitude_bits - pulse.split_bits}};
    case Passes::bit_serial:
      break;
  }
  std::vector<BitGroup> groups;
  for (int bit = 0; bit < magnitude_bits; ++bit) groups.push_back({bit, 1});
  return groups;
}

// The signed share of `group` in one code, or its part of one polarity.
int group_code(int code, const BitGroup& group) {
  const int magnitude = (std::abs(code) >> group.shift) & ((1 << group.bits) - 1);
  return code < 0 ? -magnitude : magnitude;
}

void append_pass(std::vector<Pass>& passes, IntVector codes, double weight, const BitGroup& group,
                 const PulseSpec& pulse) {
  if ((codes.array() == 0).all()) return;
  Pass pass;
  pass.codes = std::move(codes);
  pass.weight = weight;
  // One pass of 2^n - 1 codes is given 2^n slots (docs/theory.md, "How an input becomes a pulse").
  pass.longest_code = 1 << group.bits;
  pass.window_s = pass.longest_code * pulse.t_lsb_s + pulse.t_settle_s;
  passes.push_back(std::move(pass));
}

}  // namespace

int max_code(int dac_bits) {
  return (1 << (dac_bits - 1)) - 1;
}

int dac_code(double x, int dac_bits) {
  if (std::isnan(x)) throw_out_of_range("DAC input", x, "it must be a number");
  return static_cast<int>(std::lround(std::clamp(x, -1.0, 1.0) * max_code(dac_bits)));
}

IntMatrix dac_codes(const Matrix& x, int dac_bits) {
  return x.unaryExpr([dac_bits](double v) { return dac_code(v, dac_bits); });
}

std::vector<Pass> make_passes(const IntVector& codes, const TileSpec& tile) {
  const int limit = max_code(tile.pulse.dac_bits);
  for (Index i = 0; i < codes.size(); ++i)
    if (codes[i] > limit || codes[i] < -limit)
      throw_out_of_range("code of row " + std::to_string(i), codes[i],
                         "allowed: -" + std::to_string(limit) + " to " + std::to_string(limit));

  const bool signed_drive = tile.drive == Drive::bipolar || tile.pulse.sign == SignMode::bipolar;
  std::vector<Pass> passes;
  for (const BitGroup& group : bit_groups(tile.pulse)) {
    const double weight = std::ldexp(1.0, group.shift);
    const IntVector share = codes.unaryExpr([&group](int code) { return group_code(code, group); });
    if (signed_drive) {
      append_pass(passes, share, weight, group, tile.pulse);
    } else {
      append_pass(passes, share.cwiseMax(0), weight, group, tile.pulse);
      append_pass(passes, (-share).cwiseMax(0), -weight, group, tile.pulse);
    }
  }
  return passes;
}

PulseTimes pulse_times(const Pass& pass, const PulseSpec& pulse) {
  const Vector length = pass.codes.cwiseAbs().cast<double>() * pulse.t_lsb_s;
  PulseTimes times;
  times.start_s = Vector::Zero(length.size());
  if (pulse.align == PulseAlign::centre)
    times.start_s = 0.5 * (Vector::Constant(length.size(), pass.longest_code * pulse.t_lsb_s) - length);
  times.end_s = times.start_s + length;
  return times;
}

}  // namespace crosstile::data
