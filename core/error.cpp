#include "core/error.hpp"

#include <cmath>
#include <sstream>

namespace crosstile {

void throw_out_of_range(const std::string& field, double value, const std::string& allowed) {
  std::ostringstream text;
  text.precision(9);
  text << field << " = " << value << " is not allowed; " << allowed;
  throw Error(ErrorKind::usage, text.str());
}

void require_in_range(const std::string& field, double value, double low, double high) {
  if (std::isfinite(value) && value >= low && value <= high) return;
  std::ostringstream allowed;
  allowed.precision(9);
  allowed << "allowed: " << low << " to " << high;
  throw_out_of_range(field, value, allowed.str());
}

}  // namespace crosstile
