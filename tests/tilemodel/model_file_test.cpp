#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "core/error.hpp"
#include "data/config.hpp"
#include "data/hdf5_file.hpp"
#include "reference_sets.hpp"
#include "tilemodel/tilemodel.hpp"

using namespace crosstile;
namespace fs = std::filesystem;

namespace {

struct Scratch {
  Scratch() : folder(fs::temp_directory_path() / ("crosstile_model_file_" + std::to_string(::getpid()))) {
    fs::create_directories(folder);
  }
  ~Scratch() { fs::remove_all(folder); }
  fs::path folder;
};

tilemodel::ModelFile example() {
  data::ReferenceSet set = samples::empty_set(12, 10, 16);
  set.charge_plus_coulomb = 1e-13 * (Matrix::Ones(16, 10) + random_uniform_matrix({1}, 16, 10));
  set.charge_minus_coulomb = 1e-13 * (Matrix::Ones(16, 10) + random_uniform_matrix({2}, 16, 10));
  tilemodel::ModelFile model;
  model.spec.form = tilemodel::Form::binned;
  model.spec.segments = 5;
  model.spec.time_bins = 3;
  model.spec.row_wire_factor = false;
  model.spec.block_rows = 24;
  model.spec.closure_bins = 2;
  model.spec.references = 3;
  model.spec.arithmetic = tilemodel::Arithmetic::float64;
  model.report = tilemodel::fit(set, model.spec);
  model.tile = set.tile;
  return model;
}

bool same(const tilemodel::ErrorFigures& a, const tilemodel::ErrorFigures& b) {
  return a.rms_lsb == b.rms_lsb && a.quantile_999_lsb == b.quantile_999_lsb && a.max_lsb == b.max_lsb &&
         a.rms_relative == b.rms_relative && a.samples == b.samples;
}

ErrorKind kind_of_reading(const fs::path& path) {
  try {
    tilemodel::read_model(path);
  } catch (const Error& error) {
    CHECK_THAT(error.what(), Catch::Contains(path.filename().string()));
    return error.kind();
  }
  return ErrorKind::check_failed;
}

}  // namespace

TEST_CASE("a model file gives back everything that was written, bit for bit", "[identity]") {
  const Scratch scratch;
  tilemodel::ModelFile written = example();
  const bool corrected = GENERATE(true, false);
  if (!corrected) written.spec.correction = {};
  const fs::path path = scratch.folder / "model.h5";
  tilemodel::write_model(path, written.spec, written.tile, written.report);
  const tilemodel::ModelFile read = tilemodel::read_model(path);
  CHECK(read.spec.form == written.spec.form);
  CHECK(read.spec.segments == 5);
  CHECK(read.spec.time_bins == 3);
  CHECK(read.spec.block_rows == 24);
  CHECK(read.spec.closure_bins == 2);
  CHECK(read.spec.references == 3);
  CHECK(read.spec.arithmetic == tilemodel::Arithmetic::float64);
  CHECK_FALSE(read.spec.row_wire_factor);
  REQUIRE(read.spec.correction.coefficients.size() == (corrected ? tilemodel::kFeatureCount : 0));
  if (corrected) {
    CHECK((read.spec.correction.coefficients.array() == written.spec.correction.coefficients.array()).all());
    CHECK((read.spec.correction.standard_errors.array() == written.spec.correction.standard_errors.array())
              .all());
  }
  CHECK(data::tile_to_toml(read.tile) == data::tile_to_toml(written.tile));
  CHECK(data::tile_to_toml(read.report.tile) == data::tile_to_toml(written.tile));
  CHECK(read.report.lsb_coulomb == written.report.lsb_coulomb);
  CHECK(read.report.fit_vectors == 12);
  CHECK(read.report.held_out_vectors == 4);
  CHECK(same(read.report.fit_before, written.report.fit_before));
  CHECK(same(read.report.fit_after, written.report.fit_after));
  CHECK(same(read.report.held_out_before, written.report.held_out_before));
  CHECK(same(read.report.held_out_after, written.report.held_out_after));
  REQUIRE(read.report.validity.size() == written.report.validity.size());
  for (std::size_t k = 0; k < read.report.validity.size(); ++k) {
    CHECK(read.report.validity[k].name == written.report.validity[k].name);
    CHECK(read.report.validity[k].low == written.report.validity[k].low);
    CHECK(read.report.validity[k].high == written.report.validity[k].high);
  }
}

TEST_CASE("a flipped bit anywhere in a model file is noticed", "[error]") {
  const Scratch scratch;
  const tilemodel::ModelFile model = example();
  const fs::path path = scratch.folder / "model.h5";
  tilemodel::write_model(path, model.spec, model.tile, model.report);
  std::ifstream in(path, std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  const fs::path damaged = scratch.folder / "damaged.h5";
  for (int k = 0; k < 24; ++k) {
    std::string copy = bytes;
    // The first 512 bytes are the user block, whose padding carries nothing.
    const std::size_t place = 512 + (bytes.size() - 513) * static_cast<std::size_t>(k) / 23;
    copy[place] = static_cast<char>(copy[place] ^ (1 << (k % 8)));
    std::ofstream(damaged, std::ios::binary) << copy;
    CHECK(kind_of_reading(damaged) == ErrorKind::bad_data);
  }
  std::ofstream(damaged, std::ios::binary) << bytes.substr(0, bytes.size() / 2);
  CHECK(kind_of_reading(damaged) == ErrorKind::bad_data);
}

TEST_CASE("a missing file, a file of another kind and a model of unknown form are told apart", "[error]") {
  const Scratch scratch;
  CHECK(kind_of_reading(scratch.folder / "absent.h5") == ErrorKind::io);
  data::Hdf5Writer other("reference-set", 1);
  other.text("form", "ladder");
  other.write(scratch.folder / "other.h5");
  CHECK(kind_of_reading(scratch.folder / "other.h5") == ErrorKind::bad_data);
  data::Hdf5Writer unknown("tile-model", 1);
  unknown.text("form", "oracle");
  unknown.write(scratch.folder / "unknown.h5");
  CHECK_THROWS_WITH(tilemodel::read_model(scratch.folder / "unknown.h5"), Catch::Contains("oracle"));
}
