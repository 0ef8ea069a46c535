#include "validation/design_files.hpp"

#include <fmt/core.h>

#include <nlohmann/json.hpp>

#include "core/error.hpp"
#include "core/files.hpp"
#include "data/config.hpp"
#include "data/hdf5_file.hpp"

namespace crosstile::validation {

namespace {

using Json = nlohmann::ordered_json;

fs::path worst_path(const fs::path& folder, Index point, const char* extension) {
  return folder / "points" / fmt::format("worst-{:06}{}", point, extension);
}

// As `solve` reads it: conductances, codes and both charges in one file, the tile in another.
void write_worst(const fs::path& folder, Index index, const DesignCase& done) {
  data::Hdf5Writer out("worst-vector", 1);
  out.matrix("g_plus_siemens", done.g_plus_siemens, "siemens");
  if (done.g_minus_siemens.size() > 0) out.matrix("g_minus_siemens", done.g_minus_siemens, "siemens");
  out.integers("codes", done.codes.transpose(), "1");
  out.matrix("circuit_plus_coulomb", done.circuit_plus.transpose(), "coulomb");
  out.matrix("fast_plus_coulomb", done.fast_plus.transpose(), "coulomb");
  if (done.circuit_minus.size() > 0) {
    out.matrix("circuit_minus_coulomb", done.circuit_minus.transpose(), "coulomb");
    out.matrix("fast_minus_coulomb", done.fast_minus.transpose(), "coulomb");
  }
  data::TileSpec tile = done.tile;
  tile.adc.enabled = false;  // the charges of a comparison are those before the converters
  out.text("tile_toml", data::tile_to_toml(tile));
  out.write(worst_path(folder, index, ".h5"));
  write_text_atomically(worst_path(folder, index, ".toml"), data::tile_to_toml(tile));
}

}  // namespace

const std::vector<DesignFigure>& design_figures() {
  using R = DesignResult;
  static const std::vector<DesignFigure> figures{{"rows", "1", &R::rows},
                                                 {"cols", "1", &R::cols},
                                                 {"compared_vectors", "1", &R::compared_vectors},
                                                 {"fit_vectors", "1", &R::fit_vectors},
                                                 {"rms_lsb", "LSB", &R::rms_lsb},
                                                 {"quantile_99_lsb", "LSB", &R::quantile_99_lsb},
                                                 {"quantile_999_lsb", "LSB", &R::quantile_999_lsb},
                                                 {"max_lsb", "LSB", &R::max_lsb},
                                                 {"bias_lsb", "LSB", &R::bias_lsb},
                                                 {"rms_relative", "1", &R::rms_relative},
                                                 {"differential_relative", "1", &R::differential_relative},
                                                 {"linear_map_lsb", "LSB", &R::linear_map_lsb},
                                                 {"ideal_lsb", "LSB", &R::ideal_lsb},
                                                 {"mean_loss", "1", &R::mean_loss},
                                                 {"worst_vector", "index", &R::worst_vector},
                                                 {"worst_column", "index", &R::worst_column},
                                                 {"worst_is_minus", "1", &R::worst_is_minus},
                                                 {"circuit_joule", "joule", &R::circuit_joule},
                                                 {"fast_joule", "joule", &R::fast_joule},
                                                 {"product_joule", "joule", &R::product_joule},
                                                 {"latency_s", "second", &R::latency_s},
                                                 {"ngspice_lsb", "LSB", &R::ngspice_lsb},
                                                 {"fast_ngspice_lsb", "LSB", &R::fast_ngspice_lsb},
                                                 {"stored_lsb", "LSB", &R::stored_lsb},
                                                 {"circuit_seconds", "second", &R::circuit_seconds, true},
                                                 {"fast_seconds", "second", &R::fast_seconds, true},
                                                 {"setup_seconds", "second", &R::setup_seconds, true},
                                                 {"speed_up", "1", &R::speed_up, true},
                                                 {"point_seconds", "second", &R::point_seconds, true}};
  return figures;
}

void claim_design_folder(const Design& design, const std::filesystem::path& folder) {
  require_writable_folder(folder / "points");
  const fs::path mark = folder / "design.fingerprint";
  if (!path_exists(mark)) return write_text_atomically(mark, design.fingerprint + "\n");
  if (read_text(mark) != design.fingerprint + "\n")
    throw Error(ErrorKind::usage,
                folder.string() + " holds another design (other points); choose another folder or delete it");
}

std::filesystem::path design_point_path(const std::filesystem::path& folder, Index point) {
  return folder / "points" / fmt::format("point-{:06}.json", point);
}

void write_design_point(const std::filesystem::path& folder, Index index, const DesignPoint& point,
                        const DesignCase& done) {
  if (done.result.failure.empty()) write_worst(folder, index, done);
  Json json{{"name", point.name},
            {"failure", done.result.failure},
            {"form", done.result.form},
            {"method", done.result.method}};
  for (const auto& figure : design_figures())
    if (done.result.*figure.field) json[figure.name] = *(done.result.*figure.field);
  write_text_atomically(design_point_path(folder, index),
                        json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
}

DesignResult read_design_point(const std::filesystem::path& folder, Index point) {
  const fs::path path = design_point_path(folder, point);
  try {
    const auto json = Json::parse(read_text(path));
    DesignResult result;
    json.at("failure").get_to(result.failure);
    json.at("form").get_to(result.form);
    json.at("method").get_to(result.method);
    for (const auto& figure : design_figures())
      if (json.contains(figure.name)) result.*figure.field = json.at(figure.name).get<double>();
    if (result.failure.empty()) static_cast<void>(json.at("rms_lsb").get<double>());
    return result;
  } catch (const nlohmann::json::exception& error) {
    throw Error(ErrorKind::bad_data,
                path.string() + " is damaged (" + error.what() + "); delete it to compute this point again");
  }
}

}  // namespace crosstile::validation
