#include "tests/fuzz/targets.hpp"

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>

#include "core/error.hpp"
#include "core/files.hpp"
#include "data/config.hpp"
#include "data/csv.hpp"
#include "data/hdf5_detail.hpp"
#include "data/hdf5_file.hpp"
#include "data/idx.hpp"
#include "data/run_folder.hpp"
#include "data/sealed_toml.hpp"
#include "tilemodel/model_file.hpp"

namespace crosstile::fuzz {

namespace {

[[noreturn]] void broken(const std::string& what) {
  std::fprintf(stderr, "fuzz: %s\n", what.c_str());
  std::abort();
}

void require(bool holds, const char* what) {
  if (!holds) broken(what);
}

// Errors are answers; anything else thrown is not.
void expect_value_or_error(const std::function<void()>& read) {
  try {
    read();
  } catch (const Error& error) {
    require(std::strlen(error.what()) > 0, "an error without a message");
    require(error.kind() == ErrorKind::usage || error.kind() == ErrorKind::bad_data ||
                error.kind() == ErrorKind::io,
            "an error of a kind that no reader has");
  } catch (const std::exception& error) {
    broken(std::string("an exception that is no crosstile::Error: ") + error.what());
  }
}

// Bytes in memory under a path, for readers of files.
class MemoryFile {
 public:
  MemoryFile(const std::uint8_t* bytes, std::size_t size) : fd_(::memfd_create("fuzz", MFD_CLOEXEC)) {
    for (std::size_t done = 0; done < size;) {
      const auto step = ::write(fd_, bytes + done, size - done);
      if (step <= 0) broken("cannot fill a file in memory");
      done += static_cast<std::size_t>(step);
    }
  }
  ~MemoryFile() { ::close(fd_); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  std::filesystem::path path() const { return "/proc/self/fd/" + std::to_string(fd_); }

 private:
  int fd_;
};

// A folder of this process, in memory where the system has such a place.
class ScratchPlace {
 public:
  ScratchPlace() {
    const std::filesystem::path shm = "/dev/shm";
    folder_ = (std::filesystem::is_directory(shm) ? shm : std::filesystem::temp_directory_path()) /
              ("crosstile-fuzz-" + std::to_string(::getpid()));
    std::filesystem::create_directories(folder_);
  }
  ~ScratchPlace() {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  ScratchPlace(const ScratchPlace&) = delete;
  ScratchPlace& operator=(const ScratchPlace&) = delete;
  const std::filesystem::path& folder() const { return folder_; }

 private:
  std::filesystem::path folder_;
};

const std::filesystem::path& scratch() {
  static const ScratchPlace place;
  return place.folder();
}

void run_config(const std::uint8_t* bytes, std::size_t size) {
  expect_value_or_error([&] {
    const std::string text(reinterpret_cast<const char*>(bytes), size);
    data::check_toml_seal(text, "fuzz.toml");
    data::Config config = data::Config::from_text(text, "fuzz.toml");
    const data::TileSpec tile = data::read_tile(config);
    static_cast<void>(config.integer("seed", 1, 0, 100));
    static_cast<void>(config.numbers("list", {}, -1.0, 1.0));
    static_cast<void>(config.texts("names", {}));
    static_cast<void>(config.optional_number("a.b.c", 0.0, 1.0));
    config.finish();
    data::Config again = data::Config::from_text(data::tile_to_toml(tile), "again.toml");
    const data::TileSpec same = data::read_tile(again);
    again.finish();
    require(data::tile_to_toml(same) == data::tile_to_toml(tile),
            "a tile that was read and written is another one");
  });
}

void run_csv(const std::uint8_t* bytes, std::size_t size) {
  expect_value_or_error([&] {
    const MemoryFile file(bytes, size);
    const Matrix table = data::read_csv(file.path());
    require(table.size() > 0 && table.allFinite(), "a table without numbers");
    data::write_csv(scratch() / "again.csv", table);
    require(data::read_csv(scratch() / "again.csv") == table,
            "a table that was read and written is another one");
  });
}

void run_idx(const std::uint8_t* bytes, std::size_t size) {
  const MemoryFile file(bytes, size);
  expect_value_or_error([&] {
    const auto images = data::read_idx_images(file.path());
    require(images.count > 0 &&
                images.pixels.size() == static_cast<std::size_t>(images.count * images.height * images.width),
            "images whose sizes do not fit");
  });
  expect_value_or_error([&] { require(!data::read_idx_labels(file.path()).empty(), "no labels"); });
}

void read_any_hdf5(const std::uint8_t* bytes, std::size_t size) {
  const MemoryFile file(bytes, size);
  expect_value_or_error(
      [&] { require(data::read_hdf5_matrix(file.path()).allFinite(), "a table that is not finite"); });
  expect_value_or_error([&] { static_cast<void>(data::read_hdf5_matrix(file.path(), "charge_coulomb")); });
  // The same behind a user block that agrees with it: a hash keeps accidents out, not intent.
  std::string image(reinterpret_cast<const char*>(bytes), size);
  if (image.size() < data::hdf5::kUserBlockBytes) return;
  data::hdf5::seal_image(image, "solution", 1);
  const MemoryFile sealed(reinterpret_cast<const std::uint8_t*>(image.data()), image.size());
  expect_value_or_error([&] {
    const data::Hdf5Reader reader(sealed.path(), "solution", 1);
    for (const char* name : {"charge_coulomb", "current_ampere", "tile_toml", "method"})
      if (reader.has(name)) {
        expect_value_or_error([&] { static_cast<void>(reader.matrix(name)); });
        expect_value_or_error([&] { static_cast<void>(reader.integers(name)); });
        expect_value_or_error([&] { static_cast<void>(reader.vector(name)); });
        expect_value_or_error([&] { static_cast<void>(reader.text(name)); });
        expect_value_or_error([&] { static_cast<void>(reader.number(name)); });
      }
  });
}

// In a child: bytes that are made to break the HDF5 library itself end the child alone. That is said, and is
// no failure of these readers; an abort of theirs, a report of a sanitizer in them, or no end within ten
// seconds is.
void run_hdf5(const std::uint8_t* bytes, std::size_t size) {
  std::fflush(stderr);
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(10);
    read_any_hdf5(bytes, size);
    ::_exit(0);
  }
  if (child < 0) broken(std::string("no child: ") + std::strerror(errno));
  int status = 0;
  while (::waitpid(child, &status, 0) < 0)  // a timer of the fuzzer may interrupt it
    if (errno != EINTR) broken(std::string("a child is lost: ") + std::strerror(errno));
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return;
  if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV) {
    std::fprintf(stderr, "fuzz: the HDF5 library ended on these %zu bytes\n", size);
    return;
  }
  broken("reading HDF5 ended with status " + std::to_string(status));
}

void run_manifest(const std::uint8_t* bytes, std::size_t size) {
  const auto folder = scratch() / "run";
  std::filesystem::create_directories(folder);
  std::ofstream(folder / "manifest.json", std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes), static_cast<std::streamsize>(size));
  expect_value_or_error([&] {
    const data::Manifest stored = data::read_manifest(folder);
    data::RunFolder run(folder, stored);
    for (const auto& file : stored.files)
      expect_value_or_error([&] { static_cast<void>(run.has(file.first)); });
    run.finish();
    require(data::read_manifest(folder).config_toml == stored.config_toml,
            "a manifest that was read and written is another one");
  });
}

// Bytes as decisions: what a model file holds, what it lacks, and of what shape and size.
class Decisions {
 public:
  Decisions(const std::uint8_t* bytes, std::size_t size) : bytes_(bytes), size_(size) {}
  std::uint8_t byte() { return at_ < size_ ? bytes_[at_++] : std::uint8_t{0}; }
  double number() {
    static constexpr double kNumbers[] = {0.0, 1.0,   -1.0,    2.0, 8.0,  1e-300, 1e300,
                                          0.5, 255.0, 65536.0, 1e9, -1e9, 3.7,    4096.0};
    const auto pick = byte();
    return pick < std::size(kNumbers) ? kNumbers[pick] : static_cast<double>(pick);
  }

 private:
  const std::uint8_t* bytes_;
  std::size_t size_, at_ = 0;
};

Vector decided_vector(Decisions& decide) {
  Vector value(decide.byte() % 12);
  for (double& x : value) x = decide.number();
  return value;
}

std::string decided_text(Decisions& decide, const std::string& good) {
  const auto kind = decide.byte() % 8;
  if (kind < 5) return good;
  if (kind == 5) return {};
  std::string text(decide.byte() % 24, ' ');
  for (char& c : text) c = static_cast<char>(32 + decide.byte() % 95);
  return kind == 6 ? text : good + text;
}

// A whole model file with one to all of its fields changed; zeros give the file as `fit` would write it.
void write_decided_model(Decisions decide, const std::filesystem::path& path) {
  static constexpr const char* kForms[] = {"ladder",  "ideal",      "effective", "binned",
                                           "closure", "calibrated", "magic"};
  data::TileSpec tile;
  tile.rows = 1 + decide.byte() % 64;
  tile.cols = 1 + decide.byte() % 16;
  data::Hdf5Writer out("tile-model", 1);
  const auto number = [&](const char* name, double good) {
    const auto kind = decide.byte() % 8;
    if (kind < 6) out.number(name, good);
    if (kind == 6) out.number(name, decide.number());
  };
  const auto vector = [&](const char* name, Index good) {
    const auto kind = decide.byte() % 8;
    if (kind < 5) out.vector(name, Vector::Constant(good, decide.number()), "1");
    if (kind == 5) out.vector(name, decided_vector(decide), "1");
    if (kind == 6) out.matrix(name, Matrix::Constant(2, good, decide.number()), "1");
  };
  out.text("form", kForms[decide.byte() % std::size(kForms)]);
  for (const char* name : {"segments", "time_bins", "block_rows", "closure_bins"}) number(name, 4.0);
  for (const char* name : {"references", "mesh_load", "row_wire_factor"}) number(name, 1.0);
  out.text("arithmetic", decided_text(decide, "auto"));
  out.text("tile", decided_text(decide, data::tile_to_toml(tile)));
  out.text("features", decided_text(decide, "charge"));
  if (decide.byte() % 2 == 1) {
    vector("correction/coefficients", 1);
    vector("correction/standard_errors", 1);
  }
  if (decide.byte() % 2 == 1) {
    vector("calibration/factor", 4);
    vector("calibration/standard_error", 4);
  }
  number("lsb_coulomb", 1e-15);
  number("fit_vectors", 8.0);
  number("held_out_vectors", 2.0);
  for (const char* name : {"error/fit_before", "error/fit_after", "error/held_out_before",
                           "error/held_out_after", "error/new_weights_before", "error/new_weights_after"})
    vector(name, 5);
  out.matrix("validity", Matrix::Constant(1 + decide.byte() % 3, 2, decide.number()), "as named");
  out.text("validity_names", decided_text(decide, "row sum"));
  out.write(path);
}

void run_model(const std::uint8_t* bytes, std::size_t size) {
  {
    const MemoryFile file(bytes, size);
    expect_value_or_error([&] { static_cast<void>(tilemodel::read_model(file.path())); });
  }
  bool whole = false;
  expect_value_or_error([&] {
    const auto path = scratch() / "model.h5";
    write_decided_model(Decisions(bytes, size), path);
    const auto model = tilemodel::read_model(path);
    tilemodel::write_model(path, model.spec, model.tile, model.report);
    require(tilemodel::read_model(path).spec.form == model.spec.form,
            "a model that was read and written is another one");
    whole = true;
  });
  require(whole || size > 0, "a whole model file is refused");
}

}  // namespace

const std::vector<NamedTarget>& targets() {
  static const std::vector<NamedTarget> kTargets{{"config", run_config, 300},     {"csv", run_csv, 100},
                                                 {"idx", run_idx, 300},           {"hdf5", run_hdf5, 10},
                                                 {"manifest", run_manifest, 100}, {"model", run_model, 20}};
  return kTargets;
}

Target find_target(std::string_view name) {
  for (const auto& target : targets())
    if (name == target.name) return target.run;
  broken("no target \"" + std::string(name) + "\"");
}

}  // namespace crosstile::fuzz
