// train, evaluate: a network in software, and on tiles.
#include <fmt/core.h>

#include "cli/commands.hpp"
#include "data/config.hpp"
#include "data/idx.hpp"
#include "nn/nn.hpp"
#include "tilemodel/tilemodel.hpp"
#include "validation/pipeline.hpp"

namespace crosstile::cli {

namespace {

using std::filesystem::path;

validation::PipelineConfig read_config(const std::string& file) {
  data::Config config = data::Config::from_file(file);
  return validation::read_pipeline(config);
}

void train_command(const std::string& file, const path& out, int threads, Program& program) {
  auto pipeline = read_config(file);
  pipeline.training.threads = threads;
  const auto train = data::read_labelled_images(pipeline.data.train_images, pipeline.data.train_labels);
  const auto test = data::read_labelled_images(pipeline.data.test_images, pipeline.data.test_labels);
  require_writable_file(out);
  const path work = out.string() + ".work";
  program.resume_hint =
      "finished epochs are kept in " + work.string() + "; run the same command again to go on";
  const auto state = validation::train_network(pipeline, train, work, program.progress());
  nn::EvaluationOptions options;
  options.threads = threads;
  const auto report = nn::evaluate_digital(state.network, test, options);
  nn::write_network(out, state.network, pipeline.toml);
  std::filesystem::remove_all(work);

  const auto& last = state.history.back();
  program.say(fmt::format(
      "{}: {} epochs, loss {:.4f}, training accuracy {:.2f} %, test accuracy {:.2f} % ({} images)",
      out.string(), state.epochs_done, last.loss, 100.0 * last.accuracy,
      100.0 * report.accuracy.value_or(0.0), report.images));
  program.result["command"] = "train";
  program.result["output"] = out.string();
  program.result["epochs"] = state.epochs_done;
  program.result["loss"] = last.loss;
  program.result["train_accuracy"] = last.accuracy;
  if (report.accuracy) program.result["test_accuracy"] = *report.accuracy;
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
  const auto rows = validation::evaluate_network(pipeline, network, model, train, test, program.progress());
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
}

void add_train(CLI::App& app, Program& program) {
  struct Flags {
    std::string file, out;
    int threads = 0;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* command = add_command(
      app, "train",
      "Trains the network of [network] and [training] digitally on the images of [data].\n"
      "Keeps a checkpoint per epoch in NET.h5.work/; the same command goes on after an interrupt.",
      "crosstile train demo.toml --out network.h5");
  command->add_option("FILE", flags->file, "configuration, TOML")->required();
  command->add_option("--out", flags->out, "network, .h5")->required();
  add_threads(command, flags->threads);
  command->callback([flags, &program] {
    program.action = [flags, &program] { train_command(flags->file, flags->out, flags->threads, program); };
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
