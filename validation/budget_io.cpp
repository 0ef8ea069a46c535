// The study "where does the error come from?": its configuration, and what it leaves in its folder.
#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/error.hpp"
#include "core/files.hpp"
#include "data/hdf5_file.hpp"
#include "device/device.hpp"
#include "validation/budget.hpp"
#include "validation/line_chart.hpp"
#include "validation/study_base.hpp"

namespace crosstile::validation {

namespace {

// What the published ranking says of an effect: docs/theory.md, "Error budget".
std::string published_place(std::size_t effect) {
  switch (static_cast<Effect>(effect)) {
    case Effect::pwm:
    case Effect::adc:
      return "hurts most (converter resolution)";
    case Effect::read_noise:
    case Effect::programming:
    case Effect::drift:
      return "hurts less (weight errors)";
    default:
      return "not ranked there";
  }
}
bool is_converter(std::size_t effect) {
  return published_place(effect).starts_with("hurts most");
}
bool is_weight_error(std::size_t effect) {
  return published_place(effect).starts_with("hurts less");
}

std::string factor_text(const FactorRoot& root) {
  if (root.verdict == FactorRoot::Verdict::above) return fmt::format("above {:.3g}", root.factor);
  if (root.verdict == FactorRoot::Verdict::below) return fmt::format("below {:.3g}", root.factor);
  return fmt::format("{:.3g}", root.factor);
}

// What the effect is at the factor, in its own unit.
std::string strength_text(const BudgetStudy& study, const Growth& growth) {
  const double f = growth.root.factor;
  const data::TileSpec& tile = study.tile;
  const auto bits = [f](int of_steps) { return std::log2((std::exp2(of_steps) - 1.0) / f + 1.0); };
  switch (static_cast<Effect>(growth.effect)) {
    case Effect::column_wire:
      return fmt::format("{:.3g} ohm per cell", f * tile.r_col_ohm);
    case Effect::row_wire:
      return fmt::format("{:.3g} ohm per cell, drivers {:.3g} ohm", f * tile.r_row_ohm,
                         f * tile.r_driver_ohm);
    case Effect::selector:
      return fmt::format("{:.3g} ohm", f * tile.selector.r_on_ohm);
    case Effect::front_end:
      return fmt::format("{:.3g} ohm, gain spread {:.3g}", f * tile.r_sense_ohm,
                         std::min(0.5, f * tile.adc.gain_spread));
    case Effect::pwm:
      return fmt::format("{:.2g} bits and sign", bits(tile.pulse.dac_bits - 1));
    case Effect::adc:
      return fmt::format("{:.2g} bits", bits(tile.adc.bits));
    default:
      return fmt::format("{:.3g} times the device model", f);
  }
}

Table budget_table(const BudgetStudy& study, const BudgetOutcome& outcome) {
  Table table;
  table.title = "Error budget";
  table.section = "irdrop";
  table.columns = {"present",      "first layer, RMS (LSB)", "first layer, RMS (%)",
                   "accuracy (%)", "standard error (%)",     "A*"};
  for (const BudgetPoint& p : outcome.budget)
    table.rows.push_back(
        {p.name, p.rms_lsb, 100.0 * p.rms_relative, 100.0 * p.accuracy, 100.0 * p.accuracy_error, p.a_star});
  table.caption = fmt::format(
      "Against the exact product of pixels and weights. 1 LSB = 99.9 % quantile of the first layer's "
      "bit-line charges / "
      "255; % of the RMS output. {} chips where they differ, {:g} s after the first read, drift compensation "
      "{}. "
      "Absent pulse rounding: 12 bits; absent ADC: 16 bits.",
      study.draws, study.time_s, data::to_name(study.compensation));
  return table;
}

Table growth_table(const BudgetStudy& study, const BudgetOutcome& outcome) {
  Table table;
  table.title = fmt::format("How far each effect may grow before A* falls below {:g}", study.a_star);
  table.section = "irdrop";
  table.columns = {"rank", "effect", "factor", "standard error (%)", "which is", "Rasch et al. 2023"};
  double rank = 1.0;
  for (const Growth& g : outcome.growth) {
    const bool found = g.root.verdict == FactorRoot::Verdict::found;
    table.rows.push_back({rank, effect_name(g.effect), factor_text(g.root),
                          found ? fmt::format("{:.2g}", 100.0 * g.root.log_error) : std::string("-"),
                          strength_text(study, g), published_place(g.effect)});
    rank += 1.0;
  }
  table.caption =
      std::string("The most sensitive first; the others are ") +
      (study.others_absent ? "absent" : "as configured") +
      " meanwhile. A factor is relative to this configuration. Converters: between whole bits, linear in A* "
      "over ln factor. Standard error: chips and images.";
  return table;
}

// Every converter against every weight error.
std::string ranking_text(const BudgetOutcome& outcome) {
  std::string differs;
  Index pairs = 0;
  for (const Growth& converter : outcome.growth)
    for (const Growth& weight : outcome.growth) {
      if (!is_converter(converter.effect) || !is_weight_error(weight.effect)) continue;
      ++pairs;
      if (converter.root.factor < weight.root.factor) continue;
      differs += fmt::format("{}{} may grow less ({}) than {} ({})", differs.empty() ? "" : "; ",
                             effect_name(weight.effect), factor_text(weight.root),
                             effect_name(converter.effect), factor_text(converter.root));
    }
  if (pairs == 0) return {};
  if (differs.empty())
    return "As in Rasch et al. 2023, both converters may grow by less than any weight error before accuracy "
           "is lost.";
  return "Unlike in Rasch et al. 2023, where resolution of the converters hurts more than errors of the "
         "weights: " +
         differs +
         ". There the networks are larger and trained for the hardware, and the converters' ranges are "
         "fixed; output "
         "noise and an S-shaped ADC, which hurt most there, are no part of this tile.";
}

Table limit_table(const BudgetOutcome& outcome) {
  Table table;
  table.title = "Largest wire resistance and largest tile";
  table.section = "irdrop";
  table.columns = {
      "of", "target", "limit", "note", "fast model (LSB)", "full circuit (LSB)", "difference (LSB)"};
  const auto shown = [](const std::optional<double>& value) {
    return value ? fmt::format("{:.3g}", *value) : std::string("-");
  };
  for (const Limit& l : outcome.limits)
    table.rows.push_back({l.what, l.target, fmt::format("{:.3g}", l.value), l.verdict, shown(l.fast_lsb),
                          shown(l.circuit_lsb), shown(l.difference_lsb)});
  table.caption =
      "Wires alone (columns, rows and drivers grow together), against the same pulses without wires. Found "
      "with the fast "
      "model on all images of the first layer; the last three columns: RMS at the limit over a few images, "
      "by the fast "
      "model and by the full circuit, and between the two.";
  return table;
}

Table trade_table(const BudgetOutcome& outcome) {
  Table table;
  table.title = "Accuracy, energy and latency of an inference";
  table.section = "accuracy";
  table.columns = {"wire (ohm/cell)",    "pulses", "ADC bits",    "accuracy (%)",
                   "standard error (%)", "A*",     "energy (nJ)", "latency (ns)"};
  for (const TradePoint& p : outcome.trade)
    table.rows.push_back({p.r_col_ohm, std::string(data::to_name(p.passes)), static_cast<double>(p.adc_bits),
                          100.0 * p.accuracy, 100.0 * p.accuracy_error, p.a_star, 1e9 * p.joule,
                          1e9 * p.latency_s});
  table.caption =
      "Everything present. Energy: arrays, row drivers, converters (published figures for 8 bits; other "
      "widths scaled as "
      "a successive-approximation converter). Latency: layers one after another, tiles of a layer at the "
      "same time.";
  return table;
}

std::string budget_csv(const BudgetOutcome& outcome) {
  std::string text =
      "part,name,factor,log_error,rms_lsb,rms_relative,accuracy,accuracy_error,a_star,joule,latency_s\n";
  for (const BudgetPoint& p : outcome.budget)
    text += fmt::format("budget,{},,,{:.17g},{:.17g},{:.17g},{:.17g},{:.17g},,\n", p.name, p.rms_lsb,
                        p.rms_relative, p.accuracy, p.accuracy_error, p.a_star);
  for (const Growth& g : outcome.growth)
    for (const auto& [factor, sample] : g.root.samples)
      text += fmt::format("growth,{},{:.17g},,,,,,{:.17g},,\n", effect_name(g.effect), factor, sample.value);
  for (const Growth& g : outcome.growth)
    text += fmt::format("root,{},{:.17g},{:.17g},,,,,,,\n", effect_name(g.effect), g.root.factor,
                        g.root.log_error);
  for (const TradePoint& p : outcome.trade)
    text += fmt::format("trade,{:g} ohm {} {} bits,,,,,{:.17g},{:.17g},{:.17g},{:.17g},{:.17g}\n",
                        p.r_col_ohm, data::to_name(p.passes), p.adc_bits, p.accuracy, p.accuracy_error,
                        p.a_star, p.joule, p.latency_s);
  return text;
}

template <typename Items, typename Row>
void put_rows_of(data::Hdf5Writer& out, const std::string& name, const std::string& units, const Items& items,
                 const Row& row) {
  if (items.empty()) return;
  Matrix table;
  Index r = 0;
  for (const auto& item : items) {
    const std::vector<double> values = row(item);
    table.conservativeResize(r + 1, static_cast<Index>(values.size()));
    for (std::size_t c = 0; c < values.size(); ++c) table(r, static_cast<Index>(c)) = values[c];
    ++r;
  }
  out.matrix(name, table, units);
}

void write_budget_h5(const fs::path& path, const BudgetStudy& study, const BudgetOutcome& outcome) {
  data::Hdf5Writer out("budget-study", 1);
  out.text("config", study.toml);
  out.text("title", study.title);
  out.number("digital_accuracy", outcome.digital_accuracy);
  std::string names, effects;
  for (const auto& p : outcome.budget) names += (names.empty() ? "" : "\n") + p.name;
  for (std::size_t e = 0; e < kEffects; ++e) effects += (e == 0 ? "" : "\n") + effect_name(e);
  out.text("budget_names", names);
  out.text("effects", effects);
  put_rows_of(out, "budget", "LSB, 1, 1, 1, 1", outcome.budget, [](const BudgetPoint& p) {
    return std::vector<double>{p.rms_lsb, p.rms_relative, p.accuracy, p.accuracy_error, p.a_star};
  });
  put_rows_of(
      out, "growth", "place in effects, factor, ln factor, -1 below 0 found 1 above", outcome.growth,
      [](const Growth& g) {
        const double verdict = g.root.verdict == FactorRoot::Verdict::found   ? 0.0
                               : g.root.verdict == FactorRoot::Verdict::above ? 1.0
                                                                              : -1.0;
        return std::vector<double>{static_cast<double>(g.effect), g.root.factor, g.root.log_error, verdict};
      });
  for (const Growth& g : outcome.growth)
    put_rows_of(out, "samples/" + effect_name(g.effect), "factor, A*, standard error", g.root.samples,
                [](const auto& s) {
                  return std::vector<double>{s.first, s.second.value, s.second.error};
                });
  put_rows_of(out, "trade", "ohm, 0 conventional 1 split 2 bit-serial, bits, 1, 1, 1, joule, second",
              outcome.trade, [](const TradePoint& p) {
                return std::vector<double>{p.r_col_ohm,
                                           static_cast<double>(p.passes),
                                           static_cast<double>(p.adc_bits),
                                           p.accuracy,
                                           p.accuracy_error,
                                           p.a_star,
                                           p.joule,
                                           p.latency_s};
              });
  out.write(path);
}

LineChart growth_chart(const BudgetStudy& study, const BudgetOutcome& outcome) {
  LineChart chart;
  chart.title = study.title;
  chart.x_label = "factor on one effect";
  chart.y_label = "A*";
  chart.y_low = std::max(0.0, 1.0 - 8.0 * (1.0 - study.a_star));
  chart.y_high = 1.0 + (1.0 - study.a_star);
  double low = 1.0, high = 1.0;
  for (const Growth& g : outcome.growth) {
    ChartCurve curve{effect_name(g.effect), {}};
    for (const auto& [factor, sample] : g.root.samples) {
      if (sample.value < chart.y_low) continue;
      curve.points.push_back({factor, sample.value, sample.error});
      low = std::min(low, factor);
      high = std::max(high, factor);
    }
    if (!curve.points.empty()) chart.curves.push_back(curve);
  }
  chart.curves.push_back(
      {fmt::format("A* = {:g}", study.a_star), {{low, study.a_star}, {high, study.a_star}}, true});
  return chart;
}

void read_budget_network(data::Config& config, BudgetStudy& study) {
  study.network_file = config.text("study.network_file", "");
  read_data_files(config, study.data);
  read_study_training(config, study.network, study.training, study.clip_sigma);
  study.training.seed =
      static_cast<std::uint64_t>(config.integer("seed", 1, 0, std::numeric_limits<std::int64_t>::max()));
}

void read_budget_model(data::Config& config, BudgetStudy& study) {
  study.tile = data::read_tile(config);
  study.model.form = config.choice_of<tilemodel::Form>("study.form", tilemodel::Form::closure);
  study.model.block_rows = static_cast<int>(
      config.integer("study.block_rows", study.model.block_rows, 1, tilemodel::kMostBlockRows));
  study.model.references =
      static_cast<int>(config.integer("study.references", 1, 0, tilemodel::kMostReferences));
  if (study.model.form == tilemodel::Form::effective || study.model.form == tilemodel::Form::ideal)
    config.mistake("study.form", "must be one with wires: \"closure\", \"ladder\" or \"binned\"");
  if (study.tile.drive != data::Drive::gated ||
      study.tile.weight_layout != data::WeightLayout::pair_columns ||
      study.tile.pulse.sign != data::SignMode::two_phase)
    config.mistake(
        "tile",
        "must be gated, with pair-columns and two-phase signs: the study's fast model knows no other");
  const std::string name = config.text("study.device_model", study.device.name);
  try {
    study.device = device::find_device_model(name);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::usage) throw;
    config.mistake("study.device_model", error.what());
  }
}

void read_budget_table(data::Config& config, BudgetStudy& study) {
  study.table_r_ohm = config.numbers("study.table_r_ohm", study.table_r_ohm, 1e-6, 1e4);
  study.table_adc_bits = config.integers("study.table_adc_bits", study.table_adc_bits, 2, 16);
  std::vector<std::string> names;
  for (const auto passes : study.table_passes) names.emplace_back(data::to_name(passes));
  study.table_passes.clear();
  for (const std::string& name : config.texts("study.table_passes", names)) {
    if (const auto passes = data::from_name<data::Passes>(name))
      study.table_passes.push_back(*passes);
    else
      config.mistake("study.table_passes",
                     "\"" + name + "\" is not known; allowed: \"conventional\", \"split\", \"bit-serial\"");
  }
  study.energy_images = study_integer(config, "study.energy_images", study.energy_images, 1, 1000000);
}

}  // namespace

BudgetStudy read_budget_study(data::Config& config) {
  BudgetStudy study;
  study.toml = config.source();
  study.title = config.text("title", study.title);
  read_budget_network(config, study);
  read_budget_model(config, study);
  study.time_s = config.number("study.time_s", study.time_s, 0.0, 1e10);
  study.compensation = config.choice_of<nn::DriftCompensation>("study.compensation", study.compensation);
  study.draws = study_integer(config, "study.draws", study.draws, 1, 1000);
  study.images = study_integer(config, "study.images", study.images, 0, 100000000);
  study.layer_images = study_integer(config, "study.layer_images", study.layer_images, 1, 1000000);
  study.calibration_images =
      study_integer(config, "study.calibration_images", study.calibration_images, 1, 1000000);
  study.others_absent = config.choice("study.others", "absent", {"absent", "present"}) == "absent";
  study.a_star = config.number("study.a_star", study.a_star, 0.01, 0.9999);
  study.most_factor = config.number("study.most_factor", study.most_factor, 1.0, 1e6);
  study.error_lsb = config.number("study.error_lsb", study.error_lsb, 1e-6, 1e6);
  study.confirm_images = study_integer(config, "study.confirm_images", study.confirm_images, 0, 100000);
  read_budget_table(config, study);
  config.finish();
  return study;
}

Results write_budget_study(const BudgetStudy& study, const BudgetOutcome& outcome,
                           const std::filesystem::path& folder) {
  require_writable_folder(folder);
  Results results;
  results.title = study.title;
  results.put(Headline{"accuracy", fmt::format("{:.2f} %", 100.0 * outcome.budget.front().accuracy),
                       fmt::format("digital {:.2f} %, A* {:.3f}", 100.0 * outcome.digital_accuracy,
                                   outcome.budget.front().a_star)});
  if (!outcome.growth.empty())
    results.put(Headline{"most sensitive to", effect_name(outcome.growth.front().effect),
                         "may grow by a factor of " + factor_text(outcome.growth.front().root)});
  for (const Limit& limit : outcome.limits)
    results.put(Headline{"largest " + limit.what + " for " + limit.target, fmt::format("{:.3g}", limit.value),
                         limit.verdict});
  results.put(budget_table(study, outcome));
  Table growth = growth_table(study, outcome);
  growth.caption += " " + ranking_text(outcome);
  results.put(growth);
  if (!outcome.limits.empty()) results.put(limit_table(outcome));
  if (!outcome.trade.empty()) results.put(trade_table(outcome));
  write_results(folder / "results.json", results);
  write_text_atomically(folder / "budget.csv", budget_csv(outcome));
  write_budget_h5(folder / "budget.h5", study, outcome);
  write_line_chart(folder / "budget.svg", growth_chart(study, outcome));
  record_study_results(folder, {"results.json", "budget.csv", "budget.h5", "budget.svg"});
  return results;
}

}  // namespace crosstile::validation
