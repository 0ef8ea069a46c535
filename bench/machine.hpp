// Where figures were measured: what stands at the top of every table and in its JSON.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace crosstile::bench {

/// Fact and value: "processor", "cores", "memory", "system", "compiler", "flags", "crosstile".
std::vector<std::pair<std::string, std::string>> machine_facts();

/// Now, UTC, as 2000-01-31T12:00:00Z.
std::string utc_now();

}  // namespace crosstile::bench
