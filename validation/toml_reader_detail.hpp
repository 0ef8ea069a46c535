// Internal. Mistakes in a TOML file that is read as a tree: where they are, and which file it is.
#pragma once

#ifndef TOML_EXCEPTIONS
#define TOML_EXCEPTIONS 1
#endif
#ifndef TOML_ASSERT
#define TOML_ASSERT(expr) static_assert(true)  // as in data/config.cpp
#endif
#include <fmt/core.h>
#include <toml++/toml.h>

#include <set>
#include <string>

#include "core/error.hpp"

namespace crosstile::validation {

struct TomlReader {
  std::string name;  // of the file

  [[noreturn]] void fail(const toml::node& node, const std::string& problem) const {
    const auto place = node.source().begin;
    throw Error(ErrorKind::usage, fmt::format("{}:{}:{}: {}", name, place.line, place.column, problem));
  }
  // Every key of the table is one of these.
  void only(const toml::table& table, const std::string& where, const std::set<std::string>& known) const {
    std::string list;
    for (const auto& key : known) list += (list.empty() ? "" : ", ") + key;
    for (const auto& [key, node] : table)
      if (!known.contains(std::string(key.str())))
        fail(node, fmt::format("unknown key \"{}\" in {}; allowed: {}", key.str(), where, list));
  }
};

}  // namespace crosstile::validation
