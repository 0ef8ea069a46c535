// Many trainings from one configuration: any of its keys are axes, every point is a training of its own, kept
// in a small file as soon as it is done. docs/commands.md, "sweep".
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "core/progress.hpp"
#include "validation/pipeline.hpp"
#include "validation/results.hpp"

namespace crosstile::validation {

struct Sweep {
  std::string title;
  std::vector<std::string> keys;                 ///< of the axes, dotted
  std::vector<std::vector<std::string>> values;  ///< points x axes, as TOML: 0.2, "text", true, [1, 2]
  std::vector<PipelineConfig> points;            ///< the configuration with these values in place
  std::string fingerprint;                       ///< hash of all points
  std::string source;                            ///< the text as read
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

}  // namespace crosstile::validation
