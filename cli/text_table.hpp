// Tables of a results file as text.
#pragma once

#include <string>

#include "validation/results.hpp"

namespace crosstile::cli {

/// Title, headings, rows and caption; text to the left, numbers (4 significant digits) to the right.
std::string to_text(const validation::Table& table);

}  // namespace crosstile::cli
