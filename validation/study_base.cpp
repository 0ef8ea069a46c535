#include "validation/study_base.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <ctime>
#include <nlohmann/json.hpp>
#include <sstream>

#include "core/error.hpp"
#include "core/files.hpp"
#include "core/version.hpp"
#include "nn/evaluate.hpp"
#include "nn/hardware_aware_layer.hpp"
#include "nn/network_file.hpp"

namespace crosstile::validation {

struct StudyTrial::Kind {
  std::string name;
  Index count = 1;
  double seconds = 0.0;
  bool is_training = false;
  double scale = 0.0;  // of the time; 0: the time goes with the images
  StudyPieces::Numbers numbers;
  StudyPieces::Training training;
};

namespace {

constexpr const char* kPieces = "pieces";
// Of the smaller trial; the larger one has twice as many.
constexpr Index kTrialTrain = 2000, kTrialTest = 600;
constexpr Index kTrialPart = 2;  // of things that go one by one: images through the full circuit

StudyPieces::Numbers read_piece(const std::filesystem::path& path) {
  try {
    const auto json = nlohmann::json::parse(read_text(path));
    StudyPieces::Numbers out;
    json.at("failure").get_to(out.failure);
    json.at("values").get_to(out.values);
    return out;
  } catch (const nlohmann::json::exception& error) {
    throw Error(ErrorKind::bad_data,
                path.string() + " is damaged (" + error.what() + "); delete it to compute it again");
  }
}

std::string piece_text(const StudyPieces::Numbers& piece) {
  const nlohmann::json json = {{"failure", piece.failure}, {"values", piece.values}};
  return json.dump(1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

// The words of a piece's name that have no digits: "s1-20ohm-direct-circuit" is "direct circuit".
std::string words_of(const std::string& name) {
  std::string out, word;
  std::istringstream words(name);
  while (std::getline(words, word, '-'))
    if (!word.empty() && word.find_first_of("0123456789") == std::string::npos)
      out += (out.empty() ? "" : " ") + word;
  return out;
}

double processor_seconds() {
  return static_cast<double>(std::clock()) / CLOCKS_PER_SEC;
}

}  // namespace

Index study_integer(data::Config& config, const std::string& key, Index fallback, Index low, Index high) {
  return static_cast<Index>(config.integer(key, fallback, low, high));
}

void read_study_training(data::Config& config, nn::NetworkSpec& network, nn::TrainOptions& training,
                         double& clip_sigma) {
  training.max_shift_pixels = 0;
  read_digital_training(config, network, training);
  clip_sigma = config.number("training.clip_sigma", clip_sigma, 0.0, 1e3);
}

StudyMean study_mean(const std::vector<double>& values) {
  StudyMean out;
  out.count = static_cast<Index>(values.size());
  const auto n = static_cast<double>(values.size());
  for (const double v : values) out.mean += v / n;
  double squares = 0.0;
  for (const double v : values) squares += (v - out.mean) * (v - out.mean);
  if (values.size() > 1) out.error = std::sqrt(squares / (n - 1.0) / n);
  return out;
}

std::optional<double> falls_below(const std::vector<std::pair<double, double>>& curve, double level) {
  for (std::size_t k = 1; k < curve.size(); ++k) {
    const auto& [x0, y0] = curve[k - 1];
    const auto& [x1, y1] = curve[k];
    if (y0 < level) return std::nullopt;
    if (y1 < level) return x0 * std::pow(x1 / x0, (y0 - level) / (y0 - y1));
  }
  return std::nullopt;
}

std::string fall_text(const std::vector<std::pair<double, double>>& curve, double level,
                      const std::string& unit) {
  if (curve.empty()) return "-";
  if (const auto place = falls_below(curve, level)) return fmt::format("{:.3g} {}", *place, unit);
  const bool begins_below = curve.front().second < level;
  return fmt::format("{} {:g} {}", begins_below ? "below" : "above",
                     begins_below ? curve.front().first : curve.back().first, unit);
}

double StudyPieces::Numbers::at(const std::string& name) const {
  const auto found = values.find(name);
  if (found == values.end())
    throw Error(ErrorKind::bad_data,
                "a finished piece of the study has no \"" + name + "\"; delete the folder");
  return found->second;
}

StudyPieces::StudyPieces(const StudyOptions& options, const std::string& name, const std::string& config,
                         const DataFiles& files)
    : trial_(options.trial) {
  if (options.folder.empty() || trial_) return;
  data::Manifest manifest;
  manifest.command = "study " + name;
  manifest.config_toml = config;
  for (const auto* file :
       {&files.train_images, &files.train_labels, &files.test_images, &files.test_labels}) {
    const auto end = file->string().find(".h5:");  // a data set of an HDF5 file
    manifest.config_toml += fmt::format(
        "\n# {}: {}", file->string(),
        hash_file(end == std::string::npos ? *file
                                           : std::filesystem::path(file->string().substr(0, end + 3))));
  }
  manifest.version = kVersion;
  manifest.instruction_set = kInstructionSet;
  folder_.emplace(options.folder, manifest);
  std::filesystem::create_directories(folder_->path(kPieces));
}

StudyPieces::Numbers StudyPieces::numbers(const std::string& name, const std::function<Numbers()>& make,
                                          const std::string& kind) {
  if (trial_) return tried(kind.empty() ? words_of(name) : kind, &StudyTrial::Kind::numbers, make);
  const std::string file = std::string(kPieces) + "/" + name + ".json";
  if (folder_ && folder_->has(file)) {
    ++kept;
    return read_piece(folder_->path(file));
  }
  const Numbers out = make();
  ++made;
  if (folder_) {
    write_text_atomically(folder_->path(file), piece_text(out));
    folder_->record(file);
  }
  return out;
}

StudyPieces::Training StudyPieces::training(const std::string& name, const std::function<Training()>& make) {
  if (trial_) return tried("training " + words_of(name), &StudyTrial::Kind::training, make);
  const std::string file = std::string(kPieces) + "/" + name + ".h5";
  std::optional<Training> now;
  const Numbers about = numbers(name, [&] {
    now = make();
    if (folder_ && now->failure.empty()) {
      nn::write_checkpoint(folder_->path(file), now->state);
      folder_->record(file);
    }
    return Numbers{{{"epoch_seconds", now->epoch_seconds}}, now->failure};
  });
  if (now) return *now;
  Training out;
  out.failure = about.failure;
  out.epoch_seconds = about.at("epoch_seconds");
  if (!out.failure.empty()) return out;
  if (!folder_->has(file))
    throw Error(ErrorKind::bad_data, folder_->path(file).string() + " is missing; delete " +
                                         folder_->path(std::string(kPieces) + "/" + name + ".json").string() +
                                         " to train it again");
  out.state = nn::read_checkpoint(folder_->path(file));
  return out;
}

Index StudyPieces::part(Index count) {
  if (!trial_ || count <= kTrialPart) return count;
  scale_ = static_cast<double>(count) / static_cast<double>(kTrialPart);
  return kTrialPart;
}

template <typename Piece>
Piece StudyPieces::tried(const std::string& kind, Piece StudyTrial::Kind::*result,
                         const std::function<Piece()>& make) {
  for (const auto& known : trial_->kinds_)
    if (known->name == kind) {
      ++known->count;
      return known.get()->*result;
    }
  auto first = std::make_shared<StudyTrial::Kind>();
  first->name = kind;
  first->is_training = std::is_same_v<Piece, Training>;
  scale_ = 0.0;
  const auto begin = std::chrono::steady_clock::now();
  first.get()->*result = make();
  first->seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  first->scale = scale_;
  trial_->kinds_.push_back(first);
  return first.get()->*result;
}

std::vector<PieceKind> estimate_study(const std::function<void(StudyTrial&)>& run) {
  StudyTrial small(kTrialTrain, kTrialTest), large(2 * kTrialTrain, 2 * kTrialTest);
  run(small);
  run(large);
  std::vector<PieceKind> out;
  for (const auto& found : large.kinds_) {
    const auto same = std::find_if(small.kinds_.begin(), small.kinds_.end(),
                                   [&](const auto& kind) { return kind->name == found->name; });
    const bool training = found->is_training;
    const auto all = static_cast<double>(training ? large.all_train_ : large.all_test_);
    const auto tried = std::min(static_cast<double>(2 * (training ? kTrialTrain : kTrialTest)), all);
    const double before = same == small.kinds_.end() ? 0.0 : (*same)->seconds;
    const double slope = std::max(0.0, found->seconds - before) / (0.5 * tried);
    const double seconds =
        found->scale > 0.0 ? found->scale * found->seconds : found->seconds + slope * (all - tried);
    out.push_back({found->name, found->count, seconds});
  }
  return out;
}

void record_study_results(const std::filesystem::path& folder, const std::vector<std::string>& names) {
  if (!path_exists(folder / "manifest.json")) return;
  data::RunFolder run(folder, data::read_manifest(folder));
  for (const std::string& name : names) run.record(name);
  run.finish();
}

StudyPieces::Training train_piece(const nn::NetworkSpec& network, const nn::Network* start,
                                  const nn::TrainOptions& options, const data::LabelledImages& images,
                                  const Progress& progress) {
  StudyPieces::Training out;
  out.state = nn::start_training(network, options);
  if (start) out.state.network = *start;
  nn::TrainHooks hooks;
  hooks.progress = progress;
  double begin = processor_seconds();
  hooks.after_epoch = [&](const nn::TrainState&) {
    const double now = processor_seconds(), each = now - begin;
    out.epoch_seconds = out.epoch_seconds > 0.0 ? std::min(out.epoch_seconds, each) : each;
    begin = now;
  };
  const nn::TrainReport report = nn::train(out.state, images, options, hooks);
  if (report.status != nn::TrainStatus::finished) out.failure = report.reason;
  return out;
}

nn::TrainOptions digital_options(nn::TrainOptions options, double clip_sigma) {
  if (clip_sigma <= 0.0) return options;
  nn::HardwareAwareOptions clip;
  clip.noise = nn::WeightNoise::none;
  clip.clip_sigma = clip_sigma;
  options.kinds = {nn::hardware_aware_kind(clip)};
  return options;
}

StudyPieces::Numbers digital_accuracy(const nn::Network& network, const data::LabelledImages& images,
                                      int threads) {
  nn::EvaluationOptions options;
  options.threads = threads;
  const auto found = nn::evaluate_digital(network, images, options);
  if (!found.accuracy) return {{}, found.reason};
  return {{{"accuracy", *found.accuracy}}, {}};
}

StudyImages::StudyImages(const DataFiles& files, Index classes, Index count, Index calibration_images)
    : train(read_images(files.train_images, files.train_labels, classes)),
      test(read_images(files.test_images, files.test_labels, classes)) {
  data::require_same_shape(train, test);
  if (count > 0 && count < test.inputs.rows()) {
    test.inputs = MatrixF(test.inputs.topRows(count));
    test.labels.resize(static_cast<std::size_t>(count));
  }
  calibration = train.inputs.topRows(std::min(calibration_images, train.inputs.rows()));
}

void StudyImages::cut(StudyTrial* trial) {
  if (!trial) return;
  const auto first = [](data::LabelledImages& images, Index count, Index& all) {
    all = images.inputs.rows();
    images.inputs = MatrixF(images.inputs.topRows(std::min(count, all)));
    images.labels.resize(static_cast<std::size_t>(images.inputs.rows()));
  };
  first(train, trial->train_images_, trial->all_train_);
  first(test, trial->test_images_, trial->all_test_);
}

}  // namespace crosstile::validation
