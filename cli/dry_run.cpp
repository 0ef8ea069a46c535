// --dry-run: what a command would take, measured on a small piece of its own work. Nothing is written.
#include <fmt/core.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cmath>

#include "cli/commands.hpp"
#include "core/parallel.hpp"
#include "data/config.hpp"
#include "validation/design.hpp"
#include "validation/pipeline.hpp"
#include "validation/sweep.hpp"
#include "validation/train_study.hpp"

namespace crosstile::cli {

namespace {

constexpr double kLongEnough = 0.3;  // seconds: of a measurement that is multiplied up
constexpr Index kMostPieces = 3;     // points of a sweep that are tried

double seconds_of(const std::function<void()>& work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

// Most memory the process has had so far, bytes.
double peak_memory() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return 1024.0 * static_cast<double>(usage.ru_maxrss);
}

// One stage: the measured piece and what follows from it.
struct Estimate {
  std::string stage, measured;
  double seconds = 0.0;  // of all pieces
  double peak_bytes = 0.0;
  Index pieces = 1;
};

int thread_count(int threads, Index pieces) {
  const Index wanted = threads > 0 ? threads : default_threads();
  return static_cast<int>(std::clamp<Index>(wanted, 1, std::max<Index>(pieces, 1)));
}

// Charges, energies and supply currents of the set, twice: in memory and as the image of the file.
double result_bytes(const data::ReferenceSet& set) {
  const double lines = static_cast<double>(2 * set.tile.cols + 2 * set.supply_lines() + 8);
  return 2.0 * 8.0 * static_cast<double>(set.vectors()) * lines;
}

struct Tried {
  Index vectors = 0;
  double seconds = 0.0;  // of one
};

// Vectors differ in density and scale: several, spread over the set.
Tried try_vectors(const data::ReferenceSet& set, const circuit::ReferenceOptions& options, Index most,
                  const Progress& progress) {
  Tried out;
  double seconds = 0.0;
  most = std::min(set.vectors(), most);
  while (out.vectors < most && (out.vectors < 2 || seconds < kLongEnough)) {
    report_progress(progress, static_cast<double>(out.vectors) / static_cast<double>(most), "trying vectors");
    const Index vector = out.vectors * set.vectors() / most;
    seconds += seconds_of([&] {
      const auto charges = circuit::run_vector(set, vector, options);
      if (charges.status != circuit::Status::ok)
        throw Error(ErrorKind::not_converged, fmt::format("vector {}: {}", vector, charges.failure));
    });
    ++out.vectors;
  }
  out.seconds = seconds / static_cast<double>(out.vectors);
  return out;
}

Estimate estimate_reference(const validation::PipelineConfig& config, const Progress& progress) {
  const auto set = validation::reference_inputs(config);
  const double before = peak_memory();
  const auto [tried, of_a_vector] = try_vectors(set, config.reference, 16, progress);
  const Index shards =
      (set.vectors() + config.reference.vectors_per_shard - 1) / config.reference.vectors_per_shard;
  const int threads = thread_count(config.reference.threads, shards);
  const double rounds = std::ceil(static_cast<double>(shards) / threads) *
                        static_cast<double>(config.reference.vectors_per_shard);
  const double serial = std::min(rounds, static_cast<double>(set.vectors()));
  return {
      "reference data",
      fmt::format("{} of {} vectors, {:.3g} s each; {} threads", tried, set.vectors(), of_a_vector, threads),
      of_a_vector * serial, peak_memory() + (threads - 1) * (peak_memory() - before) + result_bytes(set)};
}

data::LabelledImages first_images(const data::LabelledImages& all, Index count) {
  data::LabelledImages some;
  some.height = all.height;
  some.width = all.width;
  some.inputs = all.inputs.topRows(count);
  some.labels.assign(all.labels.begin(), all.labels.begin() + count);
  return some;
}

// One training: an epoch on more and more of the images until it takes long enough to be multiplied up.
Estimate estimate_training(const validation::PipelineConfig& config, Index noise_draws,
                           const Progress& progress) {
  const Index classes = config.network.layers.back();
  const auto train = validation::read_images(config.data.train_images, config.data.train_labels, classes);
  const auto test = validation::read_images(config.data.test_images, config.data.test_labels, classes);
  validation::PipelineConfig one = config;
  one.training.epochs = 1;
  const Index all = train.inputs.rows();
  Index count = std::min(all, 4 * config.training.batch);
  for (;; count = std::min(all, 4 * count)) {
    report_progress(progress, static_cast<double>(count) / static_cast<double>(all), "trying an epoch");
    const auto images = first_images(train, count),
               tested = first_images(test, std::min(count, test.inputs.rows()));
    validation::TrainingResult result;
    const double total = seconds_of([&] {
      result = validation::run_training(one, images, tested, {{}, noise_draws, progress});
    });
    if (total < kLongEnough && count < all) continue;
    const double scale = static_cast<double>(all) / static_cast<double>(count);
    const double epoch = scale * result.seconds_per_epoch;
    const double testing = std::max(0.0, total - result.seconds_per_epoch) *
                           static_cast<double>(test.inputs.rows()) /
                           static_cast<double>(tested.inputs.rows());
    return {"training",
            fmt::format("an epoch of {} of {} images; {} epochs of {:.3g} s", count, all,
                        config.training.epochs, epoch),
            static_cast<double>(config.training.epochs) * epoch + testing, peak_memory()};
  }
}

Estimate estimate_sweep(const std::string& file, Index shards, int threads, Index noise_draws,
                        const Progress& progress) {
  const auto sweep = validation::read_sweep(file);
  const auto points = static_cast<Index>(sweep.points.size());
  const Index tried = std::min(points, kMostPieces);
  const double before = peak_memory();
  double seconds = 0.0;
  for (Index k = 0; k < tried; ++k) {
    auto point = sweep.points[static_cast<std::size_t>(tried > 1 ? k * (points - 1) / (tried - 1) : 0)];
    point.training.threads = 1;
    seconds += estimate_training(point, noise_draws, progress).seconds;
  }
  const Index mine = (points + shards - 1) / shards;
  const int at_once = thread_count(threads, mine);
  const double of_a_point = seconds / static_cast<double>(tried);
  return {"sweep",
          fmt::format("{} of {} points, {:.3g} s each; {} points here, {} at a time", tried, points,
                      of_a_point, mine, at_once),
          of_a_point * std::ceil(static_cast<double>(mine) / at_once),
          peak_memory() + (at_once - 1) * (peak_memory() - before)};
}

// The circuit's vectors at every point; the fit and the timing of the fast model are of the same order.
Estimate estimate_design(const std::string& file, int threads, const Progress& progress) {
  if (std::filesystem::path(file).extension() != ".toml")
    throw Error(ErrorKind::usage, file + ": --dry-run is for a design of experiments (.toml)");
  const auto design = validation::read_design(file);
  const double before = peak_memory();
  double seconds = 0.0;
  Index made = 0;
  for (std::size_t p = 0; p < design.points.size(); ++p) {
    const auto& point = design.points[p];
    report_progress(progress, static_cast<double>(p) / static_cast<double>(design.points.size()), point.name);
    seconds += design.timing_seconds;
    if (!point.reference.empty()) continue;
    const auto set = validation::reference_inputs(point.config);
    const auto tried = try_vectors(set, point.config.reference, 2, {});
    seconds += tried.seconds * static_cast<double>(set.vectors());
    ++made;
  }
  const int at_once = thread_count(threads, static_cast<Index>(design.points.size()));
  return {"circuit", fmt::format("2 vectors at each of {} points; {} at a time", made, at_once),
          seconds / at_once, peak_memory() + (at_once - 1) * (peak_memory() - before)};
}

std::vector<Estimate> estimate_study(const std::string& name, const std::string& file, int threads,
                                     const Progress& progress) {
  std::vector<Estimate> out;
  for (const auto& kind : estimate_study_command(name, file, threads, progress))
    out.push_back({kind.name, fmt::format("{} of {:.2g} s", kind.count, kind.seconds),
                   static_cast<double>(kind.count) * kind.seconds, peak_memory(), kind.count});
  return out;
}

std::string in_words(double seconds) {
  if (seconds < 90.0) return fmt::format("{:.2g} s", seconds);
  if (seconds < 5400.0) return fmt::format("{:.0f} min", seconds / 60.0);
  return fmt::format("{:.1f} h", seconds / 3600.0);
}

void say_estimates(const std::vector<Estimate>& stages, const std::string& rest, Program& program) {
  double seconds = 0.0, peak = 0.0;
  Json list = Json::array();
  for (const auto& one : stages) {
    seconds += one.seconds;
    peak = std::max(peak, one.peak_bytes);
    program.say(
        fmt::format("{:<34} about {:<8} (measured: {})", one.stage, in_words(one.seconds), one.measured));
    list.push_back(
        {{"stage", one.stage}, {"measured", one.measured}, {"pieces", one.pieces}, {"seconds", one.seconds}});
  }
  program.say(
      fmt::format("together about {}, memory about {:.2g} GiB; finished work that is found is not counted "
                  "out. Nothing was written.",
                  in_words(seconds), peak / (1U << 30)));
  if (!rest.empty()) program.say(rest);
  program.result["dry_run"] = true;
  program.result["seconds"] = seconds;
  program.result["peak_bytes"] = peak;
  program.result["stages"] = list;
}

template <typename T>
T flag_or(const CLI::App& command, const std::string& name, T fallback) {
  const CLI::Option* option = command.get_option_no_throw(name);
  return option != nullptr && option->count() > 0 ? option->as<T>() : fallback;
}

void dry_run_command(const CLI::App& command, Program& program) {
  const std::string name = command.get_name();
  const auto file = command.get_option("FILE")->as<std::string>();
  const int threads = flag_or(command, "--threads", 0);
  const Index draws = flag_or<Index>(command, "--noise-draws", 1);
  program.result["command"] = name;
  if (name == "sweep") {
    const auto shard = flag_or<std::string>(command, "--shard", "1/1");
    const auto slash = shard.find('/');
    const Index shards =
        slash == std::string::npos ? 1 : std::max<Index>(1, std::atol(shard.c_str() + slash + 1));
    return say_estimates({estimate_sweep(file, shards, threads, draws, program.progress())}, "", program);
  }
  if (command.get_parent()->get_name() == "study")
    return say_estimates(
        estimate_study(name, file, threads, program.progress()),
        "Measured on a part of the images; searches take as many pieces as they happen to need.", program);
  if (name == "compare")
    return say_estimates({estimate_design(file, threads, program.progress())},
                         "Fits and ngspice come on top.", program);
  data::Config toml = data::Config::from_file(file);
  auto config = validation::read_pipeline(toml);
  config.training.threads = threads;
  config.reference.threads = threads;
  if (name == "train")
    return say_estimates({estimate_training(config, draws, program.progress())}, "", program);
  if (name == "generate") return say_estimates({estimate_reference(config, program.progress())}, "", program);
  std::vector<Estimate> stages{estimate_training(config, 1, program.progress())};
  std::string rest = "Fit, read noise, accuracy on tiles, comparison and report come on top.";
  if (config.layer.needs_network() && config.layer.network_file.empty())
    rest =
        "Reference data of the run's own network, fit, read noise, accuracy on tiles, comparison and report "
        "come on top.";
  else
    stages.push_back(estimate_reference(config, program.progress()));
  say_estimates(stages, rest, program);
}

}  // namespace

std::function<void()> add_dry_runs(CLI::App& app, Program& program) {
  std::vector<std::pair<CLI::App*, CLI::Option*>> flags;
  std::vector<CLI::App*> commands = app.get_subcommand("study")->get_subcommands({});
  for (const char* name : {"run", "generate", "train", "sweep", "compare"})
    commands.push_back(app.get_subcommand(name));
  for (CLI::App* command : commands) {
    CLI::Option* flag = command->add_flag("--dry-run");
    flag->description(
        "say what it would take in time and memory, from a small piece of the work; write nothing");
    flags.emplace_back(command, flag);
  }
  return [flags, &program] {
    for (const auto& [command, flag] : flags)
      if (flag->count() > 0)
        program.action = [command = command, &program] { dry_run_command(*command, program); };
  };
}

}  // namespace crosstile::cli
