// A design of experiments: the fast model against the full circuit over a grid of any keys of a configuration
// and a list of named points; every point is kept in files of its own as soon as it is done.
// docs/commands.md, "compare"; docs/theory.md, "Design of experiments".
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "core/progress.hpp"
#include "tilemodel/energy.hpp"
#include "validation/pipeline.hpp"
#include "validation/results.hpp"

namespace crosstile::validation {

/// One tile, one kind of weights and inputs, one fast model.
struct DesignPoint {
  std::string name;
  std::vector<std::string> values;  ///< one for each of Design::keys, as TOML; empty where the point has none
  PipelineConfig config;            ///< of a stored set: only its [model] counts
  std::filesystem::path reference;  ///< a stored reference set; empty: made by the full circuit
};

struct Design {
  std::string title;
  std::vector<std::string> keys;     ///< of the axes, dotted
  std::vector<DesignPoint> points;   ///< the grid (last axis fastest), then the named ones
  std::vector<std::string> skipped;  ///< combinations of the grid that are no tile or no model, and why
  Index ngspice_rows = 16;           ///< tiles up to this size also go through ngspice; 0: none
  double timing_seconds = 0.1;       ///< the fast model is repeated so long
  std::string fingerprint;           ///< hash of all points
  std::string source;                ///< the text as read
};

/// Reads a configuration with a table [design] and checks every point of it. The other keys are those of
/// `generate` and `fit`; where model.form is absent it is "calibrated" (gated, two-phase signs), "ladder"
/// (gated), "effective" (linear) or "ideal", and where reference.method is absent, "transient" for an op-amp
/// and for transistors with ramped gates. Errors: io; usage for mistakes in the file (line, column), in an
/// axis or in a point.
Design read_design(const std::filesystem::path& file);
Design design_from_text(const std::string& text, const std::string& name);

/// What was found at one point. Figures are absent where they do not apply, and unless `failure` is empty.
struct DesignResult {
  std::string failure;       ///< why there are no figures; empty: there are
  std::string form, method;  ///< of the fast model; of the circuit
  std::optional<double> rows, cols, compared_vectors, fit_vectors;
  /// Of single bit lines on vectors the fit has not seen; quantiles of |error|.
  std::optional<double> rms_lsb, quantile_99_lsb, quantile_999_lsb, max_lsb, bias_lsb;
  std::optional<double> rms_relative;               ///< the same over the RMS of G+ - G-
  std::optional<double> differential_relative;      ///< RMS error of G+ - G- over its RMS
  std::optional<double> linear_map_lsb, ideal_lsb;  ///< RMS of the best linear map, of the ideal product
  std::optional<double> mean_loss;                  ///< charge lost in the wires, share of the ideal charge
  std::optional<double> worst_vector, worst_column, worst_is_minus;
  std::optional<double> circuit_joule;  ///< both arrays and charging of wires, mean of all vectors
  std::optional<double> fast_joule;     ///< the same by the fast model
  std::optional<double>
      product_joule;  ///< fast_joule with row drivers and conversions (EnergyModel's defaults)
  std::optional<double> latency_s;
  std::optional<double> ngspice_lsb;       ///< largest |ngspice - circuit| on the worst vector
  std::optional<double> fast_ngspice_lsb;  ///< largest |fast - ngspice| there
  std::optional<double> stored_lsb;        ///< stored sets: largest |stored - circuit| on the worst vector
  /// Processor time, one thread. The circuit's without energies; the fast model's in a batch.
  std::optional<double> circuit_seconds, fast_seconds, setup_seconds, speed_up, point_seconds;
};

struct DesignOptions {
  std::filesystem::path folder;
  int threads = 0;  ///< points at the same time, one thread each; 0: the number of processors
  Progress progress;
};

struct DesignOutcome {
  Index computed = 0, kept = 0;       ///< points by this call, and found finished
  std::vector<DesignResult> results;  ///< one a point
  std::string note;                   ///< what a reader must know (ngspice is missing); may be empty
};

/// Runs the missing points: folder/points/point-NNNNNN.json, and beside it the worst vector with its tile,
/// which `solve` takes: worst-NNNNNN.toml and .h5. A point that fails is recorded and stops nothing. Errors:
/// usage when the folder holds another design; io; bad_data for a damaged point file; interrupted (finished
/// points stay).
DesignOutcome run_design(const Design& design, const DesignOptions& options);

/// compare.csv, compare.h5, results.json and, where an axis has at least two numbers above 0, compare.svg.
/// Errors: io.
Results write_design(const Design& design, const DesignOutcome& outcome, const std::filesystem::path& folder);

/// The computation of one point, without its files: what the worst vector's file holds, too.
struct DesignCase {
  DesignResult result;
  data::TileSpec tile;
  Matrix g_plus_siemens, g_minus_siemens;  ///< of the worst vector; minus may be 0 x 0
  IntVector codes;                         ///< rows
  Vector circuit_plus, circuit_minus;      ///< cols, coulomb
  Vector fast_plus, fast_minus;
};
DesignCase run_design_point(const Design& design, const DesignPoint& point, const Progress& progress = {});

}  // namespace crosstile::validation
