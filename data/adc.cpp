#include "data/adc.hpp"

#include <algorithm>
#include <cmath>

#include "core/error.hpp"
#include "core/random.hpp"

namespace crosstile::data {

Adc::Adc(const AdcSpec& spec, double full_scale_coulomb, Index cols, bool is_signed, std::uint64_t seed,
         std::uint32_t tile)
    : rounding_(spec.rounding), gain_(Vector::Ones(cols)), offset_lsb_(Vector::Zero(cols)) {
  if (!(full_scale_coulomb > 0.0) || !std::isfinite(full_scale_coulomb))
    throw_out_of_range("adc.full_scale_coulomb", full_scale_coulomb, "it must be a positive number");
  highest_code_ = is_signed ? std::ldexp(1.0, spec.bits - 1) - 1.0 : std::ldexp(1.0, spec.bits) - 1.0;
  lowest_code_ = is_signed ? -highest_code_ : 0.0;
  lsb_coulomb_ = full_scale_coulomb / highest_code_;
  const RandomKey key{seed, Stream::adc, tile};
  for (Index j = 0; j < cols; ++j) {
    const auto draw = random_normal4(key, 0, static_cast<std::uint64_t>(j));
    gain_[j] = 1.0 + spec.gain_spread * draw[0];
    offset_lsb_[j] = spec.offset_spread_lsb * draw[1];
  }
}

double Adc::convert(double charge_coulomb, Index j) const {
  const double level = gain_[j] * charge_coulomb / lsb_coulomb_ + offset_lsb_[j];
  const double code = rounding_ == AdcRounding::round ? std::round(level) : std::floor(level);
  return std::clamp(code, lowest_code_, highest_code_) * lsb_coulomb_;
}

void Adc::convert(Eigen::Ref<Matrix> charge_coulomb) const {
  for (Index v = 0; v < charge_coulomb.rows(); ++v)
    for (Index j = 0; j < charge_coulomb.cols(); ++j) charge_coulomb(v, j) = convert(charge_coulomb(v, j), j);
}

}  // namespace crosstile::data
