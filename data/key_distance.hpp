// "Did you mean ...?": the known key nearest to an unknown one. Private to this module.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace crosstile::data {

/// Levenshtein distance: insertions, deletions and substitutions that turn one text into the other.
std::size_t edit_distance(std::string_view a, std::string_view b);

/// The candidate nearest to `key`; a key that only stands in the wrong table counts as near. Nothing when all
/// are far.
std::optional<std::string> nearest_key(const std::string& key, const std::vector<std::string>& candidates);

}  // namespace crosstile::data
