// characterize: measured reads to a device model. device-figures: pictures of what a device model says.
#include <fmt/core.h>

#include "cli/commands.hpp"
#include "core/files.hpp"
#include "data/sealed_toml.hpp"
#include "device/model_file.hpp"
#include "validation/characterize.hpp"
#include "validation/characterize_figures.hpp"

namespace crosstile::cli {

namespace {

struct CharacterizeFlags {
  std::string data, out, name;
  double target_us = 0.0, g_max_us = 0.0, t0_s = 0.0, read_ns = 250.0, held_out = 0.2;
  std::uint64_t seed = 1;
};

Json goodness_json(const std::vector<validation::Goodness>& list) {
  Json out = Json::array();
  for (const auto& one : list)
    out.push_back({{"of", one.what}, {"devices", one.count}, {"mean", one.mean}, {"rms", one.rms}, {"p_value", one.p_value}});
  return out;
}

void characterize_command(const CharacterizeFlags& flags, Program& program) {
  require_writable_file(flags.out);
  const auto reads = validation::read_device_reads(flags.data, 1e-6 * flags.target_us);
  validation::CharacterizeOptions options;
  options.name = flags.name.empty() ? std::filesystem::path(flags.out).stem().string() : flags.name;
  options.source = "fit to " + std::filesystem::path(flags.data).filename().string();
  options.g_max_siemens = 1e-6 * flags.g_max_us;
  options.t0_s = flags.t0_s;
  options.read_s = 1e-9 * flags.read_ns;
  options.held_out_share = flags.held_out;
  options.seed = flags.seed;
  const auto fit = validation::characterize(reads, options);
  write_text_atomically(flags.out, data::seal_toml(validation::characterization_to_toml(fit)));
  for (const auto& table : validation::characterization_tables(fit)) program.say(table);
  program.say(flags.out + ": device model \"" + options.name + "\"");
  if (fit.ignored_reads > 0) program.note(fmt::format("{} reads that are not positive were left out", fit.ignored_reads));
  for (const auto& one : fit.held_out)
    if (one.count > 0 && one.p_value < 1e-3)
      program.note(fmt::format("held-out devices do not follow the fitted {} (p = {:.2g})", one.what, one.p_value));
  Json numbers = Json::array();
  for (const auto& number : fit.numbers)
    numbers.push_back({{"key", number.key}, {"unit", number.unit}, {"value", number.value}, {"low", number.low()}, {"high", number.high()}});
  program.result["command"] = "characterize";
  program.result["model"] = flags.out;
  program.result["reads"] = fit.reads;
  program.result["devices"] = fit.devices;
  program.result["held_out_devices"] = fit.held_out_devices;
  program.result["numbers"] = numbers;
  program.result["fitted"] = goodness_json(fit.fitted);
  program.result["held_out"] = goodness_json(fit.held_out);
}

void add_characterize(CLI::App& app, Program& program) {
  auto flags = std::make_shared<CharacterizeFlags>();
  CLI::App* command = add_command(
      app, "characterize",
      "Fits programming noise, drift and read noise to measured reads and writes a device model.\n"
      "Prints every number with its 95 % interval, and how well held-out devices follow the model.",
      "crosstile characterize reads.csv --out mine.toml\n\n"
      "Columns: device, target (siemens), time since programming (s), conductance (siemens); without the\n"
      "target column with --target-us. Use the model with evaluation.device_model = \"mine.toml\", or as [device].");
  command->add_option("DATA", flags->data, "reads, .csv or .h5")->required();
  command->add_option("--out", flags->out, "device model, .toml")->required();
  command->add_option("--name", flags->name, "of the model (default: the file's)");
  command->add_option("--target-us", flags->target_us, "target of all devices, uS; DATA has no target column then")->check(CLI::PositiveNumber);
  command->add_option("--g-max-us", flags->g_max_us, "largest conductance of the model, uS (default: the largest target)")->check(CLI::PositiveNumber);
  command->add_option("--t0-s", flags->t0_s, "first read of the model, s (default: the earliest read)")->check(CLI::PositiveNumber);
  command->add_option("--read-ns", flags->read_ns, "length of one read, ns (default 250)")->check(CLI::PositiveNumber);
  command->add_option("--held-out-share", flags->held_out, "of the devices, kept out of the fit (default 0.2)")->check(CLI::Range(0.0, 0.9));
  command->add_option("--seed", flags->seed, "which devices are held out (default 1)");
  command->callback([flags, &program] { program.action = [flags, &program] { characterize_command(*flags, program); }; });
}

void add_device_figures(CLI::App& app, Program& program) {
  struct Flags {
    std::string out, device = "pcm-2019";
    std::uint64_t seed = 1;
    Index devices = 2000;
    int threads = 0;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* command = add_command(app, "device-figures",
                                  "Pictures of a device model: read noise against integration time, spectrum, drift, programming error.\n"
                                  "Also their data, device_figures.h5.",
                                  "crosstile device-figures --out figures --device mine.toml");
  command->add_option("--out", flags->out, "folder, made when missing")->required();
  command->add_option("--device", flags->device, "published set or model file (default pcm-2019)");
  command->add_option("--devices", flags->devices, "simulated per target (default 2000)")->check(CLI::Range(10, 10'000'000));
  command->add_option("--seed", flags->seed, "of the random numbers (default 1)");
  add_threads(command, flags->threads);
  command->callback([flags, &program] {
    program.action = [flags, &program] {
      validation::DeviceFigureOptions options;
      options.model = device::find_device_model(flags->device);
      options.seed = flags->seed;
      options.devices = flags->devices;
      options.threads = flags->threads;
      Json list = Json::array();
      for (const auto& picture : validation::write_device_figures(flags->out, options, program.progress())) {
        program.say(picture.string());
        list.push_back(picture.string());
      }
      program.result["command"] = "device-figures";
      program.result["pictures"] = list;
    };
  });
}

}  // namespace

void add_device_commands(CLI::App& app, Program& program) {
  add_characterize(app, program);
  add_device_figures(app, program);
}

}  // namespace crosstile::cli
