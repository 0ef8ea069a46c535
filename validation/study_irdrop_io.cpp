// The study "accuracy against wire resistance": its configuration, and what it leaves in its folder.
#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "core/error.hpp"
#include "core/files.hpp"
#include "data/hdf5_file.hpp"
#include "nn/compensation.hpp"
#include "validation/figures.hpp"
#include "validation/line_chart.hpp"
#include "validation/study_irdrop.hpp"

namespace crosstile::validation {

namespace {

constexpr double kMostOhm = 1e4;

bool is_gaussian(const std::string& method, bool fitted) {
  return method.starts_with("gaussian") && method.ends_with("fitted gains") == fitted;
}

// The four rows that are compared; of the Gaussian levels the best at every resistance, chosen on the same
// images that are reported (which favours it).
class Curves {
 public:
  explicit Curves(const IrDropOutcome& outcome) {
    std::map<std::pair<std::string, double>, std::vector<const IrDropPoint*>> by_place;
    for (const IrDropPoint& point : outcome.points)
      by_place[{point.method, point.r_col_ohm}].push_back(&point);
    for (const bool fitted : {false, true}) {
      const std::string name = fitted ? "gaussian (best level), fitted gains" : "gaussian (best level)";
      for (const auto& [place, points] : by_place) {
        if (!is_gaussian(place.first, fitted)) continue;
        auto& best = chosen_[name][place.second];
        if (best.empty() || mean(points) > mean(best)) best = points;
      }
    }
    for (const auto& [place, points] : by_place)
      if (!place.first.starts_with("gaussian")) chosen_[place.first][place.second] = points;
  }
  std::vector<std::string> names() const {
    std::vector<std::string> out;
    for (const char* name : {"direct", "direct, fitted gains", "gaussian (best level)",
                             "gaussian (best level), fitted gains", "through tiles"})
      if (chosen_.count(name)) out.emplace_back(name);
    return out;
  }
  const std::map<double, std::vector<const IrDropPoint*>>& of(const std::string& name) const {
    return chosen_.at(name);
  }
  static StudyMean statistics(const std::vector<const IrDropPoint*>& points, double IrDropPoint::*field) {
    std::vector<double> values;
    for (const IrDropPoint* point : points) values.push_back(point->*field);
    return study_mean(values);
  }

 private:
  static double mean(const std::vector<const IrDropPoint*>& points) {
    return statistics(points, &IrDropPoint::accuracy).mean;
  }
  std::map<std::string, std::map<double, std::vector<const IrDropPoint*>>> chosen_;
};

Table accuracy_table(const IrDropStudy& study, const Curves& curves) {
  Table table;
  table.title = "Accuracy against wire resistance";
  table.section = "accuracy";
  table.columns = {"wire (ohm/cell)",
                   "weights",
                   "accuracy (%)",
                   "standard error (%)",
                   "A*",
                   "mean G (uS)",
                   "energy (nJ)",
                   "of it in the array (nJ)",
                   "seeds"};
  for (const double ohm : study.r_col_ohm)
    for (const std::string& name : curves.names()) {
      const auto found = curves.of(name).find(ohm);
      if (found == curves.of(name).end()) continue;
      const StudyMean accuracy = Curves::statistics(found->second, &IrDropPoint::accuracy);
      const StudyMean star = Curves::statistics(found->second, &IrDropPoint::a_star);
      const StudyMean g = Curves::statistics(found->second, &IrDropPoint::mean_g_siemens);
      const StudyMean energy = Curves::statistics(found->second, &IrDropPoint::inference_joule);
      const StudyMean array = Curves::statistics(found->second, &IrDropPoint::array_joule);
      const std::string level = found->second.front()->method;
      table.rows.push_back({ohm, name.starts_with("gaussian") ? name + " [" + level + "]" : name,
                            100.0 * accuracy.mean, 100.0 * accuracy.error, star.mean, 1e6 * g.mean,
                            1e9 * energy.mean, 1e9 * array.mean, static_cast<double>(accuracy.count)});
    }
  table.caption =
      "Exact column ladder, ADC on. A* = 1 - (error - digital error) / (chance error - digital error). "
      "Gaussian: the "
      "best of the trained noise levels, chosen on the test images. Fitted gains: a digital factor for every "
      "column of "
      "every tile, least squares on training images. Mean G: over both arrays of the first layer. "
      "Energy: of an inference, arrays, row drivers and converters (docs/theory.md, \"Energy of an "
      "inference\").";
  return table;
}

Table confirmation_table(const IrDropOutcome& outcome) {
  Table table;
  table.title = "End points through the full circuit";
  table.section = "accuracy";
  table.columns = {"wire (ohm/cell)",
                   "weights",
                   "images",
                   "circuit (%)",
                   "ladder (%)",
                   "same class",
                   "largest difference of a logit"};
  for (const IrDropConfirmation& c : outcome.confirmations)
    table.rows.push_back({c.r_col_ohm, c.method, static_cast<double>(c.images), 100.0 * c.circuit_accuracy,
                          100.0 * c.ladder_accuracy, static_cast<double>(c.same_class),
                          c.largest_difference});
  table.caption =
      "Every array of every layer solved as a circuit (event-driven charge, wires without capacitance).";
  return table;
}

std::string csv_of(const IrDropOutcome& outcome) {
  std::string text =
      "seed,r_col_ohm,method,accuracy,a_star,mean_g_siemens,inference_joule,array_joule,latency_s\n";
  for (const IrDropPoint& p : outcome.points)
    text += fmt::format("{},{:.17g},\"{}\",{:.17g},{:.17g},{:.17g},{:.17g},{:.17g},{:.17g}\n", p.seed,
                        p.r_col_ohm, p.method, p.accuracy, p.a_star, p.mean_g_siemens, p.inference_joule,
                        p.array_joule, p.latency_s);
  return text;
}

void write_h5(const std::filesystem::path& path, const IrDropStudy& study, const IrDropOutcome& outcome) {
  std::set<std::string> methods;
  for (const IrDropPoint& p : outcome.points) methods.insert(p.method);
  data::Hdf5Writer out("irdrop-study", 1);
  out.text("config", study.toml);
  out.text("title", study.title);
  out.vector("digital_accuracy",
             Eigen::Map<const Vector>(outcome.digital_accuracy.data(),
                                      static_cast<Index>(outcome.digital_accuracy.size())),
             "1");
  for (const std::string& method : methods) {
    std::vector<std::array<double, 8>> rows;
    for (const IrDropPoint& p : outcome.points)
      if (p.method == method)
        rows.push_back({static_cast<double>(p.seed), p.r_col_ohm, p.accuracy, p.a_star, p.mean_g_siemens,
                        p.inference_joule, p.array_joule, p.latency_s});
    Matrix table(static_cast<Index>(rows.size()), 8);
    for (Index r = 0; r < table.rows(); ++r)
      for (Index c = 0; c < table.cols(); ++c)
        table(r, c) = rows[static_cast<std::size_t>(r)][static_cast<std::size_t>(c)];
    std::string name = method;
    std::replace_if(
        name.begin(), name.end(), [](char c) { return c == ' ' || c == ','; }, '_');
    out.matrix("points/" + name, table, "seed, ohm, 1, 1, siemens, joule, joule, second");
  }
  out.write(path);
}

// Mean A* over the resistances, of one curve.
std::vector<std::pair<double, double>> star_curve(const Curves& curves, const std::string& name) {
  std::vector<std::pair<double, double>> out;
  for (const auto& [ohm, points] : curves.of(name))
    out.emplace_back(ohm, Curves::statistics(points, &IrDropPoint::a_star).mean);
  return out;
}

Table fall_table(const Curves& curves) {
  Table table;
  table.title = "Where the accuracy is lost";
  table.section = "accuracy";
  table.columns = {"weights", "A* below 0.99 from", "A* below 0.9 from"};
  for (const std::string& name : curves.names()) {
    const auto curve = star_curve(curves, name);
    table.rows.push_back({name, fall_text(curve, nn::kIsoAccuracy, "ohm"), fall_text(curve, 0.9, "ohm")});
  }
  table.caption =
      "Mean A* over the seeds, linear between the resistances over their logarithm. Above, below: outside "
      "what was evaluated.";
  return table;
}

LineChart chart_of(const IrDropStudy& study, const IrDropOutcome& outcome, const Curves& curves) {
  LineChart chart;
  chart.title = study.title;
  chart.x_label = "wire resistance (ohm per cell)";
  chart.y_label = "test accuracy (%)";
  chart.y_high = 100.0;
  const StudyMean digital = study_mean(outcome.digital_accuracy);
  ChartCurve line{"digital", {}, true};
  for (const double ohm : study.r_col_ohm) line.points.push_back({ohm, 100.0 * digital.mean, 0.0});
  if (digital.count > 0) chart.curves.push_back(line);
  for (const std::string& name : curves.names()) {
    if (name == "direct, fitted gains") continue;  // close to the Gaussian one; in the table
    ChartCurve curve{name, {}};
    for (const auto& [ohm, points] : curves.of(name)) {
      const StudyMean m = Curves::statistics(points, &IrDropPoint::accuracy);
      curve.points.push_back({ohm, 100.0 * m.mean, 100.0 * m.error});
    }
    chart.curves.push_back(curve);
  }
  chart.y_low = chart_floor(chart, chart.y_high);
  return chart;
}

void put_headlines(const IrDropOutcome& outcome, const Curves& curves, Results& results) {
  const StudyMean digital = study_mean(outcome.digital_accuracy);
  if (digital.count > 0)
    results.put(Headline{"digital", fmt::format("{:.2f} %", 100.0 * digital.mean),
                         fmt::format("{} seeds", digital.count)});
  const auto names = curves.names();
  if (std::find(names.begin(), names.end(), "through tiles") != names.end())
    results.put(Headline{"training through tiles falls below A* 0.99 at",
                         fall_text(star_curve(curves, "through tiles"), nn::kIsoAccuracy, "ohm"),
                         "per cell; interpolated between the resistances of the study"});
  if (outcome.digital_seconds > 0.0 && outcome.tile_seconds > 0.0)
    results.put(Headline{
        "cost of training through tiles",
        fmt::format("{:.1f} digital epochs", outcome.tile_seconds / outcome.digital_seconds),
        fmt::format("{:.2f} s and {:.2f} s of processor time an epoch, the fastest of each in this run",
                    outcome.tile_seconds, outcome.digital_seconds)});
  if (!outcome.diverged.empty())
    results.put(Headline{"diverged", outcome.diverged, "left out of the tables"});
}

}  // namespace

IrDropStudy read_irdrop_study(data::Config& config) {
  IrDropStudy study;
  study.toml = config.source();
  study.title = config.text("title", study.title);
  study.tile = data::read_tile(config);
  read_data_files(config, study.data);
  read_study_training(config, study.network, study.digital, study.digital_clip_sigma);
  study.r_col_ohm = config.numbers("study.r_col_ohm", study.r_col_ohm, 1e-6, kMostOhm);
  std::vector<double>& axis = study.r_col_ohm;
  std::sort(axis.begin(), axis.end());
  axis.erase(std::unique(axis.begin(), axis.end()), axis.end());
  if (axis.empty()) config.mistake("study.r_col_ohm", "needs at least one resistance");
  study.seeds = study_integer(config, "study.seeds", study.seeds, 1, 1000);
  study.images = study_integer(config, "study.images", study.images, 0, 100000000);
  study.calibration_images =
      study_integer(config, "study.calibration_images", study.calibration_images, 1, 1000000);
  study.confirm_images = study_integer(config, "study.confirm_images", study.confirm_images, 0, 1000000);
  study.confirm_ohm = config.numbers("study.confirm_ohm", study.confirm_ohm, 1e-6, kMostOhm);
  study.energy_images = study_integer(config, "study.energy_images", study.energy_images, 1, 1000000);
  study.noise_levels = config.numbers("gaussian.noise_levels", study.noise_levels, 0.0, 10.0);
  study.gaussian_epochs = study_integer(config, "gaussian.epochs", study.gaussian_epochs, 1, 100000);
  study.gaussian_rate = config.number("gaussian.learning_rate", study.gaussian_rate, 1e-9, 1e3);
  study.gaussian.ramp_epochs = config.number("gaussian.ramp_epochs", 2.0, 0.0, 1e6);
  study.gaussian.clip_sigma = config.number("gaussian.clip_sigma", 0.0, 0.0, 1e3);
  study.tile_epochs = study_integer(config, "tiles.epochs", study.tile_epochs, 1, 100000);
  study.tile_rate = config.number("tiles.learning_rate", study.tile_rate, 1e-9, 1e3);
  nn::TileLayerOptions& tiles = study.tiles;
  tiles.model.block_rows = static_cast<int>(
      config.integer("tiles.block_rows", tiles.model.block_rows, 1, tilemodel::kMostBlockRows));
  tiles.model.closure_bins = static_cast<int>(
      config.integer("tiles.closure_bins", tiles.model.closure_bins, 1, tilemodel::kMostClosureBins));
  tiles.wire_ramp_epochs = config.number("tiles.wire_ramp_epochs", tiles.wire_ramp_epochs, 0.0, 1e6);
  tiles.wire_start = config.number("tiles.wire_start", tiles.wire_start, 0.0, 1.0);
  tiles.gain_rate = config.number("tiles.gain_rate", tiles.gain_rate, 0.0, 1e3);
  tiles.clip_sigma = config.number("tiles.clip_sigma", tiles.clip_sigma, 0.0, 1e3);
  const auto is_off_axis = [&](double ohm) { return std::find(axis.begin(), axis.end(), ohm) == axis.end(); };
  if (!config.has("study.confirm_ohm")) std::erase_if(study.confirm_ohm, is_off_axis);
  for (const double ohm : study.confirm_ohm)
    if (is_off_axis(ohm))
      config.mistake("study.confirm_ohm", fmt::format("= {:g} is not among study.r_col_ohm", ohm));
  config.finish();
  return study;
}

Results write_irdrop_study(const IrDropStudy& study, const IrDropOutcome& outcome,
                           const std::filesystem::path& folder) {
  require_writable_folder(folder);
  const Curves curves(outcome);
  Results results;
  results.title = study.title;
  put_headlines(outcome, curves, results);
  if (!outcome.points.empty()) {
    results.put(accuracy_table(study, curves));
    results.put(fall_table(curves));
  }
  if (!outcome.confirmations.empty()) results.put(confirmation_table(outcome));
  write_results(folder / "results.json", results);
  write_text_atomically(folder / "irdrop.csv", csv_of(outcome));
  write_h5(folder / "irdrop.h5", study, outcome);
  write_line_chart(folder / "irdrop.svg", chart_of(study, outcome, curves));
  record_study_results(folder, {"results.json", "irdrop.csv", "irdrop.h5", "irdrop.svg"});
  return results;
}

}  // namespace crosstile::validation
