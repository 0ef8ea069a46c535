// solve: one tile without any network.
#include <fmt/core.h>

#include "cli/commands.hpp"
#include "core/version.hpp"
#include "data/config.hpp"
#include "data/csv.hpp"
#include "data/hdf5_file.hpp"
#include "validation/solve.hpp"

namespace crosstile::cli {

namespace {

using std::filesystem::path;
using validation::CheckLine;
using validation::SolveInput;
using validation::SolveMethod;
using validation::SolveResult;

struct SolveFlags {
  std::string tile, conductances, conductances_minus, codes, out, method;
  bool check = false;
  validation::SolveOptions options;
};

std::string unit_of(SolveMethod method) {
  return method == SolveMethod::steady ? "ampere" : "coulomb";
}
std::string energy_unit(SolveMethod method) {
  return method == SolveMethod::steady ? "watt" : "joule";
}

bool is_hdf5(const path& file) {
  return file.extension() == ".h5" || file.extension() == ".hdf5";
}

path energy_path(const path& out) {
  return out.parent_path() / (out.stem().string() + "_energy.csv");
}
path supply_path(const path& out) {
  return out.parent_path() / (out.stem().string() + "_supply.csv");
}

void write_output(const path& file, const SolveInput& input, const SolveFlags& flags,
                  const SolveResult& result) {
  const std::string name = validation::output_name(flags.options.method);
  const std::string unit = unit_of(flags.options.method);
  if (!is_hdf5(file)) {
    const std::string converted = result.adc_full_scale_coulomb ? ", after the ADC" : "";
    data::write_csv(file, result.output,
                    name + converted + ", one vector per line, one column per bit line (unit: " + unit + ")");
    return;
  }
  data::Hdf5Writer out("solution", 1);
  out.matrix(name, result.output, unit);
  out.text("method", flags.method);
  out.text("tile_toml", data::tile_to_toml(input.tile));
  out.text("seed", std::to_string(input.seed));
  out.text("generator", "philox4x64-10");
  out.write(file);
}

validation::Table energy_table(const SolveResult& result, SolveMethod method) {
  validation::Table table;
  table.title = fmt::format("{} of each vector ({})", method == SolveMethod::steady ? "Power" : "Energy",
                            energy_unit(method));
  table.columns = {"vector"};
  for (const auto& term : validation::energy_terms(method)) table.columns.push_back(term);
  for (Index v = 0; v < result.energy.rows(); ++v) {
    table.rows.push_back({static_cast<double>(v + 1)});
    for (Index k = 0; k < result.energy.cols(); ++k) table.rows.back().emplace_back(result.energy(v, k));
  }
  return table;
}

void write_energy(const path& file, const SolveResult& result, SolveMethod method) {
  std::string header =
      fmt::format("energy_{}, one vector per line (unit: {}):", energy_unit(method), energy_unit(method));
  for (const auto& term : validation::energy_terms(method)) header += (term == "source" ? " " : ", ") + term;
  data::write_csv(file, result.energy, header);
}

void write_supply(const path& file, const SolveInput& input, const SolveResult& result) {
  std::string header = "supply_ampere, one row (word line) per line, over all vectors (unit: ampere):";
  for (const auto& term : validation::supply_terms(input.g_minus_siemens.has_value()))
    header += (header.ends_with(':') ? " " : ", ") + term;
  data::write_csv(file, result.supply_ampere, header);
}

// The row whose supply must give most.
void report_supply(const SolveInput& input, const SolveResult& result, Program& program) {
  const auto terms = validation::supply_terms(input.g_minus_siemens.has_value());
  double most = 0.0;
  Index row = 0;
  std::size_t term = 1;
  for (std::size_t k = 1; k < terms.size(); k += 2) {
    Index at = 0;
    const double peak = result.supply_ampere.col(static_cast<Index>(k)).cwiseAbs().maxCoeff(&at);
    if (peak <= most) continue;
    most = peak;
    row = at;
    term = k;
  }
  program.say(
      fmt::format("largest supply current of a row: {:.6g} A (row {}, {})", most, row + 1, terms[term]));
  program.result["peak_supply"] = {{"ampere", most}, {"row", row + 1}, {"term", terms[term]}};
}

// Prints the invariants; throws check_failed when one is violated.
void report_checks(const std::vector<CheckLine>& lines, Program& program) {
  Json list = Json::array();
  std::string failed;
  program.say(fmt::format("  {:<24} {:>11} {:>9}  {:<8} {}", "check", "residual", "gate", "verdict",
                          "what is compared"));
  for (const CheckLine& line : lines) {
    const std::string verdict = to_text(line.verdict);
    const bool gated = line.verdict == CheckLine::Verdict::pass || line.verdict == CheckLine::Verdict::fail;
    const bool measured = line.verdict != CheckLine::Verdict::skipped;
    program.say(fmt::format("  {:<24} {:>11} {:>9}  {:<8} {}", line.name,
                            measured ? fmt::format("{:.2e}", line.residual) : "-",
                            gated ? fmt::format("{:.0e}", line.gate) : "-", verdict, line.note));
    Json entry = {{"name", line.name}, {"verdict", verdict}, {"note", line.note}};
    if (measured) entry["residual"] = line.residual;
    if (gated) entry["gate"] = line.gate;
    list.push_back(entry);
    if (line.verdict == CheckLine::Verdict::fail) failed += (failed.empty() ? "" : ", ") + line.name;
  }
  program.result["checks"] = list;
  program.result["passed"] = failed.empty();
  if (!failed.empty())
    throw Error(ErrorKind::check_failed, "check failed: " + failed + "; nothing was written");
}

void solve_command(const SolveFlags& flags, Program& program) {
  validation::SolveFiles files{flags.tile, flags.conductances, {}, flags.codes};
  if (!flags.conductances_minus.empty()) files.conductances_minus = flags.conductances_minus;
  const SolveInput input = validation::read_solve_input(files, flags.options);
  const path out(flags.out);
  const path energy = energy_path(out);
  require_writable_file(out);
  if (flags.options.energy) {
    require_writable_file(energy);
    require_writable_file(supply_path(out));
  }

  const Progress progress = program.progress();
  const SolveResult result = validation::solve(input, flags.options, progress);
  program.result["command"] = "solve";
  program.result["method"] = flags.method;
  if (flags.check) report_checks(validation::check_solve(input, flags.options, progress), program);
  report_progress(progress, 1.0, "writing");
  if (flags.options.energy) {
    write_energy(energy, result, flags.options.method);
    write_supply(supply_path(out), input, result);
  }
  write_output(out, input, flags, result);

  program.result["output"] = out.string();
  program.result["quantity"] = validation::output_name(flags.options.method);
  program.result["unit"] = unit_of(flags.options.method);
  program.result["vectors"] = result.output.rows();
  program.result["rows"] = input.tile.rows;
  program.result["columns"] = result.output.cols();
  if (flags.options.method == SolveMethod::charge) program.result["rc_share"] = result.rc_share;
  if (result.adc_full_scale_coulomb)
    program.result["adc_full_scale_coulomb"] = *result.adc_full_scale_coulomb;
  if (flags.options.energy) {
    const auto table = energy_table(result, flags.options.method);
    program.say(table);
    program.result["energy"] = table_json(table);
    program.result["energy_output"] = energy.string();
    program.result["supply_output"] = supply_path(out).string();
    report_supply(input, result, program);
  }
  if (!result.note.empty()) program.note(result.note);
  if (result.adc_full_scale_coulomb)
    program.note(fmt::format("ADC full scale {:.6g} coulomb per bit line", *result.adc_full_scale_coulomb));
  program.say(fmt::format(
      "{}: {} x {} {} (method {}, tile {} x {}){}", out.string(), result.output.rows(), result.output.cols(),
      validation::output_name(flags.options.method), flags.method, input.tile.rows, input.tile.cols,
      flags.options.energy
          ? "; energies in " + energy.string() + ", supply currents in " + supply_path(out).string()
          : ""));
}

}  // namespace

void add_solve_command(CLI::App& app, Program& program) {
  auto flags = std::make_shared<SolveFlags>();
  CLI::App* command = add_command(
      app, "solve",
      "One tile without any network: conductances and pulse codes in,\n"
      "bit-line charges (currents for steady) out, one vector per line.",
      "crosstile solve --tile T.toml --conductances G.csv --codes K.csv --method charge --out Q.csv "
      "--check\n\n"
      "T.toml holds [tile] and `seed`; rows and columns follow G.csv. Methods: steady (one instant, "
      "ampere),\n"
      "transient (SUNDIALS), ngspice (the same in ngspice, where installed), charge (event-driven), "
      "effective\n"
      "(product, linear tiles), ladder and binned (fast models, gated tiles). A .h5 file is accepted "
      "wherever a .csv is, and written for --out X.h5.");
  command->add_option("--tile", flags->tile, "tile specification, TOML")->required();
  command->add_option("--conductances", flags->conductances, "siemens, one row (word line) a line")
      ->required();
  command->add_option("--conductances-minus", flags->conductances_minus,
                      "G- of each pair; the output is plus minus minus");
  command->add_option("--codes", flags->codes, "signed pulse codes, one vector a line")->required();
  std::vector<std::string> methods;
  for (const auto& entry : data::EnumNames<SolveMethod>::value) methods.emplace_back(entry.name);
  command->add_option("--method", flags->method, "how to solve it")
      ->required()
      ->check(CLI::IsMember(methods));
  command->add_option("--out", flags->out, "result, .csv or .h5")->required();
  command->add_flag("--check", flags->check, "also test the invariants; exit 1 when one fails");
  command->add_flag("--energy", flags->options.energy,
                    "also print energies and write <out>_energy.csv and <out>_supply.csv");
  command->add_option("--segments", flags->options.segments, "binned: row segments (default 8)")
      ->check(CLI::Range(1, 16384));
  command->add_option("--time-bins", flags->options.time_bins, "binned: time bins (default 8)")
      ->check(CLI::Range(1, 65536));
  command
      ->add_option("--relative-tolerance", flags->options.relative_tolerance,
                   "transient: of the integrator (default 1e-9); ngspice: its reltol (default 1e-6)")
      ->check(CLI::Range(1e-12, 1e-2));
  add_threads(command, flags->options.threads);
  command->callback([flags, command, &program] {
    const bool own_tolerance = command->count("--relative-tolerance") > 0;
    program.action = [flags, own_tolerance, &program] {
      flags->options.method = *data::from_name<SolveMethod>(flags->method);
      if (own_tolerance) flags->options.ngspice_reltol = flags->options.relative_tolerance;
      solve_command(*flags, program);
    };
  });
}

}  // namespace crosstile::cli
