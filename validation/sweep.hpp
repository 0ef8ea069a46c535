// Many trainings from one configuration: any of its keys are axes, every point is a training of its own, kept
// in a small file as soon as it is done. docs/commands.md, "sweep".
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/progress.hpp"
#include "validation/pipeline.hpp"
#include "validation/results.hpp"

namespace crosstile::validation {

/// Somebody else's numbers for points of the same axes: a CSV file whose first lines start with # (source), then
/// headings: keys of axes, and `accuracy`, `last_of_batch` or both (shares from 0 to 1; empty: no result there).
struct PublishedSweep {
  std::string file, text;                        ///< as named in the configuration; as read
  std::vector<std::size_t> axes;                 ///< of the sweep, one for each column of values
  std::vector<std::vector<std::string>> values;  ///< rows x axes, without the quotes of texts
  std::vector<std::optional<double>> accuracy, last_of_batch;  ///< one a row; no entries: no such column
};

/// A sentence about an axis, and the slice of the points that decides it.
struct SweepClaim {
  std::string text;
  std::size_t axis = 0;
  std::vector<std::pair<std::size_t, std::string>> where;  ///< axis, its value as TOML
};

struct Sweep {
  std::string title;
  std::vector<std::string> keys;                 ///< of the axes, dotted
  std::vector<std::vector<std::string>> values;  ///< points x axes, as TOML: 0.2, "text", true, [1, 2]
  std::vector<PipelineConfig> points;            ///< the configuration with these values in place
  std::string fingerprint;                       ///< hash of all points
  std::string source;                            ///< the text as read
  std::optional<PublishedSweep> published;
  std::vector<SweepClaim> claims;
};

/// Reads a configuration of `train` with a table [sweep] and checks every point of it. Errors: io; usage for
/// mistakes in the file (line, column), in an axis (its key), or in a point (its values).
Sweep read_sweep(const std::filesystem::path& file);
Sweep sweep_from_text(const std::string& text, const std::string& name);

enum class PointStatus { ok, diverged, failed };

/// Accuracies are absent unless the status is ok.
struct SweepPoint {
  PointStatus status = PointStatus::ok;
  std::string reason;  ///< what went wrong; empty when ok
  std::optional<double> accuracy, accuracy_error, digital_accuracy, last_of_batch, train_accuracy, loss;
  double seconds = 0.0;  ///< wall time of training and test
};

struct SweepOptions {
  std::filesystem::path folder;
  Index shard = 1, shards = 1;  ///< this call runs the points shard - 1, shard - 1 + shards, ...
  int threads = 0;              ///< points at the same time, one thread each; 0: the number of processors
  Index noise_draws = 1;        ///< test passes with other noise
  Progress progress;
};

struct SweepOutcome {
  Index computed = 0, kept = 0;   ///< of this shard: by this call, and found finished
  Index finished = 0;             ///< of all points
  std::vector<SweepPoint> points;  ///< all of them once all are finished; empty before
};

/// Runs the missing points of a shard. A point that fails or diverges is recorded and stops nothing. When all
/// points exist, folder/sweep.csv and folder/sweep.h5 are written. Errors: usage when the folder holds another
/// sweep; io; bad_data for a damaged point file; interrupted (finished points stay).
SweepOutcome run_sweep(const Sweep& sweep, const SweepOptions& options);

std::string to_name(PointStatus status);
/// All points, or the `most` with the highest accuracy.
Table sweep_table(const Sweep& sweep, const std::vector<SweepPoint>& points, Index most);

/// What the points say together: every point with its seeds joined, the mean by value of every axis, and the
/// claims with the numbers that decide them; published numbers beside ours. An effect counts as seen from four
/// standard errors, which come from the seeds (docs/theory.md, "Effects in a sweep").
Results sweep_results(const Sweep& sweep, const std::vector<SweepPoint>& points, const std::string& command);
/// results.json of a finished sweep, and published.csv. Errors: io.
void write_sweep_results(const Sweep& sweep, const Results& results, const std::filesystem::path& folder);
/// A value of an axis as people write it: a text without its quotes, [1, 2] without outer spaces.
std::string shown_value(const std::string& toml);
/// Errors: io; bad_data (line, what); usage when no column is an axis of `keys`.
PublishedSweep read_published_sweep(const std::filesystem::path& file, const std::vector<std::string>& keys);

}  // namespace crosstile::validation
