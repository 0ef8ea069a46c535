// info: what a file is, and whether it is whole; without a file, what this program is made of.
#include <fmt/core.h>
#include <spdlog/version.h>

#include <Eigen/Core>
#include <boost/version.hpp>
#include <fstream>

#include "cli/commands.hpp"
#include "core/files.hpp"
#include "core/parallel.hpp"
#include "core/version.hpp"
#include "data/config.hpp"
#include "data/csv.hpp"
#include "data/hdf5_file.hpp"
#include "data/idx.hpp"
#include "data/reference_set.hpp"
#include "data/run_folder.hpp"
#include "device/device.hpp"
#include "nn/nn.hpp"
#include "tilemodel/tilemodel.hpp"
#include "validation/pipeline.hpp"
#include "validation/results.hpp"

namespace crosstile::cli {

namespace {

using std::filesystem::path;

constexpr int kAnyVersion = 1'000'000;

// What is known about a file, in the order found; shown when all of it has been read.
class Facts {
 public:
  void add(const std::string& key, const Json& value) { facts_[key] = value; }
  void shape(const std::string& key, Index rows, Index cols) { add(key, fmt::format("{} x {}", rows, cols)); }
  /// "key: value" lines for people, the same keys for machines.
  void show(Program& program) const {
    for (const auto& [key, value] : facts_.items()) {
      program.say(
          fmt::format("{:<18} {}", key + ":", value.is_string() ? value.get<std::string>() : value.dump()));
      program.result[key] = value;
    }
  }

 private:
  Json facts_ = Json::object();
};

std::string first_bytes(const path& file, std::size_t count) {
  std::ifstream in(file, std::ios::binary);
  if (!in) throw Error(ErrorKind::io, "cannot read " + file.string());
  std::string bytes(count, '\0');
  in.read(bytes.data(), static_cast<std::streamsize>(count));
  bytes.resize(static_cast<std::size_t>(in.gcount()));
  return bytes;
}

// The kind in a file's first line, "crosstile <kind> v<version>" (docs/file_format.md); empty for a file of
// another origin.
std::string sealed_kind(const path& file) {
  const std::string line = first_bytes(file, 128);
  constexpr std::string_view kProgram = "crosstile ";
  if (!line.starts_with(kProgram)) return {};
  const auto end = line.find(" v", kProgram.size());
  return end == std::string::npos ? std::string("?") : line.substr(kProgram.size(), end - kProgram.size());
}

void tile_facts(Facts& facts, const data::TileSpec& tile) {
  facts.shape("tile", tile.rows, tile.cols);
  facts.add("drive", std::string(data::to_name(tile.drive)));
  facts.add("weight layout", std::string(data::to_name(tile.weight_layout)));
}

void reference_set_facts(Facts& facts, const path& file) {
  const auto set = data::read_reference_set(file);
  tile_facts(facts, set.tile);
  facts.add("method", set.method);
  facts.add("seed", set.seed);
  facts.add("weight draws", set.g_plus_siemens.size());
  facts.add("vectors", set.vectors());
  facts.add("held out", (set.held_out.array() != 0).count());
}

void model_facts(Facts& facts, const path& file) {
  const auto model = tilemodel::read_model(file);
  tile_facts(facts, model.tile);
  facts.add("form", std::string(tilemodel::form_name(model.spec.form)));
  if (model.spec.form == tilemodel::Form::binned)
    facts.shape("segments x bins", model.spec.segments, model.spec.time_bins);
  facts.add("correction", model.spec.correction.coefficients.size() > 0);
  const auto& error =
      model.report.held_out_vectors > 0 ? model.report.held_out_after : model.report.fit_after;
  facts.add(model.report.held_out_vectors > 0 ? "held-out RMS (LSB)" : "fit RMS (LSB)", error.rms_lsb);
}

void network_facts(Facts& facts, const path& file) {
  const auto network = nn::read_network(file);
  const auto spec = nn::spec_of(network);
  facts.add("layers", std::vector<Index>(spec.layers.begin(), spec.layers.end()));
  facts.add("activation", std::string(data::to_name(spec.hidden)));
  const data::Hdf5Reader reader(file, "network", kAnyVersion);
  if (reader.has("epochs_done")) facts.add("epochs done", nn::read_checkpoint(file).epochs_done);
}

void hdf5_facts(Facts& facts, const path& file, const std::string& kind) {
  const data::Hdf5Reader reader(file, kind, kAnyVersion);
  facts.add("kind", kind);
  facts.add("format version", reader.version());
  facts.add("hash", "ok");
  facts.add("software version", reader.text("software_version"));
  if (kind == "reference-set") return reference_set_facts(facts, file);
  if (kind == "tile-model") return model_facts(facts, file);
  if (kind == "network") return network_facts(facts, file);
  if (kind == "comparison") {
    const Json summary = Json::parse(reader.text("summary_json"), nullptr, false);
    if (!summary.is_object())
      throw Error(ErrorKind::bad_data, file.string() + ": summary_json is not an object");
    facts.shape("tile", summary.value("rows", Index{0}), summary.value("cols", Index{0}));
    facts.add("compared vectors", summary.value("compared_vectors", Index{0}));
    facts.add("model", summary.value("model_name", ""));
    return;
  }
  for (const char* name :
       {"charge_coulomb", "current_ampere", "row_voltage_volt", "sense_current_ampere", "sigma_siemens"})
    if (reader.has(name)) {
      const Matrix table = reader.matrix(name);
      facts.shape(name, table.rows(), table.cols());
    }
  for (const char* name : {"accuracy", "loss"})
    if (reader.has(name)) facts.add(name, fmt::format("{} numbers", reader.vector(name).size()));
  if (reader.has("method")) facts.add("method", reader.text("method"));
}

// A file whose hash stands elsewhere: in the manifest of the run folder it lies in.
void recorded_facts(Facts& facts, const path& file) {
  const path folder = file.has_parent_path() ? file.parent_path() : path(".");
  if (!std::filesystem::exists(folder / "manifest.json") || file.filename() == "manifest.json") return;
  const auto recorded = data::read_manifest(folder).files;
  const auto entry = recorded.find(file.filename().string());
  if (entry == recorded.end()) return;
  if (hash_file(file) != entry->second)
    throw Error(ErrorKind::bad_data,
                file.string() + ": damaged or changed, its hash is not the one in manifest.json");
  facts.add("hash", "ok (manifest.json)");
}

void folder_facts(Facts& facts, const path& folder) {
  const auto manifest = data::read_manifest(folder);
  facts.add("kind", "run-folder");
  facts.add("software version", manifest.version);
  facts.add("instruction set", manifest.instruction_set);
  facts.add("run", manifest.command);
  facts.add("seed", manifest.seed);
  facts.add("complete", manifest.complete);
  for (const auto& [name, hash] : manifest.files) {
    const bool there = std::filesystem::exists(folder / name);
    if (there && hash_file(folder / name) != hash)
      throw Error(ErrorKind::bad_data, (folder / name).string() +
                                           ": damaged or changed, its hash is not the one in manifest.json");
    facts.add(name, there ? "hash ok" : "missing");
  }
}

void idx_facts(Facts& facts, const path& file) {
  try {
    const auto images = data::read_idx_images(file);
    facts.add("kind", "idx-images");
    facts.add("images", images.count);
    facts.shape("pixels", images.height, images.width);
  } catch (const Error& not_images) {
    std::vector<std::uint8_t> labels;
    try {
      labels = data::read_idx_labels(file);
    } catch (const Error&) {
      throw not_images;
    }
    facts.add("kind", "idx-labels");
    facts.add("labels", labels.size());
  }
}

void toml_facts(Facts& facts, const path& file) {
  data::Config config = data::Config::from_file(file);
  const auto pipeline = validation::read_pipeline(config);
  facts.add("kind", "configuration");
  facts.add("title", pipeline.title);
  facts.add("seed", pipeline.seed);
  tile_facts(facts, pipeline.tile);
}

void table_facts(Facts& facts, const path& file, const std::string& kind) {
  const Matrix table = data::read_table(file);
  facts.add("kind", kind);
  facts.shape("table", table.rows(), table.cols());
}

void file_facts(Facts& facts, const path& file) {
  facts.add("file", file.string());
  if (!std::filesystem::exists(file))
    throw Error(ErrorKind::io, "cannot read " + file.string() + ": there is no such file or folder");
  if (std::filesystem::is_directory(file)) return folder_facts(facts, file);
  const std::string kind = sealed_kind(file);
  if (!kind.empty()) return hdf5_facts(facts, file, kind);
  const std::string extension = file.extension().string();
  const std::string begin = first_bytes(file, 4);
  const bool gzip = begin.starts_with("\x1f\x8b");
  const bool idx = begin.size() >= 3 && begin[0] == '\0' && begin[1] == '\0' && begin[2] == '\x08';
  if (gzip || idx) return idx_facts(facts, file);
  recorded_facts(facts, file);
  if (file.filename() == "manifest.json")
    return folder_facts(facts, file.has_parent_path() ? file.parent_path() : path("."));
  if (extension == ".h5" || extension == ".hdf5")
    return table_facts(facts, file, "hdf5 table (no hash to check)");
  if (extension == ".toml") return toml_facts(facts, file);
  if (extension == ".csv") return table_facts(facts, file, "csv table");
  if (extension == ".json") {
    const auto results = validation::read_results(file);
    facts.add("kind", "results");
    facts.add("title", results.title);
    facts.add("tables", results.tables.size());
    return;
  }
  throw Error(
      ErrorKind::bad_data,
      file.string() + ": not a file of crosstile (expected .h5, .csv, .toml, .json, IDX, or a run folder)");
}

void program_facts(Facts& facts) {
  facts.add("version", kVersion);
  facts.add("instruction set", *kInstructionSet != '\0' ? kInstructionSet : "compiler's default");
  facts.add("threads", default_threads());
  facts.add("compiler", __VERSION__);
  facts.add("Eigen", fmt::format("{}.{}.{} ({})", EIGEN_WORLD_VERSION, EIGEN_MAJOR_VERSION,
                                 EIGEN_MINOR_VERSION, Eigen::SimdInstructionSetsInUse()));
  facts.add("SUNDIALS", CROSSTILE_SUNDIALS_VERSION);
  facts.add("HDF5", CROSSTILE_HDF5_VERSION);
  facts.add("Boost",
            fmt::format("{}.{}.{}", BOOST_VERSION / 100000, BOOST_VERSION / 100 % 1000, BOOST_VERSION % 100));
  facts.add("CLI11", CLI11_VERSION);
  facts.add("fmt", fmt::format("{}.{}.{}", FMT_VERSION / 10000, FMT_VERSION / 100 % 100, FMT_VERSION % 100));
  facts.add("spdlog", fmt::format("{}.{}.{}", SPDLOG_VER_MAJOR, SPDLOG_VER_MINOR, SPDLOG_VER_PATCH));
  facts.add("nlohmann-json", fmt::format("{}.{}.{}", NLOHMANN_JSON_VERSION_MAJOR, NLOHMANN_JSON_VERSION_MINOR,
                                         NLOHMANN_JSON_VERSION_PATCH));
}

}  // namespace

void add_info_command(CLI::App& app, Program& program) {
  auto file = std::make_shared<std::string>();
  CLI::App* command =
      add_command(app, "info",
                  "What a file or run folder is, and whether it is whole: kind, versions, hash, shapes.\n"
                  "Without a file: version, instruction set, threads and libraries of this program.",
                  "crosstile info reference.h5");
  command->add_option("FILE", *file, "file or run folder");
  command->callback([file, &program] {
    program.action = [file, &program] {
      program.result["command"] = "info";
      Facts facts;
      if (file->empty())
        program_facts(facts);
      else
        file_facts(facts, *file);
      facts.show(program);
    };
  });
}

}  // namespace crosstile::cli
