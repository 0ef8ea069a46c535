// Numeric tables as CSV, with or without a header line; and "a matrix from a .csv or .h5 file".
#pragma once

#include <filesystem>
#include <string>

#include "core/types.hpp"

namespace crosstile::data {

/// What a table must look like; a violation is a bad_data Error that names file, line, column, value and the allowed range.
struct TableExpectation {
  std::string what = "table";  ///< used in messages: "conductances"
  Index rows = -1;             ///< -1: any (at least one)
  Index cols = -1;
  double low = -1e300;
  double high = 1e300;
  bool whole_numbers = false;
};

/// Reads numbers separated by commas. A first line that starts with '#' or is not numeric is a header; empty lines at the end are
/// ignored; NaN and infinity are refused. Errors: io, bad_data.
Matrix read_csv(const std::filesystem::path& path, const TableExpectation& expected = {});
/// The same from .csv, or from .h5 (its only two-dimensional data set, or "path.h5:name" to choose one).
Matrix read_table(const std::filesystem::path& path, const TableExpectation& expected = {});
/// Writes one row a line with 17 significant digits, after "# header" when header is not empty. Atomic.
void write_csv(const std::filesystem::path& path, const Matrix& table, const std::string& header = {});

}  // namespace crosstile::data
