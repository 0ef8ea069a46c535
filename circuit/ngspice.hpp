// Running the decks of netlist.hpp in ngspice, where it is installed: the oracle outside this project.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "circuit/circuit.hpp"
#include "circuit/netlist.hpp"
#include "core/progress.hpp"

namespace crosstile::circuit {

struct NgspiceOptions {
  NetlistOptions netlist;
  std::filesystem::path program;  ///< empty: the `ngspice` found through PATH
};

struct NgspiceResult {
  Status status = Status::ok;
  std::string failure;      ///< when status is not ok: the pass, what is missing, and the last lines ngspice wrote
  Vector charge_coulomb;    ///< cols; passes recombined
  Matrix pass_charge;       ///< passes x cols, coulomb
  Matrix pass_phase;        ///< passes x cols, counts before rounding down (front end cco; else 0 x 0)
  long points = 0;          ///< time points, over all passes
};

/// Column charges of one signed code vector (rows): one ngspice process a pass, in a private folder that is removed afterwards.
/// Every answer is checked to be there, finite, and from the end of its window, for ngspice exits with 0 even when it has none.
/// `progress` is asked several times a second; when it wants to stop, ngspice is stopped too.
/// Errors: usage as write_netlists, and when ngspice is not installed; io when a process or the folder cannot be made; interrupted.
NgspiceResult run_ngspice(const Crossbar& crossbar, const IntVector& codes, const NgspiceOptions& options = {},
                          const Progress& progress = {});

/// Full path of the `ngspice` that PATH names. Errors: usage, saying that it is not installed.
std::filesystem::path find_ngspice();

/// What one deck printed, read strictly. Exposed for its tests. Errors: not_converged, naming what is missing or not finite.
struct NgspiceAnswer {
  Vector charge_coulomb;  ///< cols
  Vector phase;           ///< cols, or empty
  long points = 0;
};
NgspiceAnswer parse_ngspice_output(const std::string& output, Index cols, double window_s, bool with_phase);

}  // namespace crosstile::circuit
