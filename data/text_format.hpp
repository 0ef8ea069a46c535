// Numbers and ranges as they appear in messages and files. Private to this module.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

namespace crosstile::data {

/// Lower end of "any positive number" in a closed range.
inline constexpr double kAboveZero = std::numeric_limits<double>::min();

/// The shortest decimal text that reads back as the same double.
std::string shortest(double value);
/// "allowed: 0 to 1e+06"; kAboveZero reads "above 0"; ends beyond +-1e300 are open.
std::string allowed_range(double low, double high);
std::string allowed_range(std::int64_t low, std::int64_t high);
/// The value in double quotes, cut when it is long.
std::string in_quotes(std::string_view text);

}  // namespace crosstile::data
