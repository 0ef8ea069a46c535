#include "bench/text_table.hpp"

#include <algorithm>

namespace crosstile::bench {

namespace {

constexpr const char* kGap = "  ";

// Lines of at most `widest` characters, broken at blanks where there are any.
std::vector<std::string> wrapped(const std::string& text, std::size_t widest) {
  std::vector<std::string> lines;
  std::string rest = text;
  while (rest.size() > widest) {
    const std::size_t blank = rest.rfind(' ', widest);
    const bool at_blank = blank != std::string::npos && blank > 0;
    const std::size_t cut = at_blank ? blank : widest;
    lines.push_back(rest.substr(0, cut));
    rest = rest.substr(at_blank ? cut + 1 : cut);
  }
  lines.push_back(rest);
  return lines;
}

std::string padded(const std::string& text, std::size_t width, bool right) {
  const std::string blanks(width > text.size() ? width - text.size() : 0, ' ');
  return right ? blanks + text : text + blanks;
}

void append_row(std::string& out, const std::vector<TextColumn>& columns, const std::vector<std::size_t>& widths,
                const std::vector<std::string>& cells) {
  std::vector<std::vector<std::string>> lines;
  std::size_t height = 1;
  for (std::size_t c = 0; c < columns.size(); ++c) {
    lines.push_back(wrapped(cells[c], widths[c]));
    height = std::max(height, lines.back().size());
  }
  for (std::size_t l = 0; l < height; ++l) {
    std::string line;
    for (std::size_t c = 0; c < columns.size(); ++c)
      line += (c ? kGap : "") + padded(l < lines[c].size() ? lines[c][l] : "", widths[c], columns[c].right_aligned);
    out += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
  }
}

}  // namespace

std::string text_table(const std::vector<TextColumn>& columns, const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths;
  std::vector<std::string> heads;
  std::size_t total = 0;
  for (std::size_t c = 0; c < columns.size(); ++c) {
    std::size_t width = columns[c].head.size();
    for (const auto& row : rows)
      for (const auto& line : wrapped(row[c], columns[c].widest)) width = std::max(width, line.size());
    widths.push_back(width);
    heads.push_back(columns[c].head);
    total += width + (c ? std::string(kGap).size() : 0);
  }
  std::string out;
  append_row(out, columns, widths, heads);
  out += std::string(total, '-') + "\n";
  for (const auto& row : rows) append_row(out, columns, widths, row);
  return out;
}

}  // namespace crosstile::bench
