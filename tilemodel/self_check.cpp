#include "tilemodel/self_check.hpp"

#include <cmath>
#include <sstream>

#include "core/error.hpp"

namespace crosstile::tilemodel {

double distance_to_ladder(const ModelSpec& spec, const data::TileSpec& tile, const Matrix& g_siemens,
                          const IntMatrix& codes) {
  if (tile.drive != data::Drive::gated)
    throw Error(ErrorKind::usage, "a form can be checked against the ladder on a gated tile only; the tile's drive is \"" +
                                      std::string(data::to_name(tile.drive)) + "\"");
  ModelSpec own = spec, exact;
  own.calibration = {};  // what was fitted stands for more than the ladder knows
  own.correction = {};
  own.mesh_load = false;
  exact.form = Form::ladder;
  exact.row_wire_factor = spec.row_wire_factor;
  Matrix charge, expected;
  TileModel(own, tile, g_siemens).charge(codes, charge);
  TileModel(exact, tile, g_siemens).charge(codes, expected);
  const double largest = expected.size() > 0 ? expected.cwiseAbs().maxCoeff() : 0.0;
  if (!(largest > 0.0)) return 0.0;
  return (charge - expected).norm() / std::sqrt(static_cast<double>(charge.size())) / (largest / 255.0);
}

std::vector<std::string> warnings(const ModelSpec& spec, const data::TileSpec& tile, const Matrix& g_siemens,
                                  const IntMatrix& codes, double allowed_lsb) {
  const double distance = distance_to_ladder(spec, tile, g_siemens, codes);
  if (distance <= allowed_lsb) return {};
  std::ostringstream text;
  text.precision(3);
  text << "form \"" << form_name(spec.form) << "\" is " << distance << " LSB RMS from the exact ladder on these "
       << codes.rows() << " vectors (allowed: " << allowed_lsb << "); r_col " << tile.r_col_ohm
       << " ohm and the differences between columns are too much for it: more bins of time, more references, or form \"ladder\"";
  return {text.str()};
}

}  // namespace crosstile::tilemodel
