// Crash-safe files: everything is written to a temporary beside its place, synced, renamed, and the folder synced.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

namespace crosstile {

namespace fs = std::filesystem;

/// Calls write(temporary path), syncs the file it left there, and renames it to `path`. When write throws, the temporary is
/// removed and nothing appears at `path`. Errors: io.
void write_atomically(const fs::path& path, const std::function<void(const fs::path& temporary)>& write);
/// The same for a text held in memory.
void write_text_atomically(const fs::path& path, std::string_view text);

/// Whether something is at `path`. Errors: io when that cannot be told (a name too long, a folder that may not be searched).
bool path_exists(const fs::path& path);

/// Whole content of a file. Errors: io when it cannot be read, bad_data when it is larger than max_bytes.
std::string read_text(const fs::path& path, std::uint64_t max_bytes = std::uint64_t{1} << 30);

/// XXH3-128 of the bytes [offset, end) of a file, as 32 hexadecimal digits. Notices accidental damage; it is not a signature.
std::string hash_file(const fs::path& path, std::uint64_t offset = 0);
std::string hash_bytes(std::string_view bytes);

/// Creates a folder (and its parents) and checks that a file can be written in it. Errors: io, naming the folder and the reason.
void require_writable_folder(const fs::path& folder);

}  // namespace crosstile
