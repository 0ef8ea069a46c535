// The study "accuracy over a lifetime": what it leaves in its folder.
#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "core/files.hpp"
#include "data/hdf5_file.hpp"
#include "nn/compensation.hpp"
#include "validation/line_chart.hpp"
#include "validation/study_lifetime.hpp"

namespace crosstile::validation {

namespace {

constexpr double kSecondsADay = 86400.0, kSecondsAYear = 31536000.0;
constexpr std::array<const char*, 2> kWeightNames{"direct", "hardware-aware"};

std::string time_text(double seconds) {
  if (seconds >= kSecondsAYear) return fmt::format("{:.3g} y", seconds / kSecondsAYear);
  if (seconds >= kSecondsADay) return fmt::format("{:.3g} d", seconds / kSecondsADay);
  if (seconds >= 3600.0) return fmt::format("{:.3g} h", seconds / 3600.0);
  if (seconds >= 60.0) return fmt::format("{:.3g} min", seconds / 60.0);
  return fmt::format("{:.3g} s", seconds);
}

// The mean over seeds of a point's numbers; with one seed the error comes from its chips.
struct LifetimeMean {
  StudyMean accuracy, a_star;
  Index chips = 0;
};
LifetimeMean lifetime_mean(const std::vector<const LifetimePoint*>& points) {
  LifetimeMean out;
  std::vector<double> accuracy, star;
  for (const LifetimePoint* point : points) {
    accuracy.push_back(study_mean(point->accuracies).mean);
    star.push_back(point->a_star);
    out.chips += static_cast<Index>(point->accuracies.size());
  }
  out.accuracy = study_mean(accuracy);
  out.a_star = study_mean(star);
  if (points.size() == 1) out.accuracy.error = study_mean(points.front()->accuracies).error;
  return out;
}

std::vector<const LifetimePoint*> lifetime_points(const std::vector<LifetimePoint>& all,
                                                  const std::string& weights, const std::string& how,
                                                  const std::string& present, double time_s) {
  std::vector<const LifetimePoint*> out;
  for (const LifetimePoint& p : all)
    if (p.weights == weights && p.compensation == how && p.present == present && p.time_s == time_s)
      out.push_back(&p);
  return out;
}

// (time, mean) of one curve; times without a point are left out.
std::vector<std::pair<double, LifetimeMean>> lifetime_curve(const LifetimeStudy& study,
                                                            const LifetimeOutcome& outcome,
                                                            const std::string& weights,
                                                            const std::string& how) {
  std::vector<std::pair<double, LifetimeMean>> out;
  for (const double time : study.times_s)
    if (const auto found = lifetime_points(outcome.points, weights, how, "all", time); !found.empty())
      out.emplace_back(time, lifetime_mean(found));
  return out;
}

Table lifetime_table(const LifetimeStudy& study, const LifetimeOutcome& outcome) {
  Table table;
  table.title = "Accuracy over time";
  table.section = "accuracy";
  table.columns = {"after the first read", "weights", "compensation", "accuracy (%)",
                   "standard error (%)",   "A*",      "seeds",        "chips"};
  for (const char* weights : kWeightNames)
    for (const nn::DriftCompensation how : study.compensations)
      for (const auto& [time, mean] :
           lifetime_curve(study, outcome, weights, std::string(data::to_name(how))))
        table.rows.push_back({time_text(time), std::string(weights), std::string(data::to_name(how)),
                              100.0 * mean.accuracy.mean, 100.0 * mean.accuracy.error, mean.a_star.mean,
                              static_cast<double>(mean.accuracy.count), static_cast<double>(mean.chips)});
  table.caption = fmt::format(
      "Wires, ADC, programming error, drift and read noise of \"{}\"; the first read is {:g} s after "
      "programming. "
      "Standard error: over seeds, or over the chips of a single seed. A* = 1 - (error - digital error) / "
      "(chance "
      "error - digital error).",
      study.device.name, study.device.drift.t0_s);
  return table;
}

Table lifetime_fall_table(const LifetimeStudy& study, const LifetimeOutcome& outcome) {
  Table table;
  table.title = "How long the accuracy lasts";
  table.section = "accuracy";
  table.columns = {"weights", "compensation", "A* below 0.99 after", "A* below 0.95 after",
                   "A* below 0.9 after"};
  for (const char* weights : kWeightNames)
    for (const nn::DriftCompensation how : study.compensations) {
      std::vector<std::pair<double, double>> star;
      for (const auto& [time, mean] :
           lifetime_curve(study, outcome, weights, std::string(data::to_name(how))))
        star.emplace_back(time, mean.a_star.mean);
      std::vector<Cell> row{std::string(weights), std::string(data::to_name(how))};
      for (const double level : {nn::kIsoAccuracy, 0.95, 0.9}) {
        const auto place = falls_below(star, level);
        const bool lasts = !star.empty() && star.front().second >= level;
        row.emplace_back(place          ? time_text(*place)
                         : star.empty() ? std::string("-")
                         : lasts        ? "not within " + time_text(star.back().first)
                                        : "less than " + time_text(star.front().first));
      }
      table.rows.push_back(std::move(row));
    }
  table.caption = "Mean A* over the seeds, linear between the times over their logarithm.";
  return table;
}

Table parts_table(const LifetimeStudy& study, const LifetimeOutcome& outcome) {
  Table table;
  table.title = "Each non-ideality alone and removed, after " + time_text(study.parts_time_s);
  table.section = "accuracy";
  const std::string how(data::to_name(study.parts_compensation));
  table.columns = {"present"};
  for (const char* weights : kWeightNames)
    for (const char* what : {" (%)", " standard error (%)", " A*"})
      table.columns.push_back(std::string(weights) + what);
  for (const nn::NonIdealityCase& part : nn::each_alone_and_removed()) {
    std::vector<Cell> row{part.name};
    bool any = false;
    for (const char* weights : kWeightNames) {
      const auto found = lifetime_points(outcome.parts, weights, how, part.name, study.parts_time_s);
      const LifetimeMean mean = lifetime_mean(found);
      any = any || !found.empty();
      for (const double value : {100.0 * mean.accuracy.mean, 100.0 * mean.accuracy.error, mean.a_star.mean})
        row.push_back(found.empty() ? Cell(std::string("-")) : Cell(value));
    }
    if (any) table.rows.push_back(std::move(row));
  }
  table.caption = "Compensation " + how + ". Rounding of inputs (DAC) is always present.";
  return table;
}

Table energy_table(const LifetimeOutcome& outcome) {
  Table table;
  table.title = "Energy and latency of an inference";
  table.section = "accuracy";
  table.columns = {"total (nJ)", "array (nJ)", "row drivers (nJ)", "converters (nJ)", "latency (ns)"};
  table.rows.push_back({1e9 * outcome.inference_joule, 1e9 * outcome.array_joule, 1e9 * outcome.driver_joule,
                        1e9 * outcome.conversion_joule, 1e9 * outcome.latency_s});
  table.caption =
      "Weights written directly, before drift; array from conductances and pulses, drivers and converters "
      "from published parts (docs/theory.md, \"Energy of an inference\").";
  return table;
}

std::string lifetime_csv(const LifetimeOutcome& outcome) {
  std::string text = "seed,weights,compensation,present,time_s,chip,accuracy,a_star_of_seed\n";
  for (const auto* list : {&outcome.points, &outcome.parts})
    for (const LifetimePoint& p : *list)
      for (std::size_t c = 0; c < p.accuracies.size(); ++c)
        text += fmt::format("{},{},{},{},{:.17g},{},{:.17g},{:.17g}\n", p.seed, p.weights, p.compensation,
                            p.present, p.time_s, c + 1, p.accuracies[c], p.a_star);
  return text;
}

// One line a point: seed, time, A* of its mean, then its chips.
Matrix lifetime_rows(const std::vector<const LifetimePoint*>& points) {
  std::size_t chips = 0;
  for (const LifetimePoint* p : points) chips = std::max(chips, p->accuracies.size());
  Matrix out = Matrix::Zero(static_cast<Index>(points.size()), static_cast<Index>(3 + chips));
  for (Index r = 0; r < out.rows(); ++r) {
    const LifetimePoint& p = *points[static_cast<std::size_t>(r)];
    out(r, 0) = static_cast<double>(p.seed);
    out(r, 1) = p.time_s;
    out(r, 2) = p.a_star;
    for (std::size_t c = 0; c < p.accuracies.size(); ++c) out(r, static_cast<Index>(3 + c)) = p.accuracies[c];
  }
  return out;
}

void write_lifetime_h5(const std::filesystem::path& path, const LifetimeStudy& study,
                       const LifetimeOutcome& outcome) {
  data::Hdf5Writer out("lifetime-study", 1);
  out.text("config", study.toml);
  out.text("title", study.title);
  out.number("inference_joule", outcome.inference_joule);
  out.number("latency_s", outcome.latency_s);
  if (!outcome.digital_accuracy.empty())
    out.vector("digital_accuracy",
               Eigen::Map<const Vector>(outcome.digital_accuracy.data(),
                                        static_cast<Index>(outcome.digital_accuracy.size())),
               "1");
  const auto put = [&](const std::string& group, const std::vector<LifetimePoint>& all, bool by_part) {
    std::map<std::string, std::vector<const LifetimePoint*>> sorted;
    for (const LifetimePoint& p : all)
      sorted[p.weights + "/" + (by_part ? p.present : p.compensation)].push_back(&p);
    for (const auto& [name, points] : sorted) {
      std::string place = group + "/" + name;
      std::replace(place.begin(), place.end(), ' ', '_');
      out.matrix(place, lifetime_rows(points), "seed, second, 1, then accuracy of every chip");
    }
  };
  put("points", outcome.points, false);
  put("parts", outcome.parts, true);
  out.write(path);
}

LineChart lifetime_chart(const LifetimeStudy& study, const LifetimeOutcome& outcome) {
  LineChart chart;
  chart.title = study.title;
  chart.x_label = "time after the first read";
  chart.y_label = "test accuracy (%)";
  chart.y_high = 100.0;
  const double digital = 100.0 * study_mean(outcome.digital_accuracy).mean;
  ChartCurve line{"digital", {}, true};
  for (const double time : study.times_s) {
    line.points.push_back({time, digital, 0.0});
    chart.x_ticks.emplace_back(time, time_text(time));
  }
  if (!outcome.digital_accuracy.empty()) chart.curves.push_back(line);
  for (const char* weights : kWeightNames)
    for (const nn::DriftCompensation how : study.compensations) {
      const std::string name(data::to_name(how));
      ChartCurve curve{std::string(weights) + (how == nn::DriftCompensation::none ? ", no compensation"
                                                                                  : ", compensated " + name),
                       {}};
      for (const auto& [time, mean] : lifetime_curve(study, outcome, weights, name))
        curve.points.push_back({time, 100.0 * mean.accuracy.mean, 100.0 * mean.accuracy.error});
      if (!curve.points.empty()) chart.curves.push_back(curve);
    }
  chart.y_low = chart_floor(chart, chart.y_high);
  return chart;
}

void put_lifetime_headlines(const LifetimeStudy& study, const LifetimeOutcome& outcome, Results& results) {
  const StudyMean digital = study_mean(outcome.digital_accuracy);
  if (digital.count > 0)
    results.put(Headline{"digital", fmt::format("{:.2f} %", 100.0 * digital.mean),
                         fmt::format("{} seeds", digital.count)});
  for (const char* weights : kWeightNames)
    for (const nn::DriftCompensation how : study.compensations) {
      const auto curve = lifetime_curve(study, outcome, weights, std::string(data::to_name(how)));
      if (curve.empty()) continue;
      const auto& [time, mean] = curve.back();
      results.put(
          Headline{fmt::format("{}, compensation {}, after {}", weights, data::to_name(how), time_text(time)),
                   fmt::format("{:.2f} %", 100.0 * mean.accuracy.mean),
                   fmt::format("+- {:.2f}, A* {:.3f}", 100.0 * mean.accuracy.error, mean.a_star.mean)});
    }
  if (!outcome.diverged.empty())
    results.put(Headline{"diverged", outcome.diverged, "left out of the tables"});
}

}  // namespace

Results write_lifetime_study(const LifetimeStudy& study, const LifetimeOutcome& outcome,
                             const std::filesystem::path& folder) {
  require_writable_folder(folder);
  Results results;
  results.title = study.title;
  put_lifetime_headlines(study, outcome, results);
  if (!outcome.points.empty()) {
    results.put(lifetime_table(study, outcome));
    results.put(lifetime_fall_table(study, outcome));
  }
  if (!outcome.parts.empty()) results.put(parts_table(study, outcome));
  if (outcome.inference_joule > 0.0) results.put(energy_table(outcome));
  write_results(folder / "results.json", results);
  write_text_atomically(folder / "lifetime.csv", lifetime_csv(outcome));
  write_lifetime_h5(folder / "lifetime.h5", study, outcome);
  write_line_chart(folder / "lifetime.svg", lifetime_chart(study, outcome));
  record_study_results(folder, {"results.json", "lifetime.csv", "lifetime.h5", "lifetime.svg"});
  return results;
}

}  // namespace crosstile::validation
