// A comparison as JSON, HDF5 and table.
#include <nlohmann/json.hpp>

#include "data/hdf5_file.hpp"
#include "validation/compare.hpp"

namespace crosstile::validation {

namespace {

using Json = nlohmann::ordered_json;

Json to_object(const ErrorMetrics& m) {
  return {{"rms_lsb", m.rms_lsb},   {"quantile_999_lsb", m.quantile_999_lsb}, {"max_lsb", m.max_lsb},
          {"bias_lsb", m.bias_lsb}, {"rms_relative", m.rms_relative},         {"count", m.count}};
}

Json to_object(const Timing& t) {
  Json out = {{"fast_seconds_per_vector", t.fast_seconds_per_vector},
              {"setup_seconds_per_draw", t.setup_seconds_per_draw},
              {"repetitions", t.repetitions}};
  if (t.circuit_seconds_per_vector) out["circuit_seconds_per_vector"] = *t.circuit_seconds_per_vector;
  if (t.speed_up) out["speed_up"] = *t.speed_up;
  return out;
}

Json summary(const Comparison& c) {
  Json competitors = Json::array();
  for (const Competitor& one : c.competitors)
    competitors.push_back({{"key", one.key},
                           {"name", one.name},
                           {"bit_line", to_object(one.bit_line)},
                           {"differential", to_object(one.differential)}});
  return {{"model_name", c.model_name},
          {"rows", c.rows},
          {"cols", c.cols},
          {"fit_vectors", c.fit_vectors},
          {"compared_vectors", c.vectors.size()},
          {"held_out_only", c.held_out_only},
          {"note", c.note},
          {"lsb_coulomb", c.scale.lsb_coulomb},
          {"differential_rms_coulomb", c.scale.differential_rms_coulomb},
          {"ir_drop", {{"mean_loss", c.ir_drop.mean_loss}, {"max_loss", c.ir_drop.max_loss}}},
          {"timing", to_object(c.timing)},
          {"worst",
           {{"vector", c.worst_vector},
            {"column", c.worst_column},
            {"array", c.worst_is_minus ? "minus" : "plus"}}},
          {"competitors", competitors}};
}

}  // namespace

std::string to_json(const Comparison& comparison) {
  return summary(comparison).dump(2);
}

void write_comparison(const std::filesystem::path& path, const Comparison& comparison) {
  data::Hdf5Writer out("comparison", 1);
  out.text("summary_json", summary(comparison).dump());
  out.text("table_json", to_json(comparison_table(comparison)));
  IntMatrix vectors(static_cast<Index>(comparison.vectors.size()), 1);
  for (Index k = 0; k < vectors.rows(); ++k)
    vectors(k, 0) = static_cast<int>(comparison.vectors[static_cast<std::size_t>(k)]);
  out.integers("vectors", vectors, "1");
  const bool has_minus = comparison.full.minus.size() > 0;
  out.matrix("full/charge_plus_coulomb", comparison.full.plus, "C");
  if (has_minus) out.matrix("full/charge_minus_coulomb", comparison.full.minus, "C");
  out.vector("error_edges_lsb", comparison.fast().error.edges, "LSB");
  for (const Competitor& one : comparison.competitors) {
    out.matrix(one.key + "/charge_plus_coulomb", one.charge.plus, "C");
    if (has_minus) out.matrix(one.key + "/charge_minus_coulomb", one.charge.minus, "C");
    out.vector(one.key + "/error_counts", one.error.counts, "1");
  }
  out.write(path);
}

Table comparison_table(const Comparison& comparison) {
  Table table;
  table.title = "Error against the full circuit";
  table.section = "comparison";
  table.columns = {"model",
                   "RMS (LSB)",
                   "99.9 % (LSB)",
                   "max (LSB)",
                   "bias (LSB)",
                   "RMS (% of the RMS of G+ − G−)",
                   "RMS error of G+ − G− (% of its RMS)"};
  for (const Competitor& one : comparison.competitors)
    table.rows.push_back({one.name, one.bit_line.rms_lsb, one.bit_line.quantile_999_lsb, one.bit_line.max_lsb,
                          one.bit_line.bias_lsb, 100.0 * one.bit_line.rms_relative,
                          100.0 * one.differential.rms_relative});
  table.caption = std::to_string(comparison.vectors.size()) + (comparison.held_out_only ? " held-out" : "") +
                  " vectors, " + std::to_string(comparison.cols) +
                  " columns; single bit lines, 1 LSB = 99.9 % quantile of the bit-line charges / 255. "
                  "Baselines fitted to " +
                  std::to_string(comparison.fit_vectors) + " other vectors.";
  if (!comparison.note.empty()) table.caption += " " + comparison.note;
  return table;
}

}  // namespace crosstile::validation
