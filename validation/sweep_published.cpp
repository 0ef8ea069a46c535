// Published numbers beside a sweep: a CSV file with the keys of axes as headings.
#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <sstream>

#include "core/error.hpp"
#include "core/files.hpp"
#include "validation/sweep.hpp"

namespace crosstile::validation {

namespace {

constexpr std::uint64_t kLargestPublished = std::uint64_t{1} << 24;

// Cells of one line; a cell in double quotes may hold commas.
std::vector<std::string> published_cells(const std::string& line) {
  std::vector<std::string> cells(1);
  bool quoted = false;
  for (const char c : line) {
    if (c == '"')
      quoted = !quoted;
    else if (c == ',' && !quoted)
      cells.emplace_back();
    else if (c != '\r')
      cells.back() += c;
  }
  return cells;
}

std::optional<double> published_share(const std::string& text, const std::string& place) {
  if (text.empty()) return std::nullopt;
  double value = NAN;
  std::size_t used = 0;
  try {
    value = std::stod(text, &used);
  } catch (const std::exception&) {
    used = 0;
  }
  if (used != text.size() || !(value >= 0.0 && value <= 1.0))
    throw Error(ErrorKind::bad_data,
                place + ": \"" + text + "\" is not allowed; allowed: 0 to 1, or nothing");
  return value;
}

}  // namespace

PublishedSweep read_published_sweep(const std::filesystem::path& file, const std::vector<std::string>& keys) {
  PublishedSweep out;
  out.file = file.string();
  out.text = read_text(file, kLargestPublished);
  std::istringstream lines(out.text);
  std::vector<std::string> heads;
  std::vector<std::size_t> columns;  // of the values
  int number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    if (line.empty() || line == "\r" || (heads.empty() && line.front() == '#')) continue;
    const auto cells = published_cells(line);
    const std::string place = fmt::format("{}:{}", out.file, number);
    if (heads.empty()) {
      heads = cells;
      for (std::size_t c = 0; c < heads.size(); ++c) {
        if (heads[c] == "accuracy" || heads[c] == "last_of_batch") continue;
        const auto found = std::find(keys.begin(), keys.end(), heads[c]);
        if (found == keys.end())
          throw Error(ErrorKind::usage,
                      place + ": column \"" + heads[c] +
                          "\" is no axis of the sweep; allowed: keys of axes, accuracy, last_of_batch");
        out.axes.push_back(static_cast<std::size_t>(found - keys.begin()));
        columns.push_back(c);
      }
      continue;
    }
    if (cells.size() != heads.size())
      throw Error(ErrorKind::bad_data,
                  fmt::format("{}: {} cells for {} headings", place, cells.size(), heads.size()));
    out.values.emplace_back();
    for (const std::size_t c : columns) out.values.back().push_back(cells[c]);
    for (std::size_t c = 0; c < heads.size(); ++c) {
      if (heads[c] == "accuracy") out.accuracy.push_back(published_share(cells[c], place));
      if (heads[c] == "last_of_batch") out.last_of_batch.push_back(published_share(cells[c], place));
    }
  }
  if (out.axes.empty() || (out.accuracy.empty() && out.last_of_batch.empty()))
    throw Error(ErrorKind::bad_data,
                out.file + ": no row with a value of an axis and an accuracy or last_of_batch");
  return out;
}

}  // namespace crosstile::validation
