#include "data/csv.hpp"

#include <array>
#include <charconv>
#include <cmath>
#include <optional>
#include <string_view>
#include <vector>

#include "core/error.hpp"
#include "core/files.hpp"
#include "data/hdf5_file.hpp"
#include "data/text_format.hpp"

namespace crosstile::data {

namespace {

constexpr std::uint64_t kMaxCsvBytes = std::uint64_t{1} << 32;

std::string_view trim(std::string_view text) {
  const auto begin = text.find_first_not_of(" \t\r");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\r") - begin + 1);
}

// The number that fills the whole cell; a leading '+' is allowed.
std::optional<double> parse_number(std::string_view cell) {
  if (cell.size() > 1 && cell[0] == '+' && cell[1] != '-') cell.remove_prefix(1);
  double value = 0.0;
  const auto result = std::from_chars(cell.data(), cell.data() + cell.size(), value);
  if (result.ec != std::errc{} || result.ptr != cell.data() + cell.size()) return std::nullopt;
  return value;
}

template <typename Visit>
void for_each_cell(std::string_view line, const Visit& visit) {
  for (Index column = 0;; ++column) {
    const auto comma = line.find(',');
    visit(column, trim(line.substr(0, comma)));
    if (comma == std::string_view::npos) return;
    line.remove_prefix(comma + 1);
  }
}

// A header has no number in it, so that a damaged first row of data is not taken for one.
bool is_header(std::string_view line) {
  bool any_number = false;
  for_each_cell(
      line, [&](Index, std::string_view cell) { any_number = any_number || parse_number(cell).has_value(); });
  return !any_number;
}

// What is wrong with a value, or nothing.
std::string value_problem(double value, const TableExpectation& expected) {
  if (!std::isfinite(value))
    return expected.what + ": " + shortest(value) + " is not allowed; numbers must be finite";
  if (value < expected.low || value > expected.high)
    return expected.what + " = " + shortest(value) + " is not allowed; " +
           allowed_range(expected.low, expected.high);
  if (expected.whole_numbers && value != std::floor(value))
    return expected.what + " = " + shortest(value) + " is not allowed; whole numbers are expected";
  return {};
}

[[noreturn]] void fail(const std::filesystem::path& path, const std::string& message) {
  throw Error(ErrorKind::bad_data, path.string() + ": " + message);
}

void check_shape(const std::filesystem::path& path, const Matrix& table, const TableExpectation& expected) {
  const auto check = [&](Index found, Index wanted, const char* name) {
    if (wanted >= 0 && found != wanted)
      fail(path, expected.what + ": " + std::to_string(found) + " " + name + " found, " +
                     std::to_string(wanted) + " expected");
  };
  check(table.rows(), expected.rows, "rows");
  check(table.cols(), expected.cols, "columns");
}

class CsvParser {
 public:
  CsvParser(const std::filesystem::path& path, const TableExpectation& expected)
      : path_(path), expected_(expected) {}

  Matrix parse(std::string_view text) {
    if (text.substr(0, 3) == "\xEF\xBB\xBF") text.remove_prefix(3);
    text = text.substr(0, text.find_last_not_of(" \t\r\n") + 1);
    for (Index number = 1; !text.empty(); ++number) {
      const auto end = text.find('\n');
      parse_line(trim(text.substr(0, end)), number);
      text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    }
    if (values_.empty()) fail(path_, expected_.what + ": the file holds no numbers");
    return Eigen::Map<const Matrix>(values_.data(), static_cast<Index>(values_.size()) / cols_, cols_);
  }

 private:
  void parse_line(std::string_view line, Index number) {
    const bool before_data = values_.empty();
    if (before_data && (line.starts_with('#') || (number == 1 && !line.empty() && is_header(line)))) return;
    const std::string place = "line " + std::to_string(number);
    if (line.empty()) fail(path_, place + " is empty");
    Index count = 0;
    for_each_cell(line, [&](Index column, std::string_view cell) {
      add_cell(cell, place + ", column " + std::to_string(column + 1));
      ++count;
    });
    if (before_data) cols_ = count;
    if (count != cols_)
      fail(path_, place + " has " + std::to_string(count) + " columns, the lines before it have " +
                      std::to_string(cols_));
  }

  void add_cell(std::string_view cell, const std::string& place) {
    const auto value = parse_number(cell);
    if (!value)
      fail(path_, place + ": " + in_quotes(cell) + " is not a number (or not one a double can hold)");
    const std::string problem = value_problem(*value, expected_);
    if (!problem.empty()) fail(path_, place + ": " + problem);
    values_.push_back(*value);
  }

  const std::filesystem::path& path_;
  const TableExpectation& expected_;
  std::vector<double> values_;
  Index cols_ = 0;
};

// "set.h5" or "set.h5:name": the file and the data set's name (empty: the only one); nothing when it is not
// an HDF5 path.
std::optional<std::pair<std::filesystem::path, std::string>> split_hdf5_path(const std::string& text) {
  for (const std::string_view extension : {".h5", ".hdf5"}) {
    if (text.ends_with(extension)) return {{text, {}}};
    const auto at = text.rfind(std::string(extension) + ":");
    if (at != std::string::npos)
      return {{text.substr(0, at + extension.size()), text.substr(at + extension.size() + 1)}};
  }
  return std::nullopt;
}

}  // namespace

Matrix read_csv(const std::filesystem::path& path, const TableExpectation& expected) {
  const Matrix table = CsvParser(path, expected).parse(read_text(path, kMaxCsvBytes));
  check_shape(path, table, expected);
  return table;
}

Matrix read_table(const std::filesystem::path& path, const TableExpectation& expected) {
  const auto hdf5 = split_hdf5_path(path.string());
  if (!hdf5) return read_csv(path, expected);
  Matrix table = read_hdf5_matrix(hdf5->first, hdf5->second);
  check_shape(path, table, expected);
  for (Index i = 0; i < table.rows(); ++i) {
    for (Index j = 0; j < table.cols(); ++j) {
      const std::string problem = value_problem(table(i, j), expected);
      if (!problem.empty())
        fail(path, "row " + std::to_string(i + 1) + ", column " + std::to_string(j + 1) + ": " + problem);
    }
  }
  return table;
}

void write_csv(const std::filesystem::path& path, const Matrix& table, const std::string& header) {
  if (!table.allFinite()) fail(path, "not written: the table has values that are not finite");
  std::string text = header.empty() ? "" : "# " + header + "\n";
  std::array<char, 40> buffer;
  for (Index i = 0; i < table.rows(); ++i) {
    for (Index j = 0; j < table.cols(); ++j) {
      const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), table(i, j),
                                     std::chars_format::general, 17);
      text.append(buffer.data(), end.ptr);
      text += j + 1 < table.cols() ? ',' : '\n';
    }
  }
  write_text_atomically(path, text);
}

}  // namespace crosstile::data
