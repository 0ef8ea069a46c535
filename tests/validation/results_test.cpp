#include "validation/results.hpp"

#include <catch2/catch.hpp>
#include <limits>

#include "tests/core/scratch.hpp"

using namespace crosstile;
using namespace crosstile::validation;
using namespace crosstile::testing;

namespace {

Results sample() {
  Results results;
  results.title = "A run with \"quotes\", µS and <tags>";
  results.put(Headline{"accuracy", "97.9 %", "10 000 images"});
  results.put(Table{"errors",
                    "comparison",
                    {"model", "RMS (LSB)"},
                    {{"fast", 0.031}, {"ideal", 1.0 / 3.0}},
                    "a caption",
                    "crosstile compare"});
  return results;
}

}  // namespace

TEST_CASE("Results come back from their file as they were written", "[identity]") {
  const ScratchFolder scratch;
  write_results(scratch / "results.json", sample());
  const Results back = read_results(scratch / "results.json");
  CHECK(back.title == sample().title);
  REQUIRE(back.headline.size() == 1);
  CHECK(back.headline[0].value == "97.9 %");
  REQUIRE(back.tables.size() == 1);
  CHECK(back.tables[0].section == "comparison");
  CHECK(back.tables[0].columns == sample().tables[0].columns);
  CHECK(back.tables[0].rows == sample().tables[0].rows);  // to the last bit
  CHECK(back.tables[0].command == "crosstile compare");
}

TEST_CASE("A stage that runs again replaces its headline and its table", "[property]") {
  Results results = sample();
  results.put(Headline{"accuracy", "98.0 %", ""});
  results.put(Table{"errors", "comparison", {"model"}, {{"fast"}}, "", ""});
  results.put(Table{"errors", "accuracy", {"model"}, {}, "", ""});
  REQUIRE(results.headline.size() == 1);
  CHECK(results.headline[0].value == "98.0 %");
  REQUIRE(results.tables.size() == 2);
  CHECK(results.tables[0].columns.size() == 1);
}

TEST_CASE("Results that cannot be shown are refused before anything is written", "[error]") {
  const ScratchFolder scratch;
  const auto refused = [&](const Results& results, const std::string& part) {
    require_error(error_of([&] { write_results(scratch / "results.json", results); }), ErrorKind::usage,
                  {part});
  };
  Results results = sample();
  results.tables[0].rows[1].pop_back();
  refused(results, "row 1 has 1 cells for 2 columns");
  results = sample();
  results.tables[0].rows[0][1] = std::numeric_limits<double>::quiet_NaN();
  refused(results, "not a finite number");
  results = sample();
  results.title = "\xff\xfe";
  refused(results, "UTF-8");
  CHECK(scratch.entries() == 0);
}

TEST_CASE("Damaged results are refused with the file and the field", "[error]") {
  const ScratchFolder scratch;
  const std::string head = R"({"kind":"crosstile-results","version":1,"title":"t","headline":[],"tables":[)";
  const std::vector<std::pair<std::string, std::string>> cases{
      {"{", "not valid JSON"},
      {"[1]", "is not an object"},
      {R"({"kind":"other"})", "is not a crosstile-results file"},
      {R"({"kind":"crosstile-results","version":2})", "allowed: 1 to 1"},
      {R"({"kind":"crosstile-results","version":1,"title":5,"headline":[],"tables":[]})",
       "title is not a text"},
      {R"({"kind":"crosstile-results","version":1,"title":"t","tables":[]})",
       "headline is missing or not a list"},
      {head + R"({"columns":["a"],"rows":[[1,2]]}]})", "tables[0] rows: a row is not a list of 1 cells"},
      {head + R"({"columns":["a"],"rows":[[null]]}]})", "neither number nor text"},
      {head + R"({"columns":[3],"rows":[]}]})", "a heading is not a text"}};
  for (const auto& [text, part] : cases) {
    put_bytes(scratch / "results.json", text);
    require_error(error_of([&] { read_results(scratch / "results.json"); }), ErrorKind::bad_data,
                  {"results.json", part});
  }
  require_error(error_of([&] { read_results(scratch / "absent.json"); }), ErrorKind::io, {"absent.json"});
}
