#define TOML_EXCEPTIONS 1
#define TOML_ENABLE_FORMATTERS 0
// toml++ 3.3 asserts, in builds without NDEBUG, what a file like "[[[" does not keep; it finds the mistake by
// itself a line later.
#define TOML_ASSERT(expr) static_assert(true)
#include "data/config.hpp"

#include <toml++/toml.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <tuple>

#include "core/error.hpp"
#include "core/files.hpp"
#include "data/key_distance.hpp"
#include "data/sealed_toml.hpp"
#include "data/text_format.hpp"

namespace crosstile::data {

namespace {

constexpr std::uint64_t kMaxConfigBytes = std::uint64_t{1} << 24;

struct Mistake {
  toml::source_position place;
  std::string text;
  bool operator<(const Mistake& other) const {
    return std::tie(place.line, place.column, text) <
           std::tie(other.place.line, other.place.column, other.text);
  }
};

// A key that contains a dot itself is quoted, so that it cannot be taken for a path.
std::string path_of(const std::string& parent, std::string_view key) {
  const bool bare = !key.empty() && key.find_first_of(". \"'") == std::string_view::npos;
  const std::string shown = bare ? std::string(key) : '"' + std::string(key) + '"';
  return parent.empty() ? shown : parent + "." + shown;
}

std::string show(const toml::node& node) {
  if (const auto* value = node.as_string()) return in_quotes(value->get());
  if (const auto* value = node.as_integer()) return std::to_string(value->get());
  if (const auto* value = node.as_floating_point()) return shortest(value->get());
  if (const auto* value = node.as_boolean()) return value->get() ? "true" : "false";
  if (node.is_table()) return "a table";
  if (node.is_array()) return "a list";
  return "a date or time";
}

}  // namespace

struct Config::Impl {
  std::string name;
  std::string source;
  toml::table root;
  std::set<std::string> known;     // keys that were asked for
  std::set<std::string> accepted;  // tables that belong to other readers
  std::set<Mistake> mistakes;

  const toml::node* find(const std::string& key) const { return toml::at_path(root, key).node(); }

  // The node of a key that is being asked for.
  const toml::node* ask(const std::string& key) {
    known.insert(key);
    return find(key);
  }

  void reject(const toml::node& node, const std::string& key, const std::string& problem) {
    mistakes.insert({node.source().begin, key + " = " + show(node) + " " + problem});
  }
  void wrong_type(const toml::node& node, const std::string& key, const std::string& wanted) {
    reject(node, key, "is not allowed; " + wanted + " is expected");
  }

  std::optional<double> number(const toml::node& node, const std::string& key, double low, double high) {
    const auto value = node.is_number() ? node.value<double>() : std::nullopt;
    if (!value) {
      wrong_type(node, key, "a number");
      return std::nullopt;
    }
    if (std::isfinite(*value) && *value >= low && *value <= high) return value;
    reject(node, key, "is not allowed; " + allowed_range(low, high));
    return std::nullopt;
  }

  std::optional<std::int64_t> integer(const toml::node& node, const std::string& key, std::int64_t low,
                                      std::int64_t high) {
    const auto* value = node.as_integer();
    if (value == nullptr) {
      wrong_type(node, key, "a whole number");
      return std::nullopt;
    }
    if (value->get() >= low && value->get() <= high) return value->get();
    reject(node, key, "is not allowed; " + allowed_range(low, high));
    return std::nullopt;
  }

  std::optional<std::string> text(const toml::node& node, const std::string& key) {
    if (const auto* value = node.as_string()) return value->get();
    wrong_type(node, key, "a text in quotes");
    return std::nullopt;
  }

  // A list, each element read by `read(node, key)`; the fallback when anything in it is wrong.
  template <typename T, typename Read>
  std::vector<T> list(const std::string& key, const std::vector<T>& fallback, const Read& read) {
    const toml::node* node = ask(key);
    if (node == nullptr) return fallback;
    const toml::array* array = node->as_array();
    if (array == nullptr) {
      wrong_type(*node, key, "a list in brackets");
      return fallback;
    }
    std::vector<T> values;
    for (std::size_t k = 0; k < array->size(); ++k) {
      const std::optional<T> value = read((*array)[k], key + "[" + std::to_string(k) + "]");
      if (value) values.push_back(*value);
    }
    return values.size() == array->size() ? values : fallback;
  }

  // The place of a key, or of the innermost table that would hold it, or the begin of the file.
  toml::source_position place_of(std::string key) const {
    for (;;) {
      const toml::node* node = find(key);
      if (node != nullptr && node->source().begin) return node->source().begin;
      const auto dot = key.rfind('.');
      if (dot == std::string::npos) return {1, 1};
      key.resize(dot);
    }
  }

  static bool leads_to(const std::set<std::string>& keys, const std::string& path) {
    const auto next = keys.lower_bound(path + ".");
    return next != keys.end() && next->starts_with(path + ".");
  }

  void find_unknown(const toml::table& table, const std::string& parent, std::set<Mistake>& found) const {
    for (const auto& [key, node] : table) {
      const std::string path = path_of(parent, key.str());
      if (known.contains(path) || accepted.contains(path)) continue;
      if (!leads_to(known, path) && !leads_to(accepted, path)) {
        found.insert({key.source().begin, "unknown key " + in_quotes(path) + suggestion(path)});
      } else if (const toml::table* inner = node.as_table()) {
        find_unknown(*inner, path, found);
      } else {
        found.insert(
            {node.source().begin, path + " = " + show(node) + " is not allowed; a table is expected"});
      }
    }
  }

  std::string suggestion(const std::string& path) const {
    std::set<std::string> candidates;
    for (const auto* keys : {&known, &accepted})
      for (const auto& key : *keys)
        for (auto end = key.find('.');; end = key.find('.', end + 1)) {
          candidates.insert(key.substr(0, end));
          if (end == std::string::npos) break;
        }
    const auto nearest = nearest_key(path, {candidates.begin(), candidates.end()});
    return nearest ? "; did you mean " + in_quotes(*nearest) + "?" : "";
  }
};

Config::Config(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Config::~Config() = default;
Config::Config(Config&&) noexcept = default;

Config Config::from_file(const std::filesystem::path& path) {
  const std::string text = read_text(path, kMaxConfigBytes);
  check_toml_seal(text, path);
  return from_text(text, path.string());
}

Config Config::from_text(std::string_view text, const std::string& name) {
  auto impl = std::make_unique<Impl>();
  impl->name = name;
  impl->source = text;
  try {
    impl->root = toml::parse(std::string_view(impl->source), std::string_view(name));
  } catch (const toml::parse_error& error) {
    const auto place = error.source().begin;
    throw Error(ErrorKind::usage, name + ":" + std::to_string(place.line) + ":" +
                                      std::to_string(place.column) + ": " + std::string(error.description()));
  }
  return Config(std::move(impl));
}

double Config::number(const std::string& key, double fallback, double low, double high) {
  return optional_number(key, low, high).value_or(fallback);
}

std::optional<double> Config::optional_number(const std::string& key, double low, double high) {
  const toml::node* node = impl_->ask(key);
  return node != nullptr ? impl_->number(*node, key, low, high) : std::nullopt;
}

std::int64_t Config::integer(const std::string& key, std::int64_t fallback, std::int64_t low,
                             std::int64_t high) {
  const toml::node* node = impl_->ask(key);
  return node != nullptr ? impl_->integer(*node, key, low, high).value_or(fallback) : fallback;
}

bool Config::boolean(const std::string& key, bool fallback) {
  const toml::node* node = impl_->ask(key);
  if (node == nullptr) return fallback;
  if (const auto* value = node->as_boolean()) return value->get();
  impl_->wrong_type(*node, key, "true or false");
  return fallback;
}

std::string Config::text(const std::string& key, const std::string& fallback) {
  const toml::node* node = impl_->ask(key);
  return node != nullptr ? impl_->text(*node, key).value_or(fallback) : fallback;
}

std::string Config::choice(const std::string& key, const std::string& fallback,
                           const std::vector<std::string>& allowed) {
  const toml::node* node = impl_->ask(key);
  if (node == nullptr) return fallback;
  const auto* value = node->as_string();
  if (value != nullptr && std::find(allowed.begin(), allowed.end(), value->get()) != allowed.end())
    return value->get();
  std::string problem = "is not allowed; allowed:";
  for (const auto& name : allowed) problem += (name == allowed.front() ? " " : ", ") + in_quotes(name);
  impl_->reject(*node, key, problem);
  return fallback;
}

std::vector<double> Config::numbers(const std::string& key, const std::vector<double>& fallback, double low,
                                    double high) {
  return impl_->list(key, fallback, [&](const toml::node& node, const std::string& at) {
    return impl_->number(node, at, low, high);
  });
}

std::vector<std::int64_t> Config::integers(const std::string& key, const std::vector<std::int64_t>& fallback,
                                           std::int64_t low, std::int64_t high) {
  return impl_->list(key, fallback, [&](const toml::node& node, const std::string& at) {
    return impl_->integer(node, at, low, high);
  });
}

std::vector<std::string> Config::texts(const std::string& key, const std::vector<std::string>& fallback) {
  return impl_->list(key, fallback,
                     [&](const toml::node& node, const std::string& at) { return impl_->text(node, at); });
}

bool Config::has(const std::string& key) const {
  return impl_->find(key) != nullptr;
}

void Config::mistake(const std::string& key, const std::string& message) {
  // A rule about a whole table must not declare everything in it as known.
  const toml::node* node = impl_->find(key);
  if (node == nullptr || !node->is_table()) impl_->known.insert(key);
  const bool continues = message.starts_with("= ");
  impl_->mistakes.insert({impl_->place_of(key), key + (continues ? " " : ": ") + message});
}

void Config::accept_table(const std::string& key) {
  impl_->accepted.insert(key);
}

void Config::finish() const {
  std::set<Mistake> all = impl_->mistakes;
  impl_->find_unknown(impl_->root, {}, all);
  if (all.empty()) return;
  std::string text;
  for (const auto& [place, problem] : all)
    text += (text.empty() ? "" : "\n") + impl_->name + ":" + std::to_string(place.line) + ":" +
            std::to_string(place.column) + ": " + problem;
  throw Error(ErrorKind::usage, text);
}

const std::string& Config::name() const {
  return impl_->name;
}
const std::string& Config::source() const {
  return impl_->source;
}

}  // namespace crosstile::data
