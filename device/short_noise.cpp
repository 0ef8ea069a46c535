#include "device/short_noise.hpp"

#include "core/error.hpp"

namespace crosstile::device {

void ShortNoise::validate() const {
  shape.validate();
  require_in_range("trace.g_offset_siemens", g_offset_siemens, 0.0, 1.0);
}

}  // namespace crosstile::device
