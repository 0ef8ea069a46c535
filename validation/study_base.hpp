// What the studies share: keys of data and training, statistics of a few numbers, a folder of finished
// pieces, so that a study that was interrupted goes on where it stopped, and trials, which tell what a study
// will take.
#pragma once

#include <algorithm>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
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

/// Pieces of a study that cost the same but for their numbers.
struct PieceKind {
  std::string name;
  Index count = 0;       ///< pieces of this kind in the study
  double seconds = 0.0;  ///< wall time of one
};

/// A study that tries the first piece of each kind on a part of the images and only counts the others, which
/// get the first one's result. What depends on results (searches) is counted as these results lead it.
class StudyTrial {
 public:
  StudyTrial(Index train_images, Index test_images)
      : train_images_(train_images), test_images_(test_images) {}

 private:
  friend class StudyPieces;
  friend struct StudyImages;
  friend std::vector<PieceKind> estimate_study(const std::function<void(StudyTrial&)>& run);
  struct Kind;
  Index train_images_, test_images_;          // at most
  Index all_train_ = 0, all_test_ = 0;        // of the study
  std::vector<std::shared_ptr<Kind>> kinds_;  // as they came
};

/// Two trials of different size, and a straight line through them. run: the study with a folder of "".
/// Errors: those of `run`.
std::vector<PieceKind> estimate_study(const std::function<void(StudyTrial&)>& run);

/// Where and with what a study works.
struct StudyOptions {
  std::filesystem::path folder = {};  ///< where finished pieces are kept and found; empty: nowhere
  int threads = 0;
  Progress progress = {};
  StudyTrial* trial = nullptr;  ///< nothing is written
};

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

  /// name: of the study; config: its text; the data files' content belongs to the study, too. Errors: as
  /// data::RunFolder; io.
  StudyPieces(const StudyOptions& options, const std::string& name, const std::string& config,
              const DataFiles& files);

  /// The piece of that name; made only when it is not there. kind: of its cost; empty: the words of its
  /// name without numbers. Errors: those of `make`, bad_data, io.
  Numbers numbers(const std::string& name, const std::function<Numbers()>& make,
                  const std::string& kind = {});
  Training training(const std::string& name, const std::function<Training()>& make);
  /// How many of `count` equal things a piece is to do: all of them, a few in a trial. To be called while it
  /// is made, at most once.
  Index part(Index count);
  Index made = 0, kept = 0;  ///< pieces of this call

 private:
  template <typename Piece>
  Piece tried(const std::string& kind, Piece StudyTrial::Kind::*result, const std::function<Piece()>& make);

  std::optional<data::RunFolder> folder_;
  StudyTrial* trial_ = nullptr;
  double scale_ = 0.0;  // of the piece that is tried; 0: goes with the images
};

/// Records the results of a study in its folder's manifest and marks the run complete; nothing in a folder
/// without a manifest. Errors: as data::RunFolder.
void record_study_results(const std::filesystem::path& folder, const std::vector<std::string>& names);

/// One training with the threads and seed in `options`, from `start` (none: from the beginning), as a piece.
StudyPieces::Training train_piece(const nn::NetworkSpec& network, const nn::Network* start,
                                  const nn::TrainOptions& options, const data::LabelledImages& images,
                                  const Progress& progress);

/// The digital training of a study, weights clipped at so many standard deviations (0: not).
nn::TrainOptions digital_options(nn::TrainOptions options, double clip_sigma);
/// Accuracy of a digital network as a piece's "accuracy".
StudyPieces::Numbers digital_accuracy(const nn::Network& network, const data::LabelledImages& images,
                                      int threads);

/// Training and test images of a study; of the test images the first `count` (0: all); less in a trial.
struct StudyImages {
  StudyImages(const DataFiles& files, Index classes, Index count, Index calibration_images);
  void cut(StudyTrial* trial);
  data::LabelledImages train, test;
  MatrixF calibration;  ///< the first training images
};

/// What the studies at work have in common.
class StudyRun {
 protected:
  /// name, config: as StudyPieces. Errors: those of StudyPieces and StudyImages.
  StudyRun(const StudyOptions& options, const std::string& name, const std::string& config,
           const DataFiles& files, StudyImages images)
      : threads_(options.threads),
        progress_(options.progress),
        images_(std::move(images)),
        pieces_(options, name, config, files) {
    images_.cut(options.trial);
  }
  void report(const std::string& what) { report_progress(progress_, std::min(1.0, done_ / steps_), what); }
  /// The piece of that name, with the threads and the progress of this run.
  StudyPieces::Training train(const std::string& name, const nn::NetworkSpec& network,
                              const nn::Network* start, nn::TrainOptions options) {
    options.threads = threads_;
    return pieces_.training(name, [&] {
      return train_piece(network, start, options, images_.train, [this](double, std::string_view what) {
        report(std::string(what));
        return true;
      });
    });
  }
  void add_failure(const std::string& text) { failures_ += (failures_.empty() ? "" : "; ") + text; }

  int threads_;
  Progress progress_;
  StudyImages images_;
  StudyPieces pieces_;
  double done_ = 0.0, steps_ = 1.0;
  std::string failures_;
};

}  // namespace crosstile::validation
