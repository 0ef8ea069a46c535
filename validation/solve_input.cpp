// Reading what `solve` needs: tile, conductances, codes; and refusing what does not go together.
#include <limits>

#include "core/error.hpp"
#include "data/config.hpp"
#include "data/csv.hpp"
#include "data/pulse.hpp"
#include "validation/solve.hpp"

namespace crosstile::validation {

namespace {

using std::filesystem::path;

std::string quoted(std::string_view name) {
  return '"' + std::string(name) + '"';
}
std::string shape_text(const Matrix& m) {
  return std::to_string(m.rows()) + " x " + std::to_string(m.cols());
}

[[noreturn]] void bad_data(const path& file, const std::string& message) {
  throw Error(ErrorKind::bad_data, file.string() + ": " + message);
}

Matrix read_conductances(const path& file) {
  data::TableExpectation expected;
  expected.what = "conductance_siemens";
  expected.low = 0.0;
  expected.high = 1.0;
  return data::read_table(file, expected);
}

// Where the tile's file gives no size, the conductances do; where it does, both must agree.
void match_size(const SolveFiles& files, const char* key, bool given, Index found, Index& wanted) {
  if (given && found != wanted)
    bad_data(files.conductances, std::to_string(found) + " " + key + " of conductances, but " +
                                     files.tile.string() + " says tile." + key + " = " +
                                     std::to_string(wanted));
  wanted = found;
}

IntMatrix read_codes(const path& file, const data::TileSpec& tile) {
  const int limit = data::max_code(tile.pulse.dac_bits);
  data::TableExpectation expected;
  expected.what = "code (whole numbers, -" + std::to_string(limit) + " to " + std::to_string(limit) + ")";
  expected.low = -limit;
  expected.high = limit;
  expected.whole_numbers = true;
  const Matrix codes = data::read_table(file, expected);
  if (codes.cols() != tile.rows)
    bad_data(file, std::to_string(codes.cols()) + " codes a line, but the tile has " +
                       std::to_string(tile.rows) + " rows; one line is one vector with one code per row");
  return codes.cast<int>();
}

}  // namespace

void require_solvable(const data::TileSpec& tile, bool has_minus, const SolveOptions& options) {
  const auto refuse = [](const std::string& why) { throw Error(ErrorKind::usage, why); };
  if (tile.weight_layout == data::WeightLayout::single && has_minus)
    refuse(
        "weight_layout \"single\" has one conductance per weight and takes no minus conductances; use "
        "weight_layout \"pair-columns\"");
  if (tile.drive == data::Drive::bipolar && !has_minus)
    refuse(
        "drive \"bipolar\" puts G+ and G- of a weight on one bit line and needs minus conductances "
        "(--conductances-minus) too");

  const std::string method = "method " + quoted(data::to_name(options.method));
  const std::string is = "; this one has drive " + quoted(data::to_name(tile.drive)) + " and " +
                         std::string(data::to_name(tile.cell.law)) + " cells";
  switch (options.method) {
    case SolveMethod::effective:
      if (!tile.is_linear())
        refuse(method + " needs a tile that is linear in its input (drive level or bipolar, ohmic cells)" +
               is +
               (tile.drive == data::Drive::gated ? "; use charge, ladder or binned"
                                                 : "; use charge or transient"));
      break;
    case SolveMethod::ladder:
    case SolveMethod::binned:
      if (tile.drive != data::Drive::gated)
        refuse(method + " needs a gated tile" + is + "; use charge, transient or effective");
      break;
    default:
      break;
  }
  const bool front_end_matters =
      options.method != SolveMethod::steady && options.method != SolveMethod::transient &&
      options.method != SolveMethod::ngspice;
  const bool counts = options.method == SolveMethod::charge && tile.front_end.kind == data::FrontEndKind::cco;
  if (front_end_matters && !counts && tile.front_end.kind != data::FrontEndKind::ideal)
    refuse(method + " computes the charge of an ideal front end; tile.front_end.kind = " +
           quoted(data::to_name(tile.front_end.kind)) + " needs method \"transient\"");
  if (options.method == SolveMethod::binned) {
    require_in_range("segments", options.segments, 1, 16384);
    require_in_range("time-bins", options.time_bins, 1, 65536);
  }
  if (options.method == SolveMethod::transient)
    require_in_range("relative-tolerance", options.relative_tolerance, 1e-12, 1e-2);
  if (options.method == SolveMethod::ngspice)
    require_in_range("relative-tolerance", options.ngspice_reltol, 1e-12, 1e-2);
}

SolveInput read_solve_input(const SolveFiles& files, const SolveOptions& options) {
  SolveInput input;
  data::Config config = data::Config::from_file(files.tile);
  input.seed =
      static_cast<std::uint64_t>(config.integer("seed", 1, 0, std::numeric_limits<std::int64_t>::max()));
  input.tile = data::read_tile(config);
  const bool rows_given = config.has("tile.rows");
  const bool cols_given = config.has("tile.cols");
  config.finish();
  require_solvable(input.tile, files.conductances_minus.has_value(), options);

  input.g_siemens = read_conductances(files.conductances);
  match_size(files, "rows", rows_given, input.g_siemens.rows(), input.tile.rows);
  match_size(files, "cols", cols_given, input.g_siemens.cols(), input.tile.cols);
  input.tile.validate();
  if (files.conductances_minus) {
    input.g_minus_siemens = read_conductances(*files.conductances_minus);
    if (input.g_minus_siemens->rows() != input.tile.rows || input.g_minus_siemens->cols() != input.tile.cols)
      bad_data(*files.conductances_minus, shape_text(*input.g_minus_siemens) + " conductances, but " +
                                              files.conductances.string() + " has " +
                                              shape_text(input.g_siemens));
  }
  input.codes = read_codes(files.codes, input.tile);
  return input;
}

}  // namespace crosstile::validation
