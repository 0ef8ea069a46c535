#include "data/key_distance.hpp"

#include <algorithm>
#include <numeric>

namespace crosstile::data {

namespace {

std::string_view last_part(std::string_view key) {
  return key.substr(key.rfind('.') + 1);
}

}  // namespace

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i + 1;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t substituted = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({substituted, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

std::optional<std::string> nearest_key(const std::string& key, const std::vector<std::string>& candidates) {
  std::optional<std::string> best;
  std::size_t best_cost = std::max<std::size_t>(3, last_part(key).size() / 2) + 1;
  for (const auto& candidate : candidates) {
    const std::size_t same_place = edit_distance(key, candidate);
    const std::size_t other_place = 1 + 2 * edit_distance(last_part(key), last_part(candidate));
    const std::size_t cost = std::min(same_place, other_place);
    if (cost < best_cost) {
      best_cost = cost;
      best = candidate;
    }
  }
  return best;
}

}  // namespace crosstile::data
