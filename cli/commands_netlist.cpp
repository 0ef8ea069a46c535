// netlist: one vector of a tile as ngspice decks.
#include <fmt/core.h>

#include "circuit/netlist.hpp"
#include "cli/commands.hpp"
#include "core/files.hpp"
#include "validation/solve.hpp"

namespace crosstile::cli {

namespace {

using std::filesystem::path;

struct NetlistFlags {
  std::string tile, conductances, conductances_minus, codes, out;
  Index vector = 1;
  circuit::NetlistOptions options;
};

struct Deck {
  path file;
  std::string array;
  circuit::Netlist netlist;
};

// One deck: the name as given. Several: the array and the pass go before the extension.
path deck_path(const path& out, const std::string& array, Index pass, bool alone) {
  if (alone) return out;
  std::string name = out.stem().string();
  if (!array.empty()) name += "_" + array;
  return out.parent_path() / fmt::format("{}_pass{}{}", name, pass + 1, out.extension().string());
}

std::vector<Deck> make_decks(const validation::SolveInput& input, const NetlistFlags& flags) {
  const IntVector codes = input.codes.row(flags.vector - 1).transpose();
  const auto crossbars = validation::crossbars_of(input);
  std::vector<Deck> decks;
  for (std::size_t a = 0; a < crossbars.size(); ++a) {
    const std::string array = crossbars.size() == 1 ? "" : (a == 0 ? "plus" : "minus");
    auto netlists = circuit::write_netlists(crossbars[a], codes, flags.options);
    const bool alone = crossbars.size() == 1 && netlists.size() == 1;
    for (auto& netlist : netlists) {
      const path file = deck_path(flags.out, array, netlist.number, alone);
      decks.push_back({file, array, std::move(netlist)});
    }
  }
  return decks;
}

void netlist_command(const NetlistFlags& flags, Program& program) {
  validation::SolveFiles files{flags.tile, flags.conductances, {}, flags.codes};
  if (!flags.conductances_minus.empty()) files.conductances_minus = flags.conductances_minus;
  validation::SolveOptions options;
  options.method = validation::SolveMethod::ngspice;
  const auto input = validation::read_solve_input(files, options);
  if (flags.vector < 1 || flags.vector > input.codes.rows())
    throw Error(ErrorKind::usage, fmt::format("--vector {} is not allowed; {} has the vectors 1 to {}", flags.vector, flags.codes,
                                              input.codes.rows()));
  const auto decks = make_decks(input, flags);
  if (decks.empty())
    throw Error(ErrorKind::bad_data,
                fmt::format("{}: every code of vector {} is 0, so there is no pass to write", flags.codes, flags.vector));
  for (const Deck& deck : decks) require_writable_file(deck.file);

  Json list = Json::array();
  for (const Deck& deck : decks) {
    write_text_atomically(deck.file, deck.netlist.text);
    const double sign = deck.array == "minus" ? -1.0 : 1.0;
    program.say(fmt::format("{}: {}pass {}, window {:.6g} s; its charges count {:g} times", deck.file.string(),
                            deck.array.empty() ? "" : deck.array + " array, ", deck.netlist.number + 1, deck.netlist.window_s,
                            sign * deck.netlist.weight));
    Json entry = {{"file", deck.file.string()}, {"pass", deck.netlist.number + 1}};
    if (!deck.array.empty()) entry["array"] = deck.array;
    entry["weight"] = sign * deck.netlist.weight;
    entry["window_s"] = deck.netlist.window_s;
    list.push_back(entry);
  }
  program.result["command"] = "netlist";
  program.result["vector"] = flags.vector;
  program.result["decks"] = list;
}

}  // namespace

void add_netlist_command(CLI::App& app, Program& program) {
  auto flags = std::make_shared<NetlistFlags>();
  CLI::App* command = add_command(
      app, "netlist",
      "One vector of a tile as ngspice decks, one file per array and electrical pass.\n"
      "`ngspice -b FILE` prints the charge of every column; `solve --method ngspice` does it all.",
      "crosstile netlist --tile T.toml --conductances G.csv --codes K.csv --vector 1 --out deck.cir\n\n"
      "Writes deck.cir, or deck_pass1.cir, deck_plus_pass1.cir, ... when there are several, and prints their\n"
      "names and weights: the result is the sum of weight times charge. Inputs as for solve.");
  command->add_option("--tile", flags->tile, "tile specification, TOML")->required();
  command->add_option("--conductances", flags->conductances, "siemens, one row (word line) a line")->required();
  command->add_option("--conductances-minus", flags->conductances_minus, "G- of each pair");
  command->add_option("--codes", flags->codes, "signed pulse codes, one vector a line")->required();
  command->add_option("--vector", flags->vector, "which line of the codes, from 1 (default 1)");
  command->add_option("--out", flags->out, "deck, .cir")->required();
  command->add_option("--relative-tolerance", flags->options.reltol, "ngspice's reltol (default 1e-6)")
      ->check(CLI::Range(1e-12, 1e-2));
  command->callback([flags, &program] { program.action = [flags, &program] { netlist_command(*flags, program); }; });
}

}  // namespace crosstile::cli
