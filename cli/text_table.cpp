#include "cli/text_table.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <vector>

namespace crosstile::cli {

namespace {

// Characters, not bytes: every byte of UTF-8 but the continuation bytes begins one.
std::size_t width_of(const std::string& text) {
  return static_cast<std::size_t>(std::count_if(
      text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

std::string padded(const std::string& text, std::size_t width, bool right) {
  const std::string space(width - std::min(width, width_of(text)), ' ');
  return right ? space + text : text + space;
}

std::string cell_text(const validation::Cell& cell) {
  if (const double* number = std::get_if<double>(&cell)) return fmt::format("{:.4g}", *number);
  return std::get<std::string>(cell);
}

}  // namespace

std::string to_text(const validation::Table& table) {
  std::vector<std::size_t> width;
  std::vector<bool> right(table.columns.size(), false);
  for (const auto& heading : table.columns) width.push_back(width_of(heading));
  for (const auto& row : table.rows)
    for (std::size_t c = 0; c < row.size(); ++c) {
      width[c] = std::max(width[c], width_of(cell_text(row[c])));
      right[c] = right[c] || std::holds_alternative<double>(row[c]);
    }
  const auto line = [&](const auto& cell) {
    std::string text = " ";
    for (std::size_t c = 0; c < width.size(); ++c) text += " " + padded(cell(c), width[c], right[c]) + " ";
    return text.substr(0, text.find_last_not_of(' ') + 1) + "\n";
  };
  std::string text = table.title.empty() ? "" : table.title + "\n";
  text += line([&](std::size_t c) { return table.columns[c]; });
  for (const auto& row : table.rows) text += line([&](std::size_t c) { return cell_text(row[c]); });
  if (!table.caption.empty()) text += "  " + table.caption + "\n";
  return text;
}

}  // namespace crosstile::cli
