// A fast model against the full circuit, on vectors that no fit has seen.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/progress.hpp"
#include "core/types.hpp"
#include "data/reference_set.hpp"
#include "tilemodel/model.hpp"
#include "validation/baselines.hpp"
#include "validation/metrics.hpp"
#include "validation/results.hpp"

namespace crosstile::validation {

/// Makes the fast model of one array of conductances (rows x cols).
using ModelFactory = std::function<tilemodel::TileModel(const data::TileSpec& tile, const Matrix& g_siemens)>;
/// The same for models that need more than one array's conductances (layout bipolar, an effective matrix per
/// draw): the plus or the minus bit lines of one weight draw of the set.
using DrawFactory =
    std::function<tilemodel::TileModel(const data::ReferenceSet& set, Index draw, bool minus_array)>;

struct CompareOptions {
  std::string model_name = "fast model";
  std::optional<double>
      circuit_seconds_per_vector;  ///< measured by whoever made the set; absent: no speed-up is given
  double timing_seconds = 0.25;    ///< the fast model is repeated at least so long, and at least three times
  Index bins_per_decade = 8;       ///< of the error histogram
  Progress progress;
};

/// One competitor: the fast model or a baseline.
struct Competitor {
  std::string key;            ///< "fast", "one_gain", "column_gain", "linear_map" or "ideal"
  std::string name;           ///< for people
  ErrorMetrics bit_line;      ///< of the single bit lines (plus and minus rows stacked)
  ErrorMetrics differential;  ///< of G+ - G-
  Histogram error;  ///< of |bit-line error| in LSB, on edges shared by all competitors; zeros count as below
  ArrayCharges charge;  ///< compared vectors x cols, coulomb
};

/// Charge lost on the wires, against the ideal product. Of the compared vectors only.
struct IrDrop {
  double mean_loss = 0.0;  ///< sum of (|Q_ideal| - Q sign(Q_ideal)) / sum of |Q_ideal|
  double max_loss =
      0.0;  ///< largest 1 - Q / Q_ideal among bit lines with at least a tenth of the largest |Q_ideal|
};

/// Processor time of one thread.
struct Timing {
  double fast_seconds_per_vector = 0.0;  ///< median over the repetitions; both arrays, whole batch at once
  double setup_seconds_per_draw = 0.0;   ///< programming the model with the conductances of one weight draw
  Index repetitions = 0;
  std::optional<double> circuit_seconds_per_vector;
  std::optional<double> speed_up;  ///< circuit / fast
};

struct Comparison {
  std::string model_name;
  Index rows = 0, cols = 0;
  Index fit_vectors = 0;       ///< vectors the baselines were fitted to
  std::vector<Index> vectors;  ///< compared vectors, as indices into the set
  bool held_out_only = true;   ///< false: the set has no held-out vectors and all were compared
  std::string note;  ///< what a reader must know (no held-out vectors, draws without a fit); may be empty
  Scale scale;
  ArrayCharges full;                    ///< the circuit's charges, compared vectors x cols
  std::vector<Competitor> competitors;  ///< the fast model first
  IrDrop ir_drop;
  Timing timing;
  Index worst_vector = 0;       ///< where the fast model's bit-line error is largest: index into the set,
  Index worst_column = 0;       ///< column,
  bool worst_is_minus = false;  ///< and array

  const Competitor& fast() const { return competitors.front(); }
};

/// Compares on the vectors with held_out == 1, or on all when none is held out (and says so). Errors:
/// bad_data from set.validate(); usage for a factory whose model does not fit the tile, or layout bipolar
/// (use DrawFactory); not_converged when the model returns a charge that is not finite; interrupted.
Comparison compare(const data::ReferenceSet& set, const ModelFactory& factory,
                   const CompareOptions& options = {});
Comparison compare(const data::ReferenceSet& set, const DrawFactory& factory,
                   const CompareOptions& options = {});

/// The figures without the charges, as JSON (docs/file_format.md).
std::string to_json(const Comparison& comparison);
/// Everything, as HDF5 of kind "comparison"; the JSON is its attribute summary_json, the table table_json.
/// Atomic. Errors: io.
void write_comparison(const std::filesystem::path& path, const Comparison& comparison);
/// One line per competitor: errors in LSB and relative to the differential output.
Table comparison_table(const Comparison& comparison);

}  // namespace crosstile::validation
