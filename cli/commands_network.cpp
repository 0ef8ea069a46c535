// train, evaluate: a network in software, and on tiles.
#include <fmt/core.h>

#include "cli/commands.hpp"
#include "data/config.hpp"
#include "data/idx.hpp"
#include "nn/nn.hpp"
#include "tilemodel/tilemodel.hpp"
#include "validation/pipeline.hpp"
#include "validation/train_study.hpp"

namespace crosstile::cli {

namespace {

using std::filesystem::path;

validation::PipelineConfig read_config(const std::string& file) {
  data::Config config = data::Config::from_file(file);
  return validation::read_pipeline(config);
}

void say_training(const path& out, const validation::TrainingResult& result, bool is_digital,
                  Program& program) {
  const auto percent = [](const std::optional<double>& value) { return 100.0 * value.value_or(0.0); };
  program.say(
      fmt::format("{}: {} epochs, loss {:.4f}, training accuracy {:.2f} %, test accuracy {:.2f} +- {:.2f} %",
                  out.string(), result.state.epochs_done, result.loss.value_or(0.0),
                  percent(result.train_accuracy), percent(result.test_accuracy), percent(result.test_error)));
  if (!is_digital)
    program.say(
        fmt::format("the same weights with exact products: {:.2f} %", percent(result.digital_accuracy)));
}

void train_command(const std::string& file, const path& out, int threads, Index noise_draws,
                   Program& program) {
  auto pipeline = read_config(file);
  pipeline.training.threads = threads;
  const Index classes = pipeline.network.layers.back();
  const auto train = validation::read_images(pipeline.data.train_images, pipeline.data.train_labels, classes);
  const auto test = validation::read_images(pipeline.data.test_images, pipeline.data.test_labels, classes);
  require_writable_file(out);
  const path work = out.string() + ".work";
  program.resume_hint =
      "finished epochs are kept in " + work.string() + "; run the same command again to go on";
  const auto result =
      validation::run_training(pipeline, train, test, {work, noise_draws, program.progress()});
  if (!result.test_accuracy) throw Error(ErrorKind::not_converged, "the training diverged: " + result.reason);
  validation::write_trained(out, result.state, pipeline.toml);
  std::filesystem::remove_all(work);

  say_training(out, result, pipeline.training.kinds.empty(), program);
  program.result["command"] = "train";
  program.result["output"] = out.string();
  program.result["epochs"] = result.state.epochs_done;
  program.result["loss"] = result.loss.value_or(0.0);
  program.result["train_accuracy"] = result.train_accuracy.value_or(0.0);
  program.result["test_accuracy"] = *result.test_accuracy;
  program.result["test_error"] = result.test_error.value_or(0.0);
  program.result["digital_accuracy"] = result.digital_accuracy.value_or(0.0);
  program.result["last_of_batch_accuracy"] = result.last_of_batch_accuracy.value_or(0.0);
  program.result["seconds_per_epoch"] = result.seconds_per_epoch;
}

validation::Table accuracy_table(const std::vector<validation::AccuracyRow>& rows) {
  validation::Table table;
  table.title = "Test accuracy";
  table.columns = {"on", "accuracy (%)", "standard error (%)", "chips", "images", "seconds"};
  for (const auto& row : rows) {
    const auto& r = row.report;
    const auto percent = [](const std::optional<double>& value) {
      return value ? fmt::format("{:.2f}", 100.0 * *value) : std::string("-");
    };
    table.rows.push_back({row.label, percent(r.accuracy), percent(r.standard_error),
                          static_cast<double>(r.correct.size()), static_cast<double>(r.images), r.seconds});
  }
  return table;
}

void evaluate_command(const std::string& file, const std::string& network_file, const std::string& model_file,
                      Program& program) {
  const auto pipeline = read_config(file);
  const auto network = nn::read_network(network_file);
  tilemodel::ModelSpec model = pipeline.model;
  if (!model_file.empty()) {
    const auto stored = tilemodel::read_model(model_file);
    for (const auto& text : tilemodel::warnings(stored.report, pipeline.tile))
      program.note("outside what the model was fitted to: " + text);
    model = stored.spec;
  }
  const auto train = data::read_labelled_images(pipeline.data.train_images, pipeline.data.train_labels);
  const auto test = data::read_labelled_images(pipeline.data.test_images, pipeline.data.test_labels);
  auto rows = validation::evaluate_network(pipeline, network, model, train, test, program.progress());
  const validation::OnTiles on{pipeline, network, validation::trained_calibrations(network_file), model};
  if (!on.known.empty())
    for (auto& row : validation::evaluate_as_trained(on, train, test, program.progress()))
      rows.push_back(std::move(row));
  for (const auto& row : rows)
    if (row.report.status != nn::EvaluationStatus::ok)
      throw Error(ErrorKind::not_converged, row.label + ": " + row.report.reason);
  const auto table = accuracy_table(rows);
  program.say(table);
  program.result["command"] = "evaluate";
  Json list = Json::array();
  for (const auto& row : rows)
    list.push_back({{"on", row.label},
                    {"accuracy", row.report.accuracy.value_or(0.0)},
                    {"standard_error", row.report.standard_error.value_or(0.0)},
                    {"chips", row.report.correct.size()},
                    {"images", row.report.images}});
  program.result["accuracy"] = list;
  const auto costs = validation::inference_cost_table(validation::inference_costs(on, train, test));
  program.say(costs);
  program.result["inference"] = table_json(costs);
}

void add_train(CLI::App& app, Program& program) {
  struct Flags {
    std::string file, out;
    int threads = 0;
    Index noise_draws = 1;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* command = add_command(
      app, "train",
      "Trains the network of [network] and [training] on the images of [data]: digitally, or with the layer\n"
      "kinds of network.kinds ([analog]: pulsed updates, converters, noise).\n"
      "Keeps a checkpoint per epoch in NET.h5.work/; the same command goes on after an interrupt.",
      "crosstile train demo.toml --out network.h5");
  command->add_option("FILE", flags->file, "configuration, TOML")->required();
  command->add_option("--out", flags->out, "network, .h5")->required();
  command
      ->add_option("--noise-draws", flags->noise_draws,
                   "test passes with other noise, for layers that have noise")
      ->check(CLI::Range(1, 100000));
  add_threads(command, flags->threads);
  command->callback([flags, &program] {
    program.action = [flags, &program] {
      train_command(flags->file, flags->out, flags->threads, flags->noise_draws, program);
    };
  });
}

void add_evaluate(CLI::App& app, Program& program) {
  struct Flags {
    std::string file, network, model;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* command =
      add_command(app, "evaluate",
                  "Test accuracy of a trained network: digital, on ideal tiles, with wires, with ADC,\n"
                  "and with memory devices at the times of [evaluation].",
                  "crosstile evaluate demo.toml --network network.h5 --model model.h5");
  command->add_option("FILE", flags->file, "configuration, TOML")->required();
  command->add_option("--network", flags->network, "network, .h5")->required();
  command->add_option("--model", flags->model,
                      "tile model, .h5 (default: the form of [model], no correction)");
  command->callback([flags, &program] {
    program.action = [flags, &program] {
      evaluate_command(flags->file, flags->network, flags->model, program);
    };
  });
}

}  // namespace

void add_network_commands(CLI::App& app, Program& program) {
  add_train(app, program);
  add_evaluate(app, program);
}

}  // namespace crosstile::cli
