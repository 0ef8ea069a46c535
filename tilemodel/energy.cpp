#include "tilemodel/energy.hpp"

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "core/error.hpp"
#include "data/pulse.hpp"
#include "tilemodel/row_wires.hpp"

namespace crosstile::tilemodel {

namespace {

void require_not_negative(const char* field, double value) {
  require_in_range(std::string("energy.") + field, value, 0.0, std::numeric_limits<double>::max());
}

// A pass by itself: its codes in one window, without a sign.
data::TileSpec one_pass_tile(data::TileSpec tile) {
  tile.pulse.passes = data::Passes::conventional;
  return tile;
}

bool all_rows_at_one_voltage(const data::TileSpec& tile) {
  return tile.drive == data::Drive::gated && tile.pulse.sign == data::SignMode::two_phase;
}

void check_conductances(const data::TileSpec& tile, const Matrix& g) {
  if (g.rows() != tile.rows || g.cols() != tile.cols)
    throw Error(ErrorKind::usage, "g_siemens is " + std::to_string(g.rows()) + " x " +
                                      std::to_string(g.cols()) + "; the tile is " +
                                      std::to_string(tile.rows) + " x " + std::to_string(tile.cols));
  for (Index i = 0; i < g.rows(); ++i)
    for (Index j = 0; j < g.cols(); ++j)
      if (!std::isfinite(g(i, j)) || g(i, j) < 0.0)
        throw_out_of_range("g_siemens(" + std::to_string(i) + ", " + std::to_string(j) + ")", g(i, j),
                           "allowed: 0 or more siemens");
}

}  // namespace

void EnergyModel::validate() const {
  require_not_negative("row_driver_joule", row_driver_joule);
  require_not_negative("conversion_joule", conversion_joule);
  require_not_negative("conversion_s", conversion_s);
  if (cell_joule) require_not_negative("cell_joule", *cell_joule);
}

double sar_conversion_joule(int bits, double supply_volt) {
  require_in_range("converter bits", bits, 1, 16);
  require_in_range("converter supply_volt", supply_volt, 0.0, 100.0);
  return (100e-15 * bits + 0.001e-15 * std::pow(4.0, bits)) * supply_volt * supply_volt;
}

Vector ProductEnergy::total_joule() const {
  return array_joule + wire_charging_joule + row_driver_joule + conversion_joule;
}

// The passes of a batch, one row each, empty ones left out.
struct EnergyMeter::Passes {
  IntMatrix codes;
  std::vector<Index> vector;  // of the batch
  std::vector<double> window_s;
  Index count() const { return codes.rows(); }
};

EnergyMeter::EnergyMeter(const ModelSpec& spec, const data::TileSpec& tile, const Matrix& g_siemens,
                         const EnergyModel& model)
    : tile_((tile.validate(), tile)), model_((model.validate(), model)) {
  check_conductances(tile_, g_siemens);
  const Matrix g = cell_conductance(tile_, g_siemens);
  row_siemens_ = g.rowwise().sum();
  if (!all_rows_at_one_voltage(tile_)) return;
  pass_model_.emplace(spec, one_pass_tile(tile_), g_siemens);
  cell_siemens_ = g;
}

EnergyMeter::Passes EnergyMeter::passes_of(const IntMatrix& codes) const {
  if (codes.cols() != tile_.rows)
    throw Error(ErrorKind::usage, "codes have " + std::to_string(codes.cols()) +
                                      " rows of the tile in each vector; the tile has " +
                                      std::to_string(tile_.rows));
  Passes out;
  std::vector<IntVector> lists;
  for (Index v = 0; v < codes.rows(); ++v)
    for (data::Pass& pass : data::make_passes(IntVector(codes.row(v).transpose()), tile_)) {
      lists.push_back(std::move(pass.codes));
      out.vector.push_back(v);
      out.window_s.push_back(pass.window_s);
    }
  out.codes.resize(static_cast<Index>(lists.size()), tile_.rows);
  for (std::size_t p = 0; p < lists.size(); ++p) out.codes.row(static_cast<Index>(p)) = lists[p].transpose();
  return out;
}

void EnergyMeter::add_array(const Passes& passes, Workspace& workspace, ProductEnergy& out) const {
  const double volt = tile_.v_read_volt, charge_unit = volt * tile_.pulse.t_lsb_s;
  const Matrix length = passes.codes.cwiseAbs().cast<double>();
  if (!pass_model_) {
    const Vector lossless = volt * charge_unit * (length * row_siemens_);
    for (Index p = 0; p < passes.count(); ++p)
      out.array_joule[passes.vector[static_cast<std::size_t>(p)]] += lossless[p];
    out.cells_joule = out.array_joule;
    return;
  }
  Matrix charge;
  pass_model_->charge(passes.codes, charge, workspace);
  const Matrix lossless = charge_unit * (length * cell_siemens_);
  for (Index p = 0; p < passes.count(); ++p) {
    const auto q = charge.row(p).array();
    const auto most = lossless.row(p).array();
    const Index v = passes.vector[static_cast<std::size_t>(p)];
    out.array_joule[v] += volt * q.sum();
    out.cells_joule[v] += volt * (most > 0.0).select(q.square() / most, 0.0).sum();
  }
}

ProductEnergy EnergyMeter::energy(const IntMatrix& codes, Workspace& workspace) const {
  const Passes passes = passes_of(codes);
  ProductEnergy out;
  for (Vector* part : {&out.array_joule, &out.cells_joule, &out.wire_charging_joule, &out.row_driver_joule,
                       &out.conversion_joule, &out.latency_s})
    part->setZero(codes.rows());
  if (model_.cell_joule)
    out.array_joule.setConstant(*model_.cell_joule * static_cast<double>(tile_.rows * tile_.cols));
  else
    add_array(passes, workspace, out);
  if (model_.cell_joule) out.cells_joule = out.array_joule;
  const double lines = tile_.drive == data::Drive::gated     ? 0.0
                       : tile_.drive == data::Drive::bipolar ? 2.0
                                                             : 1.0;
  const double pulse_joule =
      lines * static_cast<double>(tile_.cols) * tile_.c_row_farad * tile_.v_read_volt * tile_.v_read_volt;
  for (Index p = 0; p < passes.count(); ++p) {
    const Index v = passes.vector[static_cast<std::size_t>(p)];
    const auto pulses = static_cast<double>((passes.codes.row(p).array() != 0).count());
    out.wire_charging_joule[v] += pulses * pulse_joule;
    out.row_driver_joule[v] += pulses * model_.row_driver_joule;
    out.conversion_joule[v] += static_cast<double>(tile_.cols) * model_.conversion_joule;
    out.latency_s[v] += passes.window_s[static_cast<std::size_t>(p)] + model_.conversion_s;
  }
  return out;
}

Vector EnergyMeter::column_wire_joule(const IntMatrix& codes, Workspace& workspace) const {
  if (!pass_model_ || !tile_.ideal_supply())
    throw Error(ErrorKind::usage,
                "column_wire_joule needs drive \"gated\", pulse.sign \"two-phase\", r_row_ohm = 0 and "
                "r_driver_ohm = 0");
  const Passes passes = passes_of(codes);
  const Matrix ones = Matrix::Ones(1, tile_.cols);
  Vector out = Vector::Zero(codes.rows());
  Gradient gradient;
  for (Index p = 0; p < passes.count(); ++p) {
    pass_model_->gradient(Matrix(passes.codes.row(p).cast<double>()), ones, gradient, workspace);
    out[passes.vector[static_cast<std::size_t>(p)]] -=
        tile_.v_read_volt * (tile_.r_col_ohm * gradient.r_col_ohm + tile_.r_sense_ohm * gradient.r_sense_ohm);
  }
  return out;
}

ProductEnergy energy_per_product(const ModelSpec& spec, const data::TileSpec& tile, const Matrix& g_siemens,
                                 const IntMatrix& codes, const EnergyModel& model) {
  Workspace workspace;
  return EnergyMeter(spec, tile, g_siemens, model).energy(codes, workspace);
}

}  // namespace crosstile::tilemodel
