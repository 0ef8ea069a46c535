#include <sys/resource.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <csignal>
#include <limits>
#include <stdexcept>
#include <thread>

#include "core/files.hpp"
#include "core/parallel.hpp"
#include "core/random.hpp"
#include "data/hdf5_file.hpp"
#include "tests/core/scratch.hpp"

using namespace crosstile;
using namespace crosstile::data;
using namespace crosstile::testing;

namespace {

const std::filesystem::path kFixtures = std::filesystem::path(CROSSTILE_SOURCE_DIR) / "tests/data";

Matrix random_matrix(Index rows, Index cols, std::uint64_t event = 0) {
  return random_normal_matrix({51, Stream::test, 0}, rows, cols, event);
}

Hdf5Writer small_file() {
  Hdf5Writer writer("sample", 2);
  writer.matrix("m", random_matrix(20, 30), "siemens");
  writer.integers("group/codes", IntMatrix::Constant(3, 4, -7), "1");
  writer.text("name", "a tile");
  writer.number("factor", 0.1);
  return writer;
}

Error read_error(const std::filesystem::path& path, const std::string& kind = "sample", int version = 2) {
  return error_of([&] { Hdf5Reader(path, kind, version); });
}

// Lowers the largest size of a file that this process may write, as a full disk would.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit lowered{bytes, before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &lowered);
  }
  ~FileSizeLimit() {
    setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }

 private:
  rlimit before_{};
  void (*handler_)(int);
};

}  // namespace

TEST_CASE("Everything written is read again, to the last bit", "[property]") {
  const ScratchFolder folder;
  const Matrix small = random_matrix(3, 5);
  const Matrix large = random_matrix(700, 300);  // several chunks, compressed
  const std::vector<Matrix> draws = {random_matrix(40, 60, 1), random_matrix(40, 60, 2),
                                     random_matrix(40, 60, 3)};
  const Vector v = random_matrix(17, 1).col(0);
  IntMatrix codes(2, 3);
  codes << 1, -2, std::numeric_limits<int>::max(), std::numeric_limits<int>::min(), 0, 7;
  std::string long_text;
  for (int line = 0; line < 20000; ++line) long_text += "line " + std::to_string(line) + " \xC3\xA9\n";

  Hdf5Writer writer("sample", 3);
  writer.matrix("small", small, "volt");
  writer.matrix("a/b/large", large, "siemens");
  writer.matrices("draws", draws, "siemens");
  writer.vector("v", v, "second");
  writer.integers("codes", codes, "1");
  writer.matrix("empty", Matrix(4, 0), "joule");
  writer.text("short", "pcm");
  writer.text("nothing", "");
  writer.text("long", long_text);
  writer.number("pi", 3.141592653589793);
  writer.write(folder / "f.h5");
  REQUIRE(folder.entries() == 1);

  const Hdf5Reader reader(folder / "f.h5", "sample", 5);
  REQUIRE(reader.version() == 3);
  REQUIRE(reader.matrix("small") == small);
  REQUIRE(reader.matrix("a/b/large") == large);
  REQUIRE(reader.matrices("draws") == draws);
  REQUIRE(reader.vector("v") == v);
  REQUIRE(reader.integers("codes") == codes);
  REQUIRE(reader.matrix("empty").rows() == 4);
  REQUIRE(reader.matrix("empty").cols() == 0);
  REQUIRE(reader.text("short") == "pcm");
  REQUIRE(reader.text("nothing").empty());
  REQUIRE(reader.text("long") == long_text);
  REQUIRE(reader.number("pi") == 3.141592653589793);
  REQUIRE(reader.has("a/b/large"));
  REQUIRE(reader.has("short"));
  REQUIRE_FALSE(reader.has("a/c/large"));
  REQUIRE_FALSE(reader.has("x"));
}

TEST_CASE("The same content gives the same bytes, also a second later and in groups", "[regression]") {
  const ScratchFolder folder;
  small_file().write(folder / "a.h5");
  std::this_thread::sleep_for(std::chrono::milliseconds(1100));  // HDF5's times are whole seconds
  small_file().write(folder / "b.h5");
  REQUIRE(get_bytes(folder / "a.h5") == get_bytes(folder / "b.h5"));
}

TEST_CASE("The user block says what the file is, with its hash and size", "[property]") {
  const ScratchFolder folder;
  small_file().write(folder / "f.h5");
  const std::string bytes = get_bytes(folder / "f.h5");
  const std::string expected = "crosstile sample v2\nxxh3-128 " +
                               hash_bytes(std::string_view(bytes).substr(512)) + "\nbytes " +
                               std::to_string(bytes.size()) + "\n";
  REQUIRE(bytes.substr(0, 512) == expected + std::string(512 - expected.size(), '\0'));
  REQUIRE(bytes.substr(512, 8) == "\x89HDF\r\n\x1a\n");
}

TEST_CASE("One flipped bit anywhere is noticed", "[property]") {
  const ScratchFolder folder;
  small_file().write(folder / "f.h5");
  std::string bytes = get_bytes(folder / "f.h5");
  for (std::size_t at = 0; at < bytes.size(); at += at < 1024 ? 1 : 13) {
    const char before = bytes[at];
    bytes[at] = static_cast<char>(before ^ (1 << (at % 8)));
    put_bytes(folder / "f.h5", bytes);
    INFO("byte " << at);
    require_error(read_error(folder / "f.h5"), ErrorKind::bad_data, {"f.h5"});
    require_error(error_of([&] { read_hdf5_matrix(folder / "f.h5", "m"); }), ErrorKind::bad_data, {"f.h5"});
    bytes[at] = before;
  }
  put_bytes(folder / "f.h5", bytes);
  REQUIRE_NOTHROW(Hdf5Reader(folder / "f.h5", "sample", 2));
}

TEST_CASE("Truncated, lengthened, foreign and empty files are refused", "[error]") {
  const ScratchFolder folder;
  small_file().write(folder / "f.h5");
  const std::string bytes = get_bytes(folder / "f.h5");
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{10}, std::size_t{512}, bytes.size() / 2, bytes.size() - 1}) {
    put_bytes(folder / "cut.h5", bytes.substr(0, size));
    require_error(read_error(folder / "cut.h5"), ErrorKind::bad_data, {"cut.h5"});
  }
  require_error(read_error(folder / "cut.h5"), ErrorKind::bad_data,
                {"truncated", std::to_string(bytes.size())});
  put_bytes(folder / "long.h5", bytes + "x");
  require_error(read_error(folder / "long.h5"), ErrorKind::bad_data, {"long.h5", "damaged"});
  require_error(read_error(kFixtures / "foreign.h5"), ErrorKind::bad_data, {"not a crosstile file"});
  require_error(read_error(folder / "missing.h5"), ErrorKind::io, {"missing.h5"});
  require_error(read_error(folder.path()), ErrorKind::io, {"folder"});
}

TEST_CASE("Another kind or a newer version is refused by name", "[error]") {
  const ScratchFolder folder;
  small_file().write(folder / "f.h5");
  require_error(read_error(folder / "f.h5", "tile-model"), ErrorKind::bad_data,
                {"\"sample\"", "\"tile-model\""});
  require_error(read_error(folder / "f.h5", "sample", 1), ErrorKind::bad_data, {"version 2", "1 to 1"});
}

TEST_CASE("Missing names, wrong ranks and wrong types are refused by name", "[error]") {
  const ScratchFolder folder;
  small_file().write(folder / "f.h5");
  const Hdf5Reader reader(folder / "f.h5", "sample", 2);
  require_error(error_of([&] { reader.matrix("q"); }), ErrorKind::bad_data, {"f.h5", "\"q\" is missing"});
  require_error(error_of([&] { reader.matrix("group"); }), ErrorKind::bad_data, {"\"group\""});
  require_error(error_of([&] { reader.matrices("m"); }), ErrorKind::bad_data,
                {"\"m\" has 2 dimensions, 3 expected"});
  require_error(error_of([&] { reader.vector("m"); }), ErrorKind::bad_data,
                {"\"m\" has 2 dimensions, 1 expected"});
  require_error(error_of([&] { reader.integers("m"); }), ErrorKind::bad_data,
                {"\"m\" does not hold whole numbers"});
  require_error(error_of([&] { reader.text("factor"); }), ErrorKind::bad_data,
                {"\"factor\" is not a fixed-length text"});
  require_error(error_of([&] { reader.number("name"); }), ErrorKind::bad_data, {"\"name\" is not a number"});
  require_error(error_of([&] { reader.text("q"); }), ErrorKind::bad_data, {"\"q\" is missing"});
  require_error(error_of([&] { reader.text("m"); }), ErrorKind::bad_data, {"\"m\" is not a single text"});
}

TEST_CASE("Values that are not finite are not written", "[error]") {
  Hdf5Writer writer("sample", 1);
  Matrix m = Matrix::Zero(2, 2);
  m(1, 0) = std::numeric_limits<double>::infinity();
  require_error(error_of([&] { writer.matrix("m", m, "1"); }), ErrorKind::bad_data, {"m", "finite"});
  require_error(error_of([&] { writer.matrices("ms", {m}, "1"); }), ErrorKind::bad_data, {"ms", "finite"});
  require_error(error_of([&] {
                  writer.matrices("ms", {Matrix::Zero(1, 1), Matrix::Zero(1, 2)}, "1");
                }),
                ErrorKind::bad_data, {"shapes"});
  require_error(error_of([&] { writer.vector("v", m.col(0), "1"); }), ErrorKind::bad_data, {"v", "finite"});
  require_error(error_of([&] { writer.number("n", std::nan("")); }), ErrorKind::bad_data, {"n", "finite"});
  require_error(error_of([&] { writer.text("t", std::string("a\0b", 3)); }), ErrorKind::bad_data,
                {"t", "zero byte"});
}

TEST_CASE("Places that cannot be written are input/output errors and stay empty", "[error]") {
  const ScratchFolder folder;
  put_bytes(folder / "plain", "x");
  require_error(error_of([&] { small_file().write(folder / "plain" / "f.h5"); }), ErrorKind::io,
                {"plain/f.h5"});
  require_error(error_of([&] { small_file().write(folder / "none" / "f.h5"); }), ErrorKind::io,
                {"none/f.h5"});
  require_error(error_of([&] { small_file().write("/proc/f.h5"); }), ErrorKind::io, {"/proc/f.h5"});
  REQUIRE(folder.entries() == 1);
}

TEST_CASE("A disk that fills up is an input/output error, and nothing half-written remains", "[error]") {
  const ScratchFolder folder;
  Hdf5Writer writer("sample", 1);
  for (int k = 0; k < 8; ++k)
    writer.matrix("m" + std::to_string(k), random_matrix(100, 300, static_cast<std::uint64_t>(k)), "1");
  writer.write(folder / "whole.h5");
  const auto bytes = std::filesystem::file_size(folder / "whole.h5");
  for (const rlim_t limit :
       {rlim_t{0}, rlim_t{100}, rlim_t{4096}, rlim_t{bytes / 2}, rlim_t{bytes - 600}, rlim_t{bytes - 1}}) {
    INFO("limit " << limit);
    const Error error = error_of([&] {
      const FileSizeLimit full(limit);
      writer.write(folder / "f.h5");
    });
    require_error(error, ErrorKind::io, {"f.h5"});
    REQUIRE(folder.entries() == 1);
  }
  writer.write(folder / "f.h5");
  REQUIRE(get_bytes(folder / "f.h5") == get_bytes(folder / "whole.h5"));
}

TEST_CASE("Files can be written and read by several threads at a time", "[property]") {
  const ScratchFolder folder;
  std::vector<int> good(24, 0);
  parallel_for(24, 4, [&](Index k, int) {
    const Matrix m = random_matrix(50, 50, static_cast<std::uint64_t>(k));
    const auto path = folder / ("f" + std::to_string(k) + ".h5");
    Hdf5Writer writer("sample", 1);
    writer.matrix("m", m, "1");
    writer.write(path);
    const Hdf5Reader reader(path, "sample", 1);
    good[static_cast<std::size_t>(k)] = reader.matrix("m") == m ? 1 : 0;
  });
  REQUIRE(good == std::vector<int>(24, 1));
}

TEST_CASE("A matrix from a foreign HDF5 file is converted to double", "[cross]") {
  const Matrix expected = (Matrix(2, 3) << 0.0, 0.5, 1.0, 1.5, 2.0, 2.5).finished();
  REQUIRE(read_hdf5_matrix(kFixtures / "foreign.h5") == expected);
  REQUIRE(read_hdf5_matrix(kFixtures / "foreign.h5", "array/G") == expected);
  require_error(error_of([] { read_hdf5_matrix(kFixtures / "foreign.h5", "time"); }), ErrorKind::bad_data,
                {"\"time\" has 1 dimensions"});
}

TEST_CASE("Data sets larger than their file, of texts or with NaN are refused", "[error]") {
  const auto read = [](const std::string& name) {
    return error_of([&] { read_hdf5_matrix(kFixtures / "hostile.h5", name); });
  };
  require_error(read("huge"), ErrorKind::bad_data, {"\"huge\"", "more than the file holds"});
  require_error(read("late"), ErrorKind::bad_data, {"\"late\" claims 80000000000 bytes"});
  require_error(read("not_finite"), ErrorKind::bad_data, {"\"not_finite\"", "not finite"});
  require_error(read("words"), ErrorKind::bad_data, {"\"words\" does not hold numbers"});
  require_error(read(""), ErrorKind::bad_data, {"several"});
}

TEST_CASE("Our own file without its user block is not taken for a foreign one", "[error]") {
  const ScratchFolder folder;
  small_file().write(folder / "f.h5");
  put_bytes(folder / "bare.h5", get_bytes(folder / "f.h5").substr(512));
  require_error(error_of([&] { read_hdf5_matrix(folder / "bare.h5"); }), ErrorKind::bad_data,
                {"bare.h5", "user block"});
  put_bytes(folder / "text.h5", "1,2,3\n");
  require_error(error_of([&] { read_hdf5_matrix(folder / "text.h5"); }), ErrorKind::bad_data,
                {"text.h5", "HDF5"});
}
