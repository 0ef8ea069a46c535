// Aligned columns of text, long cells wrapped between words.
#pragma once

#include <string>
#include <vector>

namespace crosstile::bench {

struct TextColumn {
  std::string head;
  std::size_t widest = 40;   ///< characters; longer cells go on in the next line
  bool right_aligned = false;
};

/// Head, rule, rows. Every row has as many cells as there are columns.
std::string text_table(const std::vector<TextColumn>& columns, const std::vector<std::vector<std::string>>& rows);

}  // namespace crosstile::bench
