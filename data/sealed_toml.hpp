// A TOML file that says in its first line what its other lines hash to, so that damage is told from an edit.
#pragma once

#include <filesystem>
#include <string>

namespace crosstile::data {

/// `toml` behind a comment with its XXH3-128. A file that is edited by hand must lose that line.
std::string seal_toml(const std::string& toml);
/// Does nothing for a text without such a line. Errors: bad_data (`path`) when the hash is not that of the
/// text.
void check_toml_seal(const std::string& text, const std::filesystem::path& path);

}  // namespace crosstile::data
