// What the studies share: keys of data and training, statistics of a few numbers, and a folder of finished
// pieces, so that a study that was interrupted goes on where it stopped.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "data/config.hpp"
#include "data/run_folder.hpp"
#include "nn/train.hpp"
#include "validation/pipeline.hpp"
#include "validation/pipeline_keys.hpp"

namespace crosstile::validation {

/// Tables [network] and [training] of a digital network; training.clip_sigma goes to `clip_sigma`.
void read_study_training(data::Config& config, nn::NetworkSpec& network, nn::TrainOptions& training,
                         double& clip_sigma);
Index study_integer(data::Config& config, const std::string& key, Index fallback, Index low, Index high);

/// Mean and standard error of a few numbers.
struct StudyMean {
  double mean = 0.0, error = 0.0;  ///< error: 0 for less than two numbers
  Index count = 0;
};
StudyMean study_mean(const std::vector<double>& values);

/// Where a curve falls through `level`, linear in y over ln x between its points (x increasing, above 0); the
/// first time. Nothing when it never does, or begins below.
std::optional<double> falls_below(const std::vector<std::pair<double, double>>& curve, double level);
/// That place as a reader wants it: "63 ohm", "above 200 ohm", "below 0.15 ohm".
std::string fall_text(const std::vector<std::pair<double, double>>& curve, double level,
                      const std::string& unit);

/// The finished parts of a study: numbers (one small file each) and trained networks (checkpoints), recorded
/// with their hashes in the manifest of a run folder.
class StudyPieces {
 public:
  struct Numbers {
    std::map<std::string, double> values;
    std::string failure;  ///< what diverged; empty: nothing
    double at(const std::string& name) const;
  };
  struct Training {
    nn::TrainState state;
    std::string failure;         ///< empty: finished
    double epoch_seconds = 0.0;  ///< processor time of the fastest epoch
  };

  /// Keeps nothing: every piece is made.
  StudyPieces() = default;
  /// name: of the study; config: its text; the data files' content belongs to the study, too. Errors: as
  /// data::RunFolder; io.
  StudyPieces(const std::filesystem::path& folder, const std::string& name, const std::string& config,
              const DataFiles& files);

  /// The piece of that name; made only when it is not there. Errors: those of `make`, bad_data, io.
  Numbers numbers(const std::string& name, const std::function<Numbers()>& make);
  Training training(const std::string& name, const std::function<Training()>& make);
  Index made = 0, kept = 0;  ///< pieces of this call

 private:
  std::optional<data::RunFolder> folder_;
};

/// Records the results of a study in its folder's manifest and marks the run complete; nothing in a folder
/// without a manifest. Errors: as data::RunFolder.
void record_study_results(const std::filesystem::path& folder, const std::vector<std::string>& names);

/// One training with the threads and seed in `options`, from `start` (none: from the beginning), as a piece.
StudyPieces::Training train_piece(const nn::NetworkSpec& network, const nn::Network* start,
                                  const nn::TrainOptions& options, const data::LabelledImages& images,
                                  const Progress& progress);

/// Training and test images of a study; of the test images the first `count` (0: all).
struct StudyImages {
  StudyImages(const DataFiles& files, Index classes, Index count, Index calibration_images);
  data::LabelledImages train, test;
  MatrixF calibration;  ///< the first training images
};

}  // namespace crosstile::validation
