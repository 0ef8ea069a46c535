#include "data/text_format.hpp"

#include <array>
#include <charconv>

namespace crosstile::data {

std::string shortest(double value) {
  std::array<char, 32> buffer;
  const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value);
  return {buffer.data(), end.ptr};
}

std::string allowed_range(double low, double high) {
  constexpr double kOpen = 1e300;
  const bool open_below = low <= -kOpen;
  const bool open_above = high >= kOpen;
  if (open_below && open_above) return "allowed: any finite number";
  if (open_below) return "allowed: at most " + shortest(high);
  const std::string begin = low == kAboveZero ? "above 0" : shortest(low);
  if (open_above) return low == kAboveZero ? "allowed: above 0" : "allowed: at least " + begin;
  return "allowed: " + begin + " to " + shortest(high);
}

std::string allowed_range(std::int64_t low, std::int64_t high) {
  return "allowed: " + std::to_string(low) + " to " + std::to_string(high);
}

std::string in_quotes(std::string_view text) {
  constexpr std::size_t kLongest = 60;
  if (text.size() <= kLongest) return '"' + std::string(text) + '"';
  return '"' + std::string(text.substr(0, kLongest)) + "...\"";
}

}  // namespace crosstile::data
