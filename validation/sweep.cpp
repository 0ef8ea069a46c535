#include "validation/sweep.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <numeric>

#include "core/error.hpp"
#include "core/files.hpp"
#include "core/parallel.hpp"
#include "data/hdf5_file.hpp"
#include "validation/points_progress.hpp"
#include "validation/train_study.hpp"

namespace crosstile::validation {

namespace {

using Json = nlohmann::ordered_json;
using Images = std::shared_ptr<const data::LabelledImages>;

// The images of points that use the same files are read once.
class ImageStore {
 public:
  Images get(const std::filesystem::path& images, const std::filesystem::path& labels, Index classes) {
    const std::lock_guard lock(mutex_);
    Images& kept = kept_[images.string() + "\n" + labels.string() + "\n" + std::to_string(classes)];
    if (!kept) kept = std::make_shared<const data::LabelledImages>(read_images(images, labels, classes));
    return kept;
  }

 private:
  std::mutex mutex_;
  std::map<std::string, Images> kept_;
};

fs::path sweep_point_path(const SweepOptions& options, Index point) {
  return options.folder / "points" / fmt::format("point-{:06}.json", point);
}

void claim_sweep_folder(const Sweep& sweep, const SweepOptions& options) {
  require_writable_folder(options.folder / "points");
  const std::string mark = fmt::format("{} {}\n", sweep.fingerprint, options.noise_draws);
  const fs::path path = options.folder / "sweep.fingerprint";
  if (!path_exists(path)) return write_text_atomically(path, mark);
  if (read_text(path) != mark)
    throw Error(ErrorKind::usage, options.folder.string() +
                                      " holds another sweep (other points or noise draws); choose another "
                                      "folder or delete it");
}

void fill_point(const PipelineConfig& config, const SweepOptions& options, ImageStore& store,
                const Progress& progress, SweepPoint& point) {
  const Index classes = config.network.layers.back();
  const Images train = store.get(config.data.train_images, config.data.train_labels, classes);
  const Images test = store.get(config.data.test_images, config.data.test_labels, classes);
  const auto result = run_training(config, *train, *test, {{}, options.noise_draws, progress});
  if (!result.test_accuracy) {
    point.status = PointStatus::diverged;
    point.reason = result.reason;
    return;
  }
  point.accuracy = result.test_accuracy;
  point.accuracy_error = result.test_error;
  point.digital_accuracy = result.digital_accuracy;
  point.last_of_batch = result.last_of_batch_accuracy;
  point.train_accuracy = result.train_accuracy;
  point.loss = result.loss;
}

SweepPoint compute_point(PipelineConfig config, const SweepOptions& options, ImageStore& store,
                         const Progress& progress) {
  SweepPoint point;
  config.training.threads = 1;
  const auto start = std::chrono::steady_clock::now();
  try {
    fill_point(config, options, store, progress, point);
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::interrupted) throw;
    point = SweepPoint{};
    point.status = PointStatus::failed;
    point.reason = error.what();
  } catch (const std::bad_alloc&) {
    point = SweepPoint{};
    point.status = PointStatus::failed;
    point.reason = "not enough memory";
  }
  point.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return point;
}

const std::vector<std::pair<const char*, std::optional<double> SweepPoint::*>> kScores{
    {"accuracy", &SweepPoint::accuracy},
    {"accuracy_error", &SweepPoint::accuracy_error},
    {"digital_accuracy", &SweepPoint::digital_accuracy},
    {"last_of_batch", &SweepPoint::last_of_batch},
    {"train_accuracy", &SweepPoint::train_accuracy},
    {"loss", &SweepPoint::loss}};

std::string point_to_json(const Sweep& sweep, Index index, const SweepPoint& point) {
  Json json;
  for (std::size_t a = 0; a < sweep.keys.size(); ++a)
    json["axes"][sweep.keys[a]] = sweep.values[static_cast<std::size_t>(index)][a];
  json["status"] = to_name(point.status);
  json["reason"] = point.reason;
  for (const auto& [name, field] : kScores)
    if (point.*field) json[name] = *(point.*field);
  json["seconds"] = point.seconds;
  json["hash"] = hash_bytes(json.dump(-1, ' ', false, Json::error_handler_t::replace));
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

SweepPoint read_point(const fs::path& path) {
  try {
    auto json = Json::parse(read_text(path));
    if (!json.contains("hash"))
      throw Error(ErrorKind::bad_data, path.string() + " holds no hash of its content; delete it to compute this point again");
    const auto hash = json.at("hash").get<std::string>();
    json.erase("hash");
    if (hash != hash_bytes(json.dump(-1, ' ', false, Json::error_handler_t::replace)))
      throw Error(ErrorKind::bad_data,
                  path.string() + " is damaged (its content does not match its hash); delete it to compute this point again");
    SweepPoint point;
    const auto status = json.at("status").get<std::string>();
    if (status != "ok" && status != "diverged" && status != "failed")
      throw Error(ErrorKind::bad_data, path.string() + ": status \"" + status + "\" is not known");
    point.status = status == "ok"         ? PointStatus::ok
                   : status == "diverged" ? PointStatus::diverged
                                          : PointStatus::failed;
    json.at("reason").get_to(point.reason);
    json.at("seconds").get_to(point.seconds);
    for (const auto& [name, field] : kScores)
      if (json.contains(name)) point.*field = json.at(name).get<double>();
    if (point.status == PointStatus::ok) static_cast<void>(json.at("accuracy").get<double>());
    return point;
  } catch (const nlohmann::json::exception& error) {
    throw Error(ErrorKind::bad_data,
                path.string() + " is damaged (" + error.what() + "); delete it to compute this point again");
  }
}

std::string csv_cell(const std::string& text) {
  if (text.find_first_of(",\"\n\r") == std::string::npos) return text;
  std::string out = "\"";
  for (const char c : text) out += c == '"' ? std::string("\"\"") : std::string(1, c);
  return out + "\"";
}

// Without seconds: the same sweep gives the same bytes.
std::string sweep_csv(const Sweep& sweep, const std::vector<SweepPoint>& points) {
  std::string text = "point";
  for (const auto& key : sweep.keys) text += "," + csv_cell(key);
  text += ",status";
  for (const auto& score : kScores) text += std::string(",") + score.first;
  text += ",reason\n";
  for (std::size_t p = 0; p < points.size(); ++p) {
    text += std::to_string(p);
    for (const auto& value : sweep.values[p]) text += "," + csv_cell(shown_value(value));
    text += "," + to_name(points[p].status);
    for (const auto& score : kScores) {
      const auto& value = points[p].*score.second;
      text += value ? fmt::format(",{:.17g}", *value) : std::string(",");
    }
    text += "," + csv_cell(points[p].reason) + "\n";
  }
  return text;
}

std::optional<double> number_of(const std::string& text) {
  try {
    std::size_t used = 0;
    const double value = std::stod(text, &used);
    if (used == text.size()) return value;
  } catch (const std::exception&) {
  }
  return std::nullopt;
}

// Numbers as they are; other values as their place in a list that is an attribute.
void write_axis(data::Hdf5Writer& out, const Sweep& sweep, std::size_t axis) {
  Vector column(static_cast<Index>(sweep.values.size()));
  bool numeric = true;
  std::vector<std::string> distinct;
  for (std::size_t p = 0; p < sweep.values.size(); ++p) {
    const auto& value = sweep.values[p][axis];
    numeric = numeric && number_of(value);
    if (std::find(distinct.begin(), distinct.end(), value) == distinct.end()) distinct.push_back(value);
  }
  for (std::size_t p = 0; p < sweep.values.size(); ++p) {
    const auto& value = sweep.values[p][axis];
    const auto place = std::find(distinct.begin(), distinct.end(), value) - distinct.begin();
    column(static_cast<Index>(p)) = numeric ? *number_of(value) : static_cast<double>(place);
  }
  out.vector("axes/" + sweep.keys[axis], column, numeric ? "as in the configuration" : "place in the list");
  if (numeric) return;
  std::string list;
  for (const auto& value : distinct) list += (list.empty() ? "" : "\n") + value;
  out.text("values of " + sweep.keys[axis], list);
}

void write_sweep_h5(const fs::path& path, const Sweep& sweep, const std::vector<SweepPoint>& points) {
  data::Hdf5Writer out("sweep", 1);
  out.text("title", sweep.title);
  out.text("config", sweep.source);
  std::string order;
  for (const auto& key : sweep.keys) order += (order.empty() ? "" : "\n") + key;
  out.text("keys", order);
  for (std::size_t a = 0; a < sweep.keys.size(); ++a) write_axis(out, sweep, a);
  const auto count = static_cast<Index>(points.size());
  IntMatrix status(count, 1);
  Vector seconds(count);
  std::vector<double> ok;
  for (Index p = 0; p < count; ++p) {
    const auto& point = points[static_cast<std::size_t>(p)];
    status(p, 0) = static_cast<int>(point.status);
    seconds(p) = point.seconds;
    if (point.status == PointStatus::ok) ok.push_back(static_cast<double>(p));
  }
  out.integers("status", status, "0 ok, 1 diverged, 2 failed");
  out.vector("seconds", seconds, "second");
  if (!ok.empty()) out.vector("ok/point", Eigen::Map<const Vector>(ok.data(), static_cast<Index>(ok.size())), "index");
  for (const auto& [name, field] : kScores) {
    std::vector<double> values;
    for (const double p : ok)
      if (const auto& value = points[static_cast<std::size_t>(p)].*field) values.push_back(*value);
    if (!ok.empty() && values.size() == ok.size())
      out.vector(std::string("ok/") + name,
                 Eigen::Map<const Vector>(values.data(), static_cast<Index>(values.size())), "1");
  }
  out.write(path);
}

}  // namespace

SweepOutcome run_sweep(const Sweep& sweep, const SweepOptions& options) {
  if (options.shards < 1 || options.shard < 1 || options.shard > options.shards)
    throw Error(ErrorKind::usage, fmt::format("shard = {}/{} is not allowed; allowed: 1/n to n/n, n at least 1",
                                              options.shard, options.shards));
  claim_sweep_folder(sweep, options);
  const auto total = static_cast<Index>(sweep.points.size());
  std::vector<Index> missing;
  SweepOutcome outcome;
  for (Index p = options.shard - 1; p < total; p += options.shards) {
    if (path_exists(sweep_point_path(options, p)))
      ++outcome.kept;
    else
      missing.push_back(p);
  }
  outcome.computed = static_cast<Index>(missing.size());
  PointsProgress progress(options.progress, "sweep", outcome.kept, outcome.kept + outcome.computed);
  ImageStore store;
  const auto stop = [] { throw Error(ErrorKind::interrupted, "interrupted"); };
  parallel_for(outcome.computed, options.threads, [&](Index k, int) {
    if (!progress.tell(0.0)) stop();
    const Index p = missing[static_cast<std::size_t>(k)];
    const auto point = compute_point(sweep.points[static_cast<std::size_t>(p)], options, store, progress.of_point());
    write_text_atomically(sweep_point_path(options, p), point_to_json(sweep, p, point));
    if (!progress.tell(1.0)) stop();
  });
  for (Index p = 0; p < total; ++p)
    if (path_exists(sweep_point_path(options, p))) ++outcome.finished;
  if (outcome.finished < total) return outcome;
  for (Index p = 0; p < total; ++p) outcome.points.push_back(read_point(sweep_point_path(options, p)));
  write_text_atomically(options.folder / "sweep.csv", sweep_csv(sweep, outcome.points));
  write_sweep_h5(options.folder / "sweep.h5", sweep, outcome.points);
  return outcome;
}

std::string shown_value(const std::string& toml) {
  const bool quoted = toml.size() >= 2 && (toml.front() == '"' || toml.front() == '\'') &&
                      toml.find_first_of("\\\n") == std::string::npos;
  if (quoted) return toml.substr(1, toml.size() - 2);
  const bool list = toml.size() >= 4 && toml.starts_with("[ ") && toml.ends_with(" ]");
  return list ? "[" + toml.substr(2, toml.size() - 4) + "]" : toml;
}

std::string to_name(PointStatus status) {
  return status == PointStatus::ok ? "ok" : status == PointStatus::diverged ? "diverged" : "failed";
}

Table sweep_table(const Sweep& sweep, const std::vector<SweepPoint>& points, Index most) {
  Table table;
  table.title = "Points of the sweep";
  table.section = "accuracy";
  table.columns = {"point"};
  for (const auto& key : sweep.keys) table.columns.push_back(key);
  for (const char* name : {"status", "accuracy (%)", "last of batch (%)", "loss", "seconds"})
    table.columns.emplace_back(name);
  std::vector<std::size_t> order(points.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  if (static_cast<Index>(order.size()) > most) {
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
      return points[a].accuracy.value_or(-1.0) > points[b].accuracy.value_or(-1.0);
    });
    table.caption = fmt::format("The {} best of {} points.", most, points.size());
    order.resize(static_cast<std::size_t>(most));
  }
  const auto shown = [](const std::optional<double>& value, double scale) {
    return value ? fmt::format("{:.4g}", scale * *value) : std::string("-");
  };
  for (const std::size_t p : order) {
    const SweepPoint& point = points[p];
    std::vector<Cell> row{static_cast<double>(p)};
    for (const auto& value : sweep.values[p]) row.emplace_back(shown_value(value));
    row.emplace_back(to_name(point.status));
    row.emplace_back(shown(point.accuracy, 100.0));
    row.emplace_back(shown(point.last_of_batch, 100.0));
    row.emplace_back(shown(point.loss, 1.0));
    row.emplace_back(point.seconds);
    table.rows.push_back(std::move(row));
  }
  return table;
}

}  // namespace crosstile::validation
