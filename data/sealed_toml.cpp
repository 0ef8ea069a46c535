#include "data/sealed_toml.hpp"

#include "core/error.hpp"
#include "core/files.hpp"

namespace crosstile::data {

namespace {

constexpr std::string_view kSealBegin = "# xxh3-128 ";
constexpr std::string_view kSealEnd = " of the lines below; remove this line when you change them\n";

}  // namespace

std::string seal_toml(const std::string& toml) {
  return std::string(kSealBegin) + hash_bytes(toml) + std::string(kSealEnd) + toml;
}

void check_toml_seal(const std::string& text, const std::filesystem::path& path) {
  if (!text.starts_with(kSealBegin)) return;
  const auto line = text.find('\n');
  const std::string rest = line == std::string::npos ? std::string() : text.substr(line + 1);
  if (seal_toml(rest) != text)
    throw Error(ErrorKind::bad_data,
                path.string() +
                    ": damaged or changed: the hash in line 1 is not that of the lines below it; "
                    "remove line 1 if you changed them");
}

}  // namespace crosstile::data
