#include "tilemodel/model_file.hpp"

#include <cmath>

#include "core/error.hpp"
#include "data/config.hpp"
#include "data/hdf5_file.hpp"

namespace crosstile::tilemodel {

namespace {

constexpr const char* kKind = "tile-model";
constexpr int kVersion = 1;

struct NamedFigures {
  const char* name;
  ErrorFigures FitReport::*figures;
};
constexpr NamedFigures kFigures[] = {{"error/fit_before", &FitReport::fit_before},
                                     {"error/fit_after", &FitReport::fit_after},
                                     {"error/held_out_before", &FitReport::held_out_before},
                                     {"error/held_out_after", &FitReport::held_out_after},
                                     {"error/new_weights_before", &FitReport::new_weights_before},
                                     {"error/new_weights_after", &FitReport::new_weights_after}};
constexpr double kMostSamples = 1e15;  // of any count in the report
// Files of version 1 may lack these.
constexpr std::string_view kLaterFigures = "error/new_weights";

std::string joined_feature_names() {
  std::string text;
  for (const auto& name : kFeatureNames) text += (text.empty() ? "" : ",") + std::string(name);
  return text;
}

[[noreturn]] void fail(const std::filesystem::path& path, const std::string& what) {
  throw Error(ErrorKind::bad_data, path.string() + ": " + what);
}

Index to_whole(double value, const std::filesystem::path& path, const std::string& name, double low,
               double high) {
  if (!(value >= low && value <= high) || value != std::floor(value))
    fail(path, name + " = " + std::to_string(value) + " is not a whole number from " + std::to_string(low) +
                   " to " + std::to_string(high));
  return static_cast<Index>(value);
}

Index whole_number(const data::Hdf5Reader& file, const std::filesystem::path& path, const std::string& name,
                   double low, double high) {
  return to_whole(file.number(name), path, name, low, high);
}

ErrorFigures read_figures(const data::Hdf5Reader& file, const std::filesystem::path& path,
                          const std::string& name) {
  const Vector v = file.vector(name);
  if (v.size() != 5) fail(path, name + " has " + std::to_string(v.size()) + " numbers; expected 5");
  return {v[0], v[1], v[2], v[3], to_whole(v[4], path, name + ", samples", 0, kMostSamples)};
}

Correction read_correction(const data::Hdf5Reader& file, const std::filesystem::path& path) {
  if (!file.has("correction/coefficients")) return {};
  Correction correction{file.vector("correction/coefficients"), file.vector("correction/standard_errors")};
  for (const Vector* v : {&correction.coefficients, &correction.standard_errors})
    if (v->size() != kFeatureCount)
      fail(path, "correction has " + std::to_string(v->size()) + " numbers; expected " +
                     std::to_string(kFeatureCount));
  if (const std::string names = file.text("features"); names != joined_feature_names())
    fail(path, "features are \"" + names + "\"; this version knows \"" + joined_feature_names() + "\"");
  return correction;
}

// Files written before form closure existed do not have these.
void read_closure(const data::Hdf5Reader& file, const std::filesystem::path& path, ModelSpec& spec) {
  if (!file.has("block_rows")) return;
  spec.block_rows = static_cast<int>(whole_number(file, path, "block_rows", 1, kMostBlockRows));
  spec.closure_bins = static_cast<int>(whole_number(file, path, "closure_bins", 1, kMostClosureBins));
  spec.references = static_cast<int>(whole_number(file, path, "references", 0, kMostReferences));
  const std::string arithmetic = file.text("arithmetic");
  const auto known = data::from_name<Arithmetic>(arithmetic);
  if (!known) fail(path, "arithmetic = \"" + arithmetic + "\" is not known");
  spec.arithmetic = *known;
}

Calibration read_calibration(const data::Hdf5Reader& file, const std::filesystem::path& path) {
  const Vector factor = file.vector("calibration/factor"), error = file.vector("calibration/standard_error");
  Calibration calibration;
  const auto count = static_cast<Index>(kCalibrationNames.size());
  if (factor.size() != count || error.size() != count)
    fail(path, "calibration has " + std::to_string(factor.size()) + " factors and " +
                   std::to_string(error.size()) + " standard errors; expected " + std::to_string(count));
  for (std::size_t f = 0; f < kCalibrationNames.size(); ++f) {
    calibration.factor[f] = factor[static_cast<Index>(f)];
    calibration.standard_error[f] = error[static_cast<Index>(f)];
    if (!(calibration.factor[f] > 0.0 && calibration.factor[f] < 100.0))
      fail(path, "calibration/factor: " + std::string(kCalibrationNames[f]) + " = " +
                     std::to_string(calibration.factor[f]) + " is not between 0 and 100");
  }
  return calibration;
}

std::vector<ParameterRange> read_validity(const data::Hdf5Reader& file, const std::filesystem::path& path) {
  const Matrix bounds = file.matrix("validity");
  const std::string names = file.text("validity_names");
  std::vector<ParameterRange> list;
  std::size_t begin = 0;
  while (begin <= names.size()) {
    const std::size_t end = std::min(names.find(',', begin), names.size());
    const auto k = static_cast<Index>(list.size());
    if (k >= bounds.rows()) break;
    list.push_back({names.substr(begin, end - begin), bounds(k, 0), bounds(k, 1)});
    begin = end + 1;
  }
  if (static_cast<Index>(list.size()) != bounds.rows() || bounds.cols() != 2 || begin <= names.size())
    fail(path, "validity is " + std::to_string(bounds.rows()) + " x " + std::to_string(bounds.cols()) +
                   "; its names are \"" + names + "\"");
  return list;
}

}  // namespace

void write_model(const std::filesystem::path& path, const ModelSpec& spec, const data::TileSpec& tile,
                 const FitReport& report) {
  data::Hdf5Writer file(kKind, kVersion);
  file.text("form", std::string(form_name(spec.form)));
  file.number("segments", spec.segments);
  file.number("time_bins", spec.time_bins);
  file.number("block_rows", spec.block_rows);
  file.number("closure_bins", spec.closure_bins);
  file.number("references", spec.references);
  file.text("arithmetic", std::string(data::to_name(spec.arithmetic)));
  file.number("row_wire_factor", spec.row_wire_factor ? 1.0 : 0.0);
  file.number("mesh_load", spec.mesh_load ? 1.0 : 0.0);
  file.text("tile", data::tile_to_toml(tile));
  file.text("features", joined_feature_names());
  if (spec.correction.coefficients.size() != 0) {
    file.vector("correction/coefficients", spec.correction.coefficients, "1");
    file.vector("correction/standard_errors", spec.correction.standard_errors, "1");
  }
  if (spec.form == Form::calibrated) {
    const auto& c = spec.calibration;
    file.vector("calibration/factor", Eigen::Map<const Vector>(c.factor.data(), 4), "1");
    file.vector("calibration/standard_error", Eigen::Map<const Vector>(c.standard_error.data(), 4), "1");
  }
  file.number("lsb_coulomb", report.lsb_coulomb);
  file.number("fit_vectors", static_cast<double>(report.fit_vectors));
  file.number("held_out_vectors", static_cast<double>(report.held_out_vectors));
  for (const NamedFigures& named : kFigures) {
    const ErrorFigures& e = report.*named.figures;
    Vector v(5);
    v << e.rms_lsb, e.quantile_999_lsb, e.max_lsb, e.rms_relative, static_cast<double>(e.samples);
    file.vector(named.name, v, "LSB, LSB, LSB, 1, count");
  }
  Matrix bounds(static_cast<Index>(report.validity.size()), 2);
  std::string names;
  for (Index k = 0; k < bounds.rows(); ++k) {
    const ParameterRange& range = report.validity[static_cast<std::size_t>(k)];
    bounds.row(k) << range.low, range.high;
    names += (k == 0 ? "" : ",") + range.name;
  }
  file.matrix("validity", bounds, "as named");
  file.text("validity_names", names);
  file.write(path);
}

ModelFile read_model(const std::filesystem::path& path) {
  const data::Hdf5Reader file(path, kKind, kVersion);
  ModelFile model;
  const std::string form = file.text("form");
  const auto known = form_from_name(form);
  if (!known) fail(path, "form = \"" + form + "\" is not known");
  model.spec.form = *known;
  model.spec.segments = static_cast<int>(whole_number(file, path, "segments", 1, kMostSegments));
  model.spec.time_bins = static_cast<int>(whole_number(file, path, "time_bins", 1, kMostTimeBins));
  read_closure(file, path, model.spec);
  model.spec.row_wire_factor = whole_number(file, path, "row_wire_factor", 0, 1) == 1;
  if (file.has("mesh_load")) model.spec.mesh_load = whole_number(file, path, "mesh_load", 0, 1) == 1;
  model.spec.correction = read_correction(file, path);
  if (model.spec.form == Form::calibrated) model.spec.calibration = read_calibration(file, path);
  try {
    data::Config config = data::Config::from_text(file.text("tile"), path.string() + ", tile");
    model.tile = data::read_tile(config);
    config.finish();
    model.tile.validate();
  } catch (const Error& error) {
    fail(path, std::string("tile specification: ") + error.what());
  }
  model.report.tile = model.tile;
  model.report.lsb_coulomb = file.number("lsb_coulomb");
  model.report.fit_vectors = whole_number(file, path, "fit_vectors", 0, kMostSamples);
  model.report.held_out_vectors = whole_number(file, path, "held_out_vectors", 0, kMostSamples);
  for (const NamedFigures& named : kFigures)
    if (file.has(named.name) || !std::string_view(named.name).starts_with(kLaterFigures))
      model.report.*named.figures = read_figures(file, path, named.name);
  model.report.validity = read_validity(file, path);
  return model;
}

}  // namespace crosstile::tilemodel
