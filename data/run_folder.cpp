#include "data/run_folder.hpp"

#include <nlohmann/json.hpp>

#include "core/error.hpp"
#include "core/files.hpp"

namespace crosstile::data {

namespace {

constexpr const char* kManifestName = "manifest.json";
constexpr int kManifestVersion = 2;  // 2: with a hash of the whole
constexpr int kOldestManifestVersion = 1;
constexpr std::uint64_t kMaxManifestBytes = std::uint64_t{1} << 28;

// Each part with its length in front, so that no text can move from one part into the next.
std::string fingerprint(const Manifest& manifest) {
  std::string text = std::to_string(manifest.seed);
  for (const auto* part : {&manifest.command, &manifest.config_toml})
    text += "\n" + std::to_string(part->size()) + "\n" + *part;
  return hash_bytes(text);
}

// Of all keys but "hash" itself, in their sorted order.
std::string manifest_hash(nlohmann::json json) {
  json.erase("hash");
  return hash_bytes(json.dump());
}

Manifest parse_manifest(const std::filesystem::path& path) {
  try {
    const auto json = nlohmann::json::parse(read_text(path, kMaxManifestBytes));
    // By reference: another kind of number (1e300) is refused instead of converted.
    const auto version = json.at("manifest_version").get_ref<const nlohmann::json::number_integer_t&>();
    if (version < kOldestManifestVersion || version > kManifestVersion)
      throw Error(ErrorKind::bad_data, path.string() + ": manifest version " + std::to_string(version) +
                                           "; this program reads versions " +
                                           std::to_string(kOldestManifestVersion) + " to " +
                                           std::to_string(kManifestVersion));
    if (version > 1 && json.at("hash").get<std::string>() != manifest_hash(json))
      throw Error(ErrorKind::bad_data,
                  path.string() + ": damaged manifest (its content does not match its hash)");
    Manifest manifest;
    json.at("command").get_to(manifest.command);
    json.at("config_toml").get_to(manifest.config_toml);
    manifest.seed = json.at("seed").get_ref<const nlohmann::json::number_unsigned_t&>();
    json.at("version").get_to(manifest.version);
    json.at("instruction_set").get_to(manifest.instruction_set);
    json.at("files").get_to(manifest.files);
    json.at("complete").get_to(manifest.complete);
    if (json.at("fingerprint").get<std::string>() != fingerprint(manifest))
      throw Error(ErrorKind::bad_data,
                  path.string() + ": damaged manifest (its fingerprint does not match its configuration)");
    return manifest;
  } catch (const nlohmann::json::exception& error) {
    throw Error(ErrorKind::bad_data, path.string() + ": damaged manifest (" + error.what() + ")");
  }
}

[[noreturn]] void refuse(const std::filesystem::path& folder, const std::string& what) {
  throw Error(ErrorKind::usage,
              folder.string() + " holds a run of " + what + "; choose another folder or delete it");
}

void require_same_run(const std::filesystem::path& folder, const Manifest& stored, const Manifest& wanted) {
  if (fingerprint(stored) != fingerprint(wanted)) refuse(folder, "another configuration");
  if (stored.version != wanted.version)
    refuse(folder, "version " + stored.version + " (this is version " + wanted.version + ")");
  if (stored.instruction_set != wanted.instruction_set)
    refuse(folder,
           "a build for " + stored.instruction_set + " (this is one for " + wanted.instruction_set + ")");
}

}  // namespace

RunFolder::RunFolder(std::filesystem::path folder, Manifest manifest)
    : folder_(std::move(folder)), manifest_(std::move(manifest)) {
  require_writable_folder(folder_);
  if (path_exists(path(kManifestName))) {
    Manifest stored = parse_manifest(path(kManifestName));
    require_same_run(folder_, stored, manifest_);
    manifest_ = std::move(stored);
    resumed_ = true;
  } else {
    save();
  }
}

std::filesystem::path RunFolder::path(const std::string& name) const {
  const std::filesystem::path relative(name);
  bool leaves = relative.is_absolute() || relative.empty();
  for (const auto& part : relative) leaves = leaves || part == "..";
  if (leaves)
    throw Error(ErrorKind::usage, "\"" + name + "\" is not a name inside the run folder " + folder_.string());
  return folder_ / relative;
}

bool RunFolder::has(const std::string& name) const {
  const auto entry = manifest_.files.find(name);
  if (entry == manifest_.files.end() || !path_exists(path(name))) return false;
  if (hash_file(path(name)) != entry->second)
    throw Error(ErrorKind::bad_data, path(name).string() + " was changed since it was recorded in " +
                                         kManifestName + "; delete it to compute it again");
  return true;
}

void RunFolder::record(const std::string& name) {
  manifest_.files[name] = hash_file(path(name));
  save();
}

void RunFolder::finish() {
  manifest_.complete = true;
  save();
}

void RunFolder::save() const {
  nlohmann::json json = {{"manifest_version", kManifestVersion},
                         {"fingerprint", fingerprint(manifest_)},
                         {"command", manifest_.command},
                         {"config_toml", manifest_.config_toml},
                         {"seed", manifest_.seed},
                         {"version", manifest_.version},
                         {"instruction_set", manifest_.instruction_set},
                         {"files", manifest_.files},
                         {"complete", manifest_.complete}};
  std::string text;
  try {
    json["hash"] = manifest_hash(json);
    text = json.dump(2);
  } catch (const nlohmann::json::exception&) {
    throw Error(ErrorKind::usage,
                path(kManifestName).string() + ": command, configuration and names must be UTF-8 text");
  }
  write_text_atomically(path(kManifestName), text + "\n");
}

Manifest read_manifest(const std::filesystem::path& folder) {
  return parse_manifest(folder / kManifestName);
}

}  // namespace crosstile::data
