#include "data/csv.hpp"

#include <catch2/catch.hpp>

#include "core/random.hpp"
#include "data/hdf5_file.hpp"
#include "tests/core/scratch.hpp"

using namespace crosstile;
using namespace crosstile::data;
using namespace crosstile::testing;

namespace {

Matrix read_text_table(const std::string& text, const TableExpectation& expected = {}) {
  const ScratchFolder folder;
  put_bytes(folder / "t.csv", text);
  return read_csv(folder / "t.csv", expected);
}

const Matrix kTwoByThree = (Matrix(2, 3) << 1.0, 2.5, -3.0, 4e-6, 0.0, 6.0).finished();

}  // namespace

TEST_CASE("Header, line ends, spaces and a byte-order mark do not change a table", "[identity]") {
  const std::vector<std::string> texts = {"1,2.5,-3\n4e-6,0,6\n",
                                          "1,2.5,-3\n4e-6,0,6",
                                          "1,2.5,-3\r\n4e-6,0,6\r\n\r\n",
                                          "# a, b, 3\n1,2.5,-3\n4e-6,0,6\n\n\n",
                                          "# two comment lines\n# unit: siemens\n1,2.5,-3\n4e-6,0,6\n",
                                          "a,b,c\n1,2.5,-3\n4e-6,0,6\n",
                                          "col 0,col 1,\"col 2\"\r\n 1 ,\t2.5, -3\r\n+4E-06,0.0,6.\r\n",
                                          "\xEF\xBB\xBF"
                                          "1,2.5,-3\n4e-6,0,6\n",
                                          "\xEF\xBB\xBF# header\n1,2.5,-3\n4e-6,0,6\n"};
  for (const auto& text : texts) {
    INFO(text);
    REQUIRE(read_text_table(text) == kTwoByThree);
  }
}

TEST_CASE("A table written and read again is the same to the last bit", "[property]") {
  const ScratchFolder folder;
  const Matrix table = random_normal_matrix({1, Stream::test, 0}, 37, 11).array() *
                       (random_normal_matrix({2, Stream::test, 0}, 37, 11).array() * 40.0).exp();
  write_csv(folder / "t.csv", table, "charge_coulomb");
  REQUIRE(read_csv(folder / "t.csv") == table);
  REQUIRE(read_table(folder / "t.csv") == table);
  REQUIRE_THAT(get_bytes(folder / "t.csv"), Catch::Matchers::StartsWith("# charge_coulomb\n"));
  write_csv(folder / "t.csv", table);
  REQUIRE(read_csv(folder / "t.csv") == table);
  REQUIRE(folder.entries() == 1);
}

TEST_CASE("The reference data outside this project can be read", "[identity]") {
  const std::filesystem::path reference = std::filesystem::path(CROSSTILE_SOURCE_DIR) / "tests/reference";
  const Matrix g = read_csv(reference / "ngspice_16x16/G_16.csv", {"conductances", 16, 16, 0.0, 1e-3});
  REQUIRE(g(0, 0) == 1.6913426226482428e-05);
  const Matrix codes =
      read_csv(reference / "bipolar_ladder_64x16/codes.csv", {"codes", 8, 64, -127, 127, true});
  REQUIRE(codes(0, 0) == -61.0);
}

TEST_CASE("Bad tables are refused with file, line, column and value", "[error]") {
  struct Case {
    std::string text;
    std::vector<std::string> parts;
  };
  TableExpectation expected;
  expected.what = "conductances";
  expected.low = 0.0;
  expected.high = 1.0;
  const std::vector<Case> cases = {
      {"", {"no numbers"}},
      {"\n\n", {"no numbers"}},
      {"# only a header\n", {"no numbers"}},
      {"a,b\n", {"no numbers"}},
      {"0.1,0.2\n0.3\n", {"line 2", "1 columns", "have 2"}},
      {"# h\n0.1,0.2\n0.3,0.4,0.5\n", {"line 3", "3 columns"}},
      {"0.1,0.2\n\n0.3,0.4\n", {"line 2 is empty"}},
      {"0.1,0.2\n0.3,x\n", {"line 2, column 2", "\"x\" is not a number"}},
      {"0.1,x\n0.3,0.4\n", {"line 1, column 2", "\"x\""}},
      {"0.1,0.2,\n", {"line 1, column 3", "\"\" is not a number"}},
      {"0.1,0.2\n# late comment\n", {"line 2, column 1"}},
      {"0.1;0.2\n0.3;0.4\n", {"line 2, column 1", "0.3;0.4"}},
      {"0.1,nan\n", {"line 1, column 2", "nan", "finite"}},
      {"0.1,0.2\ninf,0.1\n", {"line 2, column 1", "inf", "finite"}},
      {"0.1,1e999\n", {"line 1, column 2", "1e999"}},
      {"0.1,-0.2\n", {"line 1, column 2", "conductances = -0.2", "allowed: 0 to 1"}},
      {"0.1,0x1\n", {"line 1, column 2", "0x1"}},
      {std::string("0.1,0\0.2\n", 9), {"line 1, column 2"}},
  };
  for (const auto& one : cases) {
    INFO(one.text);
    const Error error = error_of([&] { read_text_table(one.text, expected); });
    require_error(error, ErrorKind::bad_data, {"t.csv: "});
    for (const auto& part : one.parts) require_error(error, ErrorKind::bad_data, {part});
  }
}

TEST_CASE("A table of the wrong shape or with broken codes is refused", "[error]") {
  require_error(error_of([] {
                  read_text_table("1,2\n", {"codes", 2, -1});
                }),
                ErrorKind::bad_data, {"codes: 1 rows found, 2 expected"});
  require_error(error_of([] {
                  read_text_table("1,2\n", {"codes", -1, 3});
                }),
                ErrorKind::bad_data, {"codes: 2 columns found, 3 expected"});
  require_error(error_of([] {
                  read_text_table("1,2.5\n", {"codes", -1, -1, -127, 127, true});
                }),
                ErrorKind::bad_data, {"codes = 2.5", "whole numbers"});
}

TEST_CASE("Missing files and folders are input/output errors", "[error]") {
  const ScratchFolder folder;
  require_error(error_of([&] { read_csv(folder / "none.csv"); }), ErrorKind::io, {"none.csv"});
  require_error(error_of([&] { read_csv(folder.path()); }), ErrorKind::io, {"folder"});
  require_error(error_of([&] { write_csv(folder / "no/t.csv", kTwoByThree); }), ErrorKind::io, {"no/t.csv"});
  Matrix bad = kTwoByThree;
  bad(0, 1) = std::nan("");
  require_error(error_of([&] { write_csv(folder / "t.csv", bad); }), ErrorKind::bad_data,
                {"t.csv", "finite"});
  REQUIRE(folder.entries() == 0);
}

TEST_CASE("read_table takes a matrix from an HDF5 file, with the same checks", "[identity]") {
  const ScratchFolder folder;
  Hdf5Writer writer("table", 1);
  writer.matrix("g", kTwoByThree, "siemens");
  writer.write(folder / "one.h5");
  writer.matrix("other", kTwoByThree * 2.0, "siemens");
  writer.write(folder / "two.h5");
  REQUIRE(read_table(folder / "one.h5") == kTwoByThree);
  REQUIRE(read_table(folder / "two.h5:other") == kTwoByThree * 2.0);
  require_error(error_of([&] { read_table(folder / "two.h5"); }), ErrorKind::bad_data,
                {"two.h5", "g, other", "two.h5:g"});
  require_error(error_of([&] { read_table(folder / "one.h5:h"); }), ErrorKind::bad_data,
                {"\"h\" is missing"});
  require_error(error_of([&] {
                  read_table(folder / "one.h5", {"conductances", -1, -1, 0.0, 10.0});
                }),
                ErrorKind::bad_data, {"row 1, column 3", "conductances = -3"});
  require_error(error_of([&] {
                  read_table(folder / "one.h5", {"codes", -1, -1, -10.0, 10.0, true});
                }),
                ErrorKind::bad_data, {"row 1, column 2", "2.5"});
}
