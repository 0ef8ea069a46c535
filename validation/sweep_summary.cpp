// What the points of a sweep say together, beside published numbers.
#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "core/error.hpp"
#include "core/files.hpp"
#include "validation/sweep.hpp"

namespace crosstile::validation {

namespace {

constexpr double kSeenFrom = 4.0;  // standard errors
constexpr std::size_t kMostCells = 400;

bool is_label(const std::string& key) {
  return key == "seed" || key == "title";
}

// The same number may be written 0, 0.0 or 0.000.
bool same_axis_value(const std::string& a, const std::string& b) {
  if (a == b) return true;
  try {
    std::size_t used_a = 0, used_b = 0;
    const double x = std::stod(a, &used_a), y = std::stod(b, &used_b);
    return used_a == a.size() && used_b == b.size() && x == y;
  } catch (const std::exception&) {
    return false;
  }
}

struct Spread {
  double mean = 0.0, squares = 0.0;  // squares: sum of squared differences from the mean
  Index count = 0;
};
Spread spread_of(const std::vector<double>& values) {
  Spread out;
  out.count = static_cast<Index>(values.size());
  for (const double v : values) out.mean += v / static_cast<double>(values.size());
  for (const double v : values) out.squares += (v - out.mean) * (v - out.mean);
  return out;
}

// Points that differ in their seed alone.
struct SweepCell {
  std::vector<std::string> values;  // of all axes; the first point's
  std::vector<const SweepPoint*> runs;
  std::optional<double> published, published_last;
  bool has_published = false;

  std::vector<double> scores(std::optional<double> SweepPoint::*field) const {
    std::vector<double> out;
    for (const SweepPoint* run : runs)
      if (run->*field) out.push_back(*(run->*field));
    return out;
  }
  PointStatus worst() const {
    for (const SweepPoint* run : runs)
      if (run->status != PointStatus::ok) return run->status;
    return PointStatus::ok;
  }
  std::optional<double> ours() const {
    const auto all = scores(&SweepPoint::accuracy);
    if (all.size() < runs.size()) return std::nullopt;  // a run that diverged is no accuracy
    return spread_of(all).mean;
  }
};

void find_published(const Sweep& sweep, SweepCell& cell) {
  if (!sweep.published) return;
  const PublishedSweep& other = *sweep.published;
  for (std::size_t r = 0; r < other.values.size(); ++r) {
    bool same = true;
    for (std::size_t c = 0; c < other.axes.size() && same; ++c)
      same = same_axis_value(other.values[r][c], shown_value(cell.values[other.axes[c]]));
    if (!same) continue;
    cell.has_published = true;
    if (!other.accuracy.empty()) cell.published = other.accuracy[r];
    if (!other.last_of_batch.empty()) cell.published_last = other.last_of_batch[r];
    return;
  }
}

class SweepCells {
 public:
  SweepCells(const Sweep& sweep, const std::vector<SweepPoint>& points) : sweep_(sweep) {
    std::map<std::vector<std::string>, std::size_t> places;
    for (std::size_t p = 0; p < points.size(); ++p) {
      std::vector<std::string> key = sweep.values[p];
      for (std::size_t a = 0; a < key.size(); ++a)
        if (sweep.keys[a] == "seed") key[a].clear();
      const auto [place, is_new] = places.emplace(key, cells.size());
      if (is_new) {
        cells.push_back({sweep.values[p], {}, {}, {}, false});
        find_published(sweep, cells.back());
      }
      cells[place->second].runs.push_back(&points[p]);
    }
    double squares = 0.0;
    Index freedom = 0;
    for (const SweepCell& cell : cells)
      if (const auto s = spread_of(cell.scores(&SweepPoint::accuracy)); s.count > 1) {
        squares += s.squares;
        freedom += s.count - 1;
      }
    if (freedom > 1) run_sigma = std::sqrt(squares / static_cast<double>(freedom));
  }
  std::vector<std::string> values_of(std::size_t axis) const {
    std::vector<std::string> out;
    for (const SweepCell& cell : cells)
      if (std::find(out.begin(), out.end(), cell.values[axis]) == out.end()) out.push_back(cell.values[axis]);
    return out;
  }
  /// Every combination of the axes' values is there, so that means along an axis compare like with like.
  bool is_grid() const {
    std::size_t product = 1;
    for (std::size_t a = 0; a < sweep_.keys.size(); ++a)
      if (sweep_.keys[a] != "seed") product *= values_of(a).size();
    return product == cells.size();
  }
  std::string key_of(std::size_t axis) const { return sweep_.keys[axis]; }

  std::vector<SweepCell> cells;
  std::optional<double> run_sigma;  // of one run, from seed to seed; absent without repeated seeds

 private:
  const Sweep& sweep_;
};

std::string percent_or_dash(const std::optional<double>& share) {
  return share ? fmt::format("{:.2f}", 100.0 * *share) : std::string("-");
}

Table cell_table(const Sweep& sweep, const SweepCells& all) {
  Table table;
  table.title = "Every point, its seeds joined";
  table.section = "sweep";
  std::vector<std::size_t> axes;
  for (std::size_t a = 0; a < sweep.keys.size(); ++a)
    if (sweep.keys[a] != "seed") axes.push_back(a);
  for (const std::size_t a : axes) table.columns.push_back(sweep.keys[a]);
  for (const char* name : {"runs", "accuracy (%)", "standard error (%)", "last of batch (%)"})
    table.columns.emplace_back(name);
  const bool accuracy = sweep.published && !sweep.published->accuracy.empty(),
             last = sweep.published && !sweep.published->last_of_batch.empty();
  if (accuracy) table.columns.emplace_back("published (%)");
  if (last) table.columns.emplace_back("published, last of batch (%)");
  for (std::size_t c = 0; c < std::min(all.cells.size(), kMostCells); ++c) {
    const SweepCell& cell = all.cells[c];
    const auto score = cell.ours();
    const auto spread = spread_of(cell.scores(&SweepPoint::accuracy));
    const auto lasts = cell.scores(&SweepPoint::last_of_batch);
    std::vector<Cell> row;
    for (const std::size_t a : axes) row.emplace_back(shown_value(cell.values[a]));
    row.emplace_back(static_cast<double>(cell.runs.size()));
    row.emplace_back(score ? percent_or_dash(score) : to_name(cell.worst()));
    row.emplace_back(
        spread.count > 1
            ? fmt::format("{:.2f}", 100.0 * std::sqrt(spread.squares /
                                                      static_cast<double>((spread.count - 1) * spread.count)))
            : std::string("-"));
    row.emplace_back(score && !lasts.empty() ? percent_or_dash(spread_of(lasts).mean) : std::string("-"));
    const auto missing = std::string(cell.has_published ? "no result" : "-");
    if (accuracy) row.emplace_back(cell.published ? percent_or_dash(cell.published) : missing);
    if (last) row.emplace_back(cell.published_last ? percent_or_dash(cell.published_last) : missing);
    table.rows.push_back(std::move(row));
  }
  table.caption =
      "Last of batch: scored on the last image of every test batch alone, as seen in print; not an accuracy.";
  if (all.cells.size() > kMostCells)
    table.caption += fmt::format(" The first {} of {}; all are in sweep.csv.", kMostCells, all.cells.size());
  if (sweep.published) table.caption += " Published numbers: " + sweep.published->file + ".";
  return table;
}

Table axis_table(const Sweep& sweep, const SweepCells& all) {
  Table table;
  table.title = "Mean accuracy by value of each axis";
  table.section = "sweep";
  const bool published = sweep.published && !sweep.published->accuracy.empty();
  table.columns = {"axis", "value", "mean (%)", "standard error (%)", "points", "without result"};
  if (published)
    table.columns.insert(table.columns.end(),
                         {"published mean (%)", "published points", "published without result"});
  for (std::size_t a = 0; a < sweep.keys.size(); ++a) {
    if (is_label(sweep.keys[a]) || all.values_of(a).size() < 2) continue;
    for (const std::string& value : all.values_of(a)) {
      std::vector<double> ours, theirs;
      double variance = 0.0;
      Index gone = 0, published_gone = 0;
      for (const SweepCell& cell : all.cells) {
        if (cell.values[a] != value) continue;
        if (const auto score = cell.ours()) {
          ours.push_back(*score);
          variance += 1.0 / static_cast<double>(cell.runs.size());
        } else {
          ++gone;
        }
        if (cell.published) theirs.push_back(*cell.published);
        published_gone += cell.has_published && !cell.published;
      }
      const auto n = static_cast<double>(ours.size());
      std::vector<Cell> row{sweep.keys[a], shown_value(value)};
      row.emplace_back(ours.empty() ? std::string("-") : percent_or_dash(spread_of(ours).mean));
      row.emplace_back(ours.empty() || !all.run_sigma
                           ? std::string("-")
                           : percent_or_dash(*all.run_sigma * std::sqrt(variance) / n));
      row.emplace_back(n);
      row.emplace_back(static_cast<double>(gone));
      if (published) {
        row.emplace_back(theirs.empty() ? std::string("-") : percent_or_dash(spread_of(theirs).mean));
        row.emplace_back(static_cast<double>(theirs.size()));
        row.emplace_back(static_cast<double>(published_gone));
      }
      table.rows.push_back(std::move(row));
    }
  }
  table.caption = "Over all points with this value that have a result.";
  if (all.run_sigma)
    table.caption +=
        fmt::format(" Standard errors from the spread of one run between seeds, {:.2f} points (pooled).",
                    100.0 * *all.run_sigma);
  return table;
}

// Means along one axis over the groups in which every value of it has a result; values without any are left
// out.
struct Effect {
  std::vector<std::string> values;
  std::vector<double> means, errors;  // errors: empty without repeated seeds
  double largest() const {
    return means.empty() ? 0.0
                         : *std::max_element(means.begin(), means.end()) -
                               *std::min_element(means.begin(), means.end());
  }
};

using ScoreOf = std::optional<double> (*)(const SweepCell&);

Effect effect_of(const SweepCells& all, const SweepClaim& claim, ScoreOf score, bool with_errors) {
  std::map<std::vector<std::string>, std::map<std::string, const SweepCell*>> groups;
  for (const SweepCell& cell : all.cells) {
    const bool inside = std::all_of(claim.where.begin(), claim.where.end(), [&](const auto& wanted) {
      return cell.values[wanted.first] == wanted.second;
    });
    if (!inside || !score(cell)) continue;
    auto key = cell.values;
    key[claim.axis].clear();
    for (std::size_t a = 0; a < key.size(); ++a)
      if (all.key_of(a) == "seed") key[a].clear();
    groups[key][cell.values[claim.axis]] = &cell;
  }
  Effect out;
  for (const std::string& value : all.values_of(claim.axis))
    if (std::any_of(groups.begin(), groups.end(), [&](const auto& g) { return g.second.count(value) > 0; }))
      out.values.push_back(value);
  Index complete = 0;
  for (const auto& [key, group] : groups) complete += group.size() == out.values.size();
  if (complete == 0) return {};
  for (const std::string& value : out.values) {
    double sum = 0.0, variance = 0.0;
    for (const auto& [key, group] : groups) {
      if (group.size() != out.values.size()) continue;
      sum += *score(*group.at(value));
      variance += 1.0 / static_cast<double>(group.at(value)->runs.size());
    }
    out.means.push_back(sum / static_cast<double>(complete));
    if (with_errors && all.run_sigma)
      out.errors.push_back(*all.run_sigma * std::sqrt(variance) / static_cast<double>(complete));
  }
  return out;
}

std::string effect_text(const Effect& effect) {
  std::string text;
  for (std::size_t k = 0; k < effect.means.size(); ++k)
    text += fmt::format("{}{:.2f}", k == 0 ? "" : " / ", 100.0 * effect.means[k]);
  return text.empty() ? "-" : text;
}

// The ends of the means along the axis, in standard errors of their difference.
std::string effect_verdict(const Effect& effect) {
  if (effect.means.size() < 2) return "no points";
  if (effect.errors.empty()) return fmt::format("{:.2f} points (one seed)", 100.0 * effect.largest());
  const auto top = std::max_element(effect.means.begin(), effect.means.end()) - effect.means.begin();
  const auto low = std::min_element(effect.means.begin(), effect.means.end()) - effect.means.begin();
  const double error =
      std::hypot(effect.errors[static_cast<std::size_t>(top)], effect.errors[static_cast<std::size_t>(low)]);
  const bool seen = effect.largest() > kSeenFrom * error;
  return fmt::format(
      "{:.2f} +- {:.2f} points: {}", 100.0 * effect.largest(), 100.0 * error,
      seen ? "an effect, highest at " + shown_value(effect.values[static_cast<std::size_t>(top)])
           : std::string("no effect seen"));
}

Table claim_table(const Sweep& sweep, const SweepCells& all) {
  Table table;
  table.title = "Claims and the numbers that decide them";
  table.section = "sweep";
  table.columns = {"claim", "means along", "at", "ours (%)", "largest difference"};
  const bool published = sweep.published && !sweep.published->accuracy.empty();
  if (published) table.columns.insert(table.columns.end(), {"published (%)", "published difference"});
  for (const SweepClaim& claim : sweep.claims) {
    std::string where;
    for (const auto& [axis, value] : claim.where)
      where += (where.empty() ? "" : ", ") + sweep.keys[axis] + " = " + shown_value(value);
    const Effect ours = effect_of(
        all, claim, [](const SweepCell& cell) { return cell.ours(); }, true);
    std::string values;
    for (const auto& value : ours.values) values += (values.empty() ? "" : " / ") + shown_value(value);
    std::vector<Cell> row{claim.text, sweep.keys[claim.axis] + " = " + values,
                          where.empty() ? "all points" : where, effect_text(ours), effect_verdict(ours)};
    if (published) {
      const Effect theirs = effect_of(
          all, claim, [](const SweepCell& cell) { return cell.published; }, false);
      std::string named;
      for (const auto& value : theirs.values) named += (named.empty() ? "" : " / ") + shown_value(value);
      row.emplace_back(effect_text(theirs) + (named == values || named.empty() ? "" : " (at " + named + ")"));
      row.emplace_back(effect_verdict(theirs));
    }
    table.rows.push_back(std::move(row));
  }
  table.caption = fmt::format(
      "Means over the other axes, of the points at which every value shown has a result. An effect is seen "
      "from {} standard "
      "errors of the difference.",
      kSeenFrom);
  return table;
}

std::string best_point(const Sweep& sweep, const SweepCells& all, std::string& score) {
  const SweepCell* best = nullptr;
  for (const SweepCell& cell : all.cells)
    if (cell.ours() && (best == nullptr || *cell.ours() > *best->ours())) best = &cell;
  if (best == nullptr) return {};
  score = percent_or_dash(best->ours()) + " %";
  if (const auto title = std::find(sweep.keys.begin(), sweep.keys.end(), "title"); title != sweep.keys.end())
    return shown_value(best->values[static_cast<std::size_t>(title - sweep.keys.begin())]);
  std::string note;
  for (std::size_t a = 0; a < sweep.keys.size(); ++a)
    if (sweep.keys[a] != "seed")
      note += (note.empty() ? "" : ", ") + sweep.keys[a] + " = " + shown_value(best->values[a]);
  return note;
}

}  // namespace

Results sweep_results(const Sweep& sweep, const std::vector<SweepPoint>& points, const std::string& command) {
  const SweepCells all(sweep, points);
  Results results;
  results.title = sweep.title;
  const auto count = [&](PointStatus status) {
    return std::count_if(points.begin(), points.end(), [&](const auto& p) { return p.status == status; });
  };
  double seconds = 0.0;
  for (const SweepPoint& point : points) seconds += point.seconds;
  results.put(Headline{"trainings", std::to_string(points.size()),
                       fmt::format("{} ok, {} diverged, {} failed", count(PointStatus::ok),
                                   count(PointStatus::diverged), count(PointStatus::failed))});
  std::string score;
  const std::string note = best_point(sweep, all, score);
  if (!score.empty()) results.put(Headline{"best accuracy", score, note});
  results.put(Headline{"time of all trainings", fmt::format("{:.1f} min", seconds / 60.0),
                       "wall time, summed over the points"});
  if (!sweep.claims.empty()) results.put(claim_table(sweep, all));
  if (Table table = axis_table(sweep, all); all.is_grid() && !table.rows.empty())
    results.put(std::move(table));
  results.put(cell_table(sweep, all));
  for (Table& table : results.tables) table.command = command;
  return results;
}

void write_sweep_results(const Sweep& sweep, const Results& results, const std::filesystem::path& folder) {
  if (sweep.published) write_text_atomically(folder / "published.csv", sweep.published->text);
  write_results(folder / "results.json", results);
}

}  // namespace crosstile::validation
