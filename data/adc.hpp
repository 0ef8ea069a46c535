// Analog-to-digital conversion of column charges.
#pragma once

#include "core/types.hpp"
#include "data/tile.hpp"

namespace crosstile::data {

/// One converter per column, with its gain and offset errors drawn once from (seed, tile).
class Adc {
 public:
  /// is_signed: codes -(2^(b-1)-1)..2^(b-1)-1 over +-full scale instead of 0..2^b-1 over 0..full scale. Errors: usage when no
  /// positive full scale is given.
  Adc(const AdcSpec& spec, double full_scale_coulomb, Index cols, bool is_signed, std::uint64_t seed, std::uint32_t tile);

  /// Charge of one code step, coulomb.
  double lsb_coulomb() const { return lsb_coulomb_; }
  /// code * lsb for one charge of column j: gain and offset error, rounding or floor, clipping.
  double convert(double charge_coulomb, Index j) const;
  /// convert() in place on a batch (vectors x cols).
  void convert(Eigen::Ref<Matrix> charge_coulomb) const;

 private:
  AdcRounding rounding_;
  double lsb_coulomb_;
  double lowest_code_;
  double highest_code_;
  Vector gain_;         // cols
  Vector offset_lsb_;   // cols
};

}  // namespace crosstile::data
