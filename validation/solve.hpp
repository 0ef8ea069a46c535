// One tile without any network: conductances and pulse codes in, bit-line charges (or currents) out, by any
// of the circuit's methods or fast forms, and the invariants that such a run must satisfy. This is the
// `solve` command of the program.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "circuit/circuit.hpp"
#include "core/progress.hpp"
#include "core/types.hpp"
#include "data/tile.hpp"

namespace crosstile::validation {

enum class SolveMethod {
  steady,     ///< circuit, one instant: all rows with a code other than 0 on, sign of the drive = sign of the
              ///< code; ampere
  transient,  ///< circuit, SUNDIALS IDA
  ngspice,    ///< circuit, the same as transient in the program ngspice, where it is installed
  charge,     ///< circuit, event-driven
  effective,  ///< product with the circuit's effective matrix (linear tiles)
  ladder,     ///< fast model: exact column ladder (gated tiles)
  binned      ///< fast model: ladder of row segments and time bins (gated tiles)
};

struct SolveOptions {
  SolveMethod method = SolveMethod::charge;
  bool energy = false;               ///< also compute energies (power for steady) and supply currents
  int segments = 8;                  ///< binned
  int time_bins = 8;                 ///< binned
  double relative_tolerance = 1e-9;  ///< transient
  double ngspice_reltol = 1e-6;      ///< ngspice
  int threads = 0;                   ///< 0: the number of processors; no influence on the result
};

struct SolveInput {
  data::TileSpec tile;
  std::uint64_t seed = 1;  ///< gain and offset errors of the ADC
  Matrix g_siemens;        ///< rows x cols
  /// rows x cols. Layout pair-columns: a second crossbar, whose output is subtracted; layout bipolar: the
  /// other half of each pair.
  std::optional<Matrix> g_minus_siemens;
  IntMatrix codes;  ///< vectors x rows
};

struct SolveFiles {
  std::filesystem::path tile;                               ///< TOML: [tile] and seed
  std::filesystem::path conductances;                       ///< .csv or .h5
  std::optional<std::filesystem::path> conductances_minus;  ///< .csv or .h5
  std::filesystem::path codes;                              ///< .csv or .h5
};

/// Reads and checks everything `solve` needs. Where the TOML file does not give tile.rows or tile.cols, the
/// conductances do. Errors: usage (all mistakes of the TOML file; what require_solvable says), bad_data
/// (damaged tables, values out of range, shapes that do not fit each other; file, line and column are named),
/// io.
SolveInput read_solve_input(const SolveFiles& files, const SolveOptions& options);

/// Whether method, tile and number of arrays go together. Errors: usage, saying what does.
void require_solvable(const data::TileSpec& tile, bool has_minus, const SolveOptions& options);

/// Names of the columns of SolveResult::energy: source and where it goes, then (joule only) wire_charging,
/// which is not part of source.
std::vector<std::string> energy_terms(SolveMethod method);
/// Names of the columns of SolveResult::supply_ampere: average and peak, for layouts with two row wires a row
/// of G+ and of G-.
std::vector<std::string> supply_terms(bool has_minus);

struct SolveResult {
  Matrix output;  ///< vectors x cols; coulomb, ampere for steady
  Matrix energy;  ///< vectors x energy_terms(), both arrays together: joule, watt for steady; 0 x 0 unless
                  ///< asked for
  Matrix supply_ampere;  ///< rows x supply_terms(): magnitude of the current out of each row wire's drivers,
                         ///< mean over all vectors and windows, and its largest settled value; 0 x 0 unless
                         ///< energies are asked for
  std::string note;  ///< what a reader must know about the numbers; may be empty
  std::optional<double>
      adc_full_scale_coulomb;  ///< when the tile's ADC is enabled and the output is a charge
  Index network_solves = 0;    ///< methods charge and steady
  double rc_share = 0.0;       ///< method charge: largest RC correction over the largest charge
};

/// Errors: usage (require_solvable, shapes, codes outside the DAC's range); not_converged, also when method
/// charge finds that the network does not settle between edges (slowest time constant and shortest interval
/// are named); interrupted. Method ngspice: usage when it is not installed, io when it cannot be started.
SolveResult solve(const SolveInput& input, const SolveOptions& options, const Progress& progress = {});
/// "charge_coulomb" or "current_ampere".
std::string output_name(SolveMethod method);

/// One invariant of a run.
struct CheckLine {
  enum class Verdict { pass, fail, info, skipped };
  std::string name;
  Verdict verdict = Verdict::skipped;
  double residual = 0.0;  ///< meaningless when skipped
  double gate = 0.0;      ///< passes when residual <= gate; 0 for info and skipped
  std::string note;       ///< what is compared, or why it was skipped
};
std::string to_text(CheckLine::Verdict verdict);

/// The invariants of docs/theory.md, "What must always hold", for this tile, these conductances and the first
/// vectors. Errors: as solve.
std::vector<CheckLine> check_solve(const SolveInput& input, const SolveOptions& options,
                                   const Progress& progress = {});

/// The crossbars of an input: one, or G+ and G- for layout pair-columns with both.
std::vector<circuit::Crossbar> crossbars_of(const SolveInput& input);

}  // namespace crosstile::validation

template <>
struct crosstile::data::EnumNames<crosstile::validation::SolveMethod> {
  using SolveMethod = crosstile::validation::SolveMethod;
  static constexpr std::array<EnumName<SolveMethod>, 7> value{{{SolveMethod::steady, "steady"},
                                                               {SolveMethod::transient, "transient"},
                                                               {SolveMethod::ngspice, "ngspice"},
                                                               {SolveMethod::charge, "charge"},
                                                               {SolveMethod::effective, "effective"},
                                                               {SolveMethod::ladder, "ladder"},
                                                               {SolveMethod::binned, "binned"}}};
};
