#include <catch2/catch.hpp>
#include <cctype>
#include <cmath>
#include <map>
#include <set>

#include "circuit/netlist.hpp"
#include "core/error.hpp"
#include "core/version.hpp"
#include "support.hpp"

using namespace crosstile;
using namespace crosstile::circuit;
using namespace crosstile::circuit::test;

namespace {

// The elements of a deck: name, then its words. Comments, options and the control block are left out.
struct Elements {
  std::map<std::string, std::vector<std::string>> words;
  std::map<char, int> count;
  std::set<std::string> nodes;  // of two-terminal elements, without ground

  explicit Elements(const std::string& deck) {
    std::istringstream lines(deck);
    bool control = false;
    for (std::string line; std::getline(lines, line);) {
      if (line == ".control") control = true;
      if (line == ".endc") control = false;
      if (control || line.empty() || std::isalpha(static_cast<unsigned char>(line[0])) == 0) continue;
      std::istringstream text(line);
      std::string name;
      text >> name;
      REQUIRE(words.count(name) == 0);
      for (std::string word; text >> word;) words[name].push_back(word);
      ++count[name[0]];
      for (std::size_t k = 0; k < 2; ++k)
        if (words[name].at(k) != "0") nodes.insert(words[name][k]);
    }
  }
  double value(const std::string& name) const { return std::stod(words.at(name).at(2)); }
};

std::string only_deck(const Crossbar& crossbar, const IntVector& codes) {
  const auto decks = write_netlists(crossbar, codes);
  REQUIRE(decks.size() == 1);
  return decks.front().text;
}

data::TileSpec full_tile() {
  data::TileSpec tile = plain_tile(3, 4);
  tile.drive = data::Drive::level;
  tile.r_driver_ohm = 7.0;
  tile.r_sense_ohm = 5.0;
  tile.sense_segment = 0.5;
  tile.c_row_farad = 1e-15;
  tile.c_col_farad = 2e-15;
  tile.sense = data::SenseEnd::alternate;
  tile.drivers = data::DriverEnds::both;
  return tile;
}

IntVector codes_of(std::initializer_list<int> list) {
  IntVector codes(static_cast<Index>(list.size()));
  std::copy(list.begin(), list.end(), codes.begin());
  return codes;
}

// Points of "PWL(t v t v ...)" and its integral over time.
double pulse_area(const std::string& deck, const std::string& source) {
  const auto words = Elements(deck).words.at(source);
  std::string text;
  for (std::size_t k = 2; k < words.size(); ++k) text += words[k] + " ";
  REQUIRE(text.rfind("PWL(", 0) == 0);
  std::istringstream numbers(text.substr(4, text.find(')') - 4));
  double t = 0.0, v = 0.0, area = 0.0, next_t = 0.0, next_v = 0.0;
  numbers >> t >> v;
  while (numbers >> next_t >> next_v) {
    REQUIRE(next_t > t);
    area += 0.5 * (next_t - t) * (v + next_v);
    t = next_t;
    v = next_v;
  }
  CHECK(v == 0.0);
  return area;
}

}  // namespace

TEST_CASE("A deck has one element for every wire segment, cell, capacitance, driver and sense", "[kat]") {
  const data::TileSpec tile = full_tile();
  const Matrix g = random_conductances(tile, 1);
  const Elements deck(only_deck(Crossbar(tile, g), codes_of({3, 0, 5})));
  const int n = 3, m = 4;
  CHECK(deck.count.at('R') == 2 * n + n * (m - 1) + m * (n - 1) + m + n * m);  // drivers, row and column wires, senses, cells
  CHECK(deck.count.at('C') == 2 * n * m + m);                                  // wire nodes, charges
  CHECK(deck.count.at('V') == n + m);
  CHECK(deck.count.at('F') == m);
  CHECK(deck.nodes.size() == static_cast<std::size_t>(2 * n * m + n + 2 * m));  // wire nodes, drivers, senses, charges
  CHECK(deck.value("Rw1") == 8.0);
  CHECK(deck.words.at("Re1")[1] == "r1_3");
  CHECK(deck.value("Rr1_2") == 1.0);
  CHECK(deck.value("Rd2_3") == Approx(1.0 / g(2, 3)).epsilon(1e-15));
  CHECK(deck.words.at("Rd2_3")[0] == "r2_3");
  CHECK(deck.words.at("Rd2_3")[1] == "c2_3");
  CHECK(deck.value("Rs0") == 5.5);
  CHECK(deck.words.at("Rs0")[0] == "c2_0");  // even columns south, odd ones north
  CHECK(deck.words.at("Rs1")[0] == "c0_1");
}

TEST_CASE("Wires without resistance are one node", "[kat]") {
  data::TileSpec tile = full_tile();
  const Matrix g = random_conductances(tile, 1);
  const IntVector codes = codes_of({3, 1, 5});
  tile.r_row_ohm = 0.0;
  {
    const Elements deck(only_deck(Crossbar(tile, g), codes));
    CHECK(deck.words.at("Rd1_2")[0] == "r1");
    CHECK(deck.words.at("Rd1_3")[0] == "r1");
    CHECK(deck.value("Cr1") == Approx(4e-15).epsilon(1e-15));
    CHECK(deck.nodes.count("r1_0") == 0);
  }
  tile.r_driver_ohm = 0.0;
  tile.r_col_ohm = 0.0;
  {
    const Elements deck(only_deck(Crossbar(tile, g), codes));
    CHECK(deck.words.at("Rd1_2")[0] == "d1");  // an ideal supply holds its row
    CHECK(deck.words.at("Rd1_2")[1] == "c2");
    CHECK(deck.value("Cc2") == Approx(6e-15).epsilon(1e-15));
    CHECK(deck.value("Rs2") == 5.0);
  }
  tile.r_sense_ohm = 0.0;
  {
    const Elements deck(only_deck(Crossbar(tile, g), codes));
    CHECK(deck.words.at("Rd1_2")[1] == "s2");  // and an ideal sense its column
    CHECK(deck.count.at('R') == 12);
    CHECK(deck.count.at('C') == 4);
  }
  // With wire but without sense resistance only the last node is the sense.
  tile.r_col_ohm = 1.0;
  tile.sense_segment = 0.0;
  const Elements deck(only_deck(Crossbar(tile, g), codes));
  CHECK(deck.words.at("Rd2_0")[1] == "s0");
  CHECK(deck.words.at("Rd0_0")[1] == "c0_0");
  CHECK(deck.words.at("Rc1_0")[1] == "s0");
  CHECK(deck.words.count("Rs0") == 0);
}

TEST_CASE("Open cells and idle gated rows have no element", "[property]") {
  data::TileSpec tile = full_tile();
  Matrix g = random_conductances(tile, 1);
  g(2, 1) = 0.0;
  CHECK(Elements(only_deck(Crossbar(tile, g), codes_of({3, 0, 5}))).words.count("Rd2_1") == 0);
  tile.drive = data::Drive::gated;
  const Elements deck(only_deck(Crossbar(tile, g), codes_of({3, 0, 5})));
  CHECK(deck.count.at('B') == 7);
  CHECK(deck.words.count("Bd1_0") == 0);
  CHECK(deck.words.count("Vg1") == 0);
  CHECK(deck.words.at("Vd1")[3] == "0.2");  // its supply stays on
}

TEST_CASE("A transistor selector and a sinh cell stand in series", "[kat]") {
  data::TileSpec tile = plain_tile(1, 1);
  tile.cell.law = data::CellLaw::sinh;
  tile.selector.kind = data::SelectorKind::mos;
  tile.pulse.t_edge_s = 0.2e-9;
  const std::string text = only_deck(Crossbar(tile, Matrix::Constant(1, 1, 1e-5)), codes_of({3}));
  const Elements deck(text);
  CHECK(deck.words.at("Bd0_0")[1] == "m0_0");
  CHECK(deck.words.at("Bm0_0")[0] == "m0_0");
  CHECK(deck.words.at("Bm0_0")[1] == "c0_0");
  CHECK(deck.words.at("Bm0_0")[2].find("v(t0)") != std::string::npos);  // gated with finite edges: the gate has a source of its own
  CHECK(pulse_area(text, "Vt0") == Approx(3e-9 * tile.selector.gate_on_volt).epsilon(1e-12));
  CHECK(pulse_area(text, "Vg0") == Approx(3.2e-9).epsilon(1e-12));
  tile.drive = data::Drive::level;
  const Elements always_on(only_deck(Crossbar(tile, Matrix::Constant(1, 1, 1e-5)), codes_of({3})));
  CHECK(always_on.words.count("Vg0") == 0);
  CHECK(always_on.words.at("Bm0_0")[2].find("v(t0)") == std::string::npos);
}

TEST_CASE("Pulses have the area of their code, whatever their edges and place", "[property]") {
  data::TileSpec tile = full_tile();
  tile.pulse.dac_bits = 4;
  const Matrix g = random_conductances(tile, 1);
  for (const auto align : {data::PulseAlign::left, data::PulseAlign::centre})
    for (const double edge : {0.0, 0.3e-9, 1e-9}) {
      tile.pulse.align = align;
      tile.pulse.t_edge_s = edge;
      const std::string level = only_deck(Crossbar(tile, g), codes_of({1, 4, 7}));
      CHECK(pulse_area(level, "Vd0") == Approx(0.2e-9).epsilon(1e-12));
      CHECK(pulse_area(level, "Vd1") == Approx(0.8e-9).epsilon(1e-12));
      CHECK(pulse_area(level, "Vd2") == Approx(1.4e-9).epsilon(1e-12));
    }
  tile.drive = data::Drive::bipolar;
  tile.weight_layout = data::WeightLayout::bipolar;
  const std::string bipolar = only_deck(Crossbar(tile, g, g), codes_of({1, -4, 7}));
  CHECK(pulse_area(bipolar, "Vd2") == Approx(-0.8e-9).epsilon(1e-12));  // lines 2 and 3: G+ and G- of row 1
  CHECK(pulse_area(bipolar, "Vd3") == Approx(0.8e-9).epsilon(1e-12));
}

TEST_CASE("There is one deck a pass, with its weight and window", "[property]") {
  data::TileSpec tile = full_tile();
  tile.pulse.passes = data::Passes::split;
  const Crossbar crossbar(tile, random_conductances(tile, 1));
  const IntVector codes = codes_of({100, -7, 33});
  const auto passes = data::make_passes(codes, tile);
  const auto decks = write_netlists(crossbar, codes);
  REQUIRE(decks.size() == passes.size());
  REQUIRE(decks.size() == 3);  // the low bits of 100 and 33 and of -7, the high bits of 100 and 33
  for (std::size_t k = 0; k < decks.size(); ++k) {
    CHECK(decks[k].number == static_cast<Index>(k));
    CHECK(decks[k].weight == passes[k].weight);
    CHECK(decks[k].window_s == passes[k].window_s);
    CHECK(decks[k].text.find("pass " + std::to_string(k + 1) + " of 3") != std::string::npos);
  }
  CHECK(write_netlists(crossbar, codes_of({0, 0, 0})).empty());
}

TEST_CASE("A deck is the same every time, and says what it is", "[property]") {
  const data::TileSpec tile = full_tile();
  const Crossbar crossbar(tile, random_conductances(tile, 1));
  const std::string text = only_deck(crossbar, codes_of({3, 0, 5}));
  CHECK(text == only_deck(crossbar, codes_of({3, 0, 5})));
  for (const std::string& part : {std::string("* crosstile tile, pass 1 of 1"), std::string("crosstile ") + kVersion,
                                  std::string("ngspice -b"), std::string("3 rows x 4 columns"), std::string("print charge_3"),
                                  std::string("coulomb")})
    CHECK(text.find(part) != std::string::npos);
  CHECK(text.substr(text.size() - 6) == "\n.end\n");
}

TEST_CASE("Decks of impossible requests are refused", "[error]") {
  data::TileSpec tile = full_tile();
  tile.pulse.dac_bits = 4;
  const Crossbar crossbar(tile, random_conductances(tile, 1));
  CHECK_THROWS_WITH(write_netlists(crossbar, codes_of({3, 8, 5})), Catch::Contains("code of row 1") && Catch::Contains("-7 to 7"));
  CHECK_THROWS_WITH(write_netlists(crossbar, codes_of({3, 8})), Catch::Contains("2 codes for 3 rows"));
  NetlistOptions options;
  options.reltol = 0.0;
  CHECK_THROWS_WITH(write_netlists(crossbar, codes_of({3, 1, 5}), options), Catch::Contains("reltol"));
  tile.front_end.kind = data::FrontEndKind::integrator;
  tile.sense_segment = tile.r_sense_ohm = 0.0;
  CHECK_THROWS_WITH(write_netlists(Crossbar(tile, random_conductances(tile, 1)), codes_of({3, 1, 5})), Catch::Contains("r_sense_ohm"));
}
