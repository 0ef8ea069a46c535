// What the readers must survive: any bytes give a value or one crosstile::Error, and a value that was read
// can be written and read again. One function a kind of file; libfuzzer.cpp and replay.cpp call them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace crosstile::fuzz {

using Target = void (*)(const std::uint8_t* bytes, std::size_t size);

struct NamedTarget {
  const char* name;  ///< also of its folder in corpus/
  Target run;        ///< aborts when the reader does what it must not
  int mutations;     ///< of each corpus file, in a replay: how many are worth their time
};

/// config, csv, idx, hdf5, manifest, model.
const std::vector<NamedTarget>& targets();
/// Aborts for a name that is none.
Target find_target(std::string_view name);

}  // namespace crosstile::fuzz
