#include "tilemodel/model.hpp"

#include <cmath>
#include <numeric>
#include <string>

#include "core/error.hpp"
#include "tilemodel/model_impl.hpp"
#include "tilemodel/row_wires.hpp"

namespace crosstile::tilemodel {

namespace {

// Fall of the tangent along a column beyond which its squares leave float32 (some 100 ohm with every cell on): such
// tiles, far outside the closure's validity, take the double-precision kernel.
constexpr double kLargestFloatRatio = 1e12;

std::vector<ColumnGroup> sense_groups(const data::TileSpec& tile) {
  std::vector<ColumnGroup> groups;
  for (const bool north : {false, true}) {
    ColumnGroup group{north, {}};
    for (Index j = 0; j < tile.cols; ++j)
      if (tile.sensed_north(j) == north) group.columns.push_back(j);
    if (!group.columns.empty()) groups.push_back(std::move(group));
  }
  return groups;
}

std::string shape_text(const Matrix& m) {
  return std::to_string(m.rows()) + " x " + std::to_string(m.cols());
}

void check_matrix(const char* name, const Matrix& m, const data::TileSpec& tile, bool may_be_negative) {
  if (m.rows() != tile.rows || m.cols() != tile.cols)
    throw Error(ErrorKind::usage, std::string(name) + " is " + shape_text(m) + "; the tile is " +
                                      std::to_string(tile.rows) + " x " + std::to_string(tile.cols));
  for (Index i = 0; i < m.rows(); ++i)
    for (Index j = 0; j < m.cols(); ++j)
      if (!std::isfinite(m(i, j)) || (!may_be_negative && m(i, j) < 0.0))
        throw_out_of_range(std::string(name) + "(" + std::to_string(i) + ", " + std::to_string(j) + ")",
                           m(i, j),
                           may_be_negative ? "allowed: finite siemens" : "allowed: 0 or more siemens");
}

// Why a form does not fit a tile; empty when it does.
std::string objection(Form form, const data::TileSpec& tile) {
  const std::string drive(data::to_name(tile.drive));
  if (form == Form::effective && !tile.is_linear())
    return tile.drive == data::Drive::gated
               ? "form \"effective\" needs a linear drive; the tile is gated"
               : "form \"effective\" needs ohmic cells; the tile's cell law is sinh";
  if (form != Form::ideal && form != Form::effective && tile.drive != data::Drive::gated)
    return "forms \"ladder\", \"binned\", \"closure\" and \"calibrated\" need drive \"gated\"; the tile's drive is \"" + drive +
           (tile.is_linear() ? "\", for which form \"effective\" is exact"
                             : "\" with sinh cells, which load the column when idle");
  if (is_closure(form) && tile.pulse.sign != data::SignMode::two_phase)
    return "forms \"closure\" and \"calibrated\" need pulse.sign = \"two-phase\"; with \"bipolar\" use \"ladder\" or \"binned\"";
  return {};
}

}  // namespace

Workspace::Workspace() : impl_(std::make_unique<Impl>()) {}
Workspace::~Workspace() = default;
Workspace::Workspace(Workspace&&) noexcept = default;
Workspace& Workspace::operator=(Workspace&&) noexcept = default;

TileModel::Impl::Impl(const ModelSpec& model_spec, const data::TileSpec& tile_spec, const Matrix& g_siemens,
                      const Matrix* w_eff_siemens)
    : spec(model_spec), tile(tile_spec), passes((tile_spec.validate(), tile_spec)) {
  if (const std::string text = objection(spec.form, tile); !text.empty()) throw Error(ErrorKind::usage, text);
  if ((spec.form == Form::effective) != (w_eff_siemens != nullptr))
    throw Error(ErrorKind::usage, w_eff_siemens ? "an effective matrix goes with form \"effective\" only"
                                                : "form \"effective\" needs the effective matrix");
  check_matrix("g_siemens", g_siemens, tile, tile.drive == data::Drive::bipolar);
  if (const Index n = spec.correction.coefficients.size(); n != 0 && n != kFeatureCount)
    throw_out_of_range("correction.coefficients: length", static_cast<double>(n),
                       "allowed: 0 or " + std::to_string(kFeatureCount));
  for (Index f = 0; f < spec.correction.coefficients.size(); ++f)
    require_in_range("correction.coefficients: " + std::string(kFeatureNames[static_cast<std::size_t>(f)]),
                     spec.correction.coefficients[f], -1e6, 1e6);

  if (spec.form == Form::effective) {
    check_matrix("w_eff_siemens", *w_eff_siemens, tile, true);
    groups.push_back(product_group(*w_eff_siemens));
    return;
  }
  if (spec.form == Form::ideal) {
    data::TileSpec no_selector = tile;
    no_selector.selector.r_on_ohm = 0.0;
    no_selector.selector.kind = data::SelectorKind::resistor;
    groups.push_back(product_group(
        tile.cell.law == data::CellLaw::ohmic ? g_siemens : cell_conductance(no_selector, g_siemens)));
    if (tile.cell.law != data::CellLaw::ohmic) g_scale = cell_conductance_slope(no_selector, g_siemens);
    return;
  }
  if (spec.form == Form::binned) {
    require_in_range("segments", spec.segments, 1, kMostSegments);
    require_in_range("time_bins", spec.time_bins, 1, kMostTimeBins);
  }
  if (is_closure(spec.form)) {
    require_in_range("block_rows", spec.block_rows, 1, kMostBlockRows);
    require_in_range("closure_bins", spec.closure_bins, 1, kMostClosureBins);
    require_in_range("references", spec.references, 0, kMostReferences);
  }
  if (spec.form == Form::calibrated) use_calibration();
  const Matrix g = cell_conductance(tile, g_siemens);
  const Matrix p = row_wire_factor(tile, g);
  const bool plain_cells = tile.ohmic_cells() && tile.selector.kind == data::SelectorKind::resistor &&
                           tile.selector.r_on_ohm == 0.0;
  if (!plain_cells) g_scale = cell_conductance_slope(tile, g_siemens);
  if (spec.row_wire_factor && !tile.ideal_supply())
    g_scale = plain_cells ? p : Matrix(g_scale.cwiseProduct(p));
  const std::vector<ColumnGroup> ends = sense_groups(tile);
  std::optional<MeshLoad> load;
  if (is_closure(spec.form) && spec.mesh_load && spec.row_wire_factor && !tile.ideal_supply())
    load.emplace(tile, ends, g, p);
  for (const ColumnGroup& end : ends) groups.push_back(wired_group(end, g, p, load ? &*load : nullptr));
  const bool column_wire = tile.r_col_ohm > 0.0 || tile.r_sense_ohm > 0.0;
  if (!tile.ideal_supply() && column_wire && spec.row_wire_factor && !passes.signed_drive())
    mesh.emplace(tile, ends, g, p);
}

void TileModel::Impl::use_calibration() {
  const auto& factor = spec.calibration.factor;
  if (spec.correction.coefficients.size() != 0)
    throw Error(ErrorKind::usage, "form \"calibrated\" has a calibration, not a correction");
  for (std::size_t f = 0; f < factor.size(); ++f)
    require_in_range("calibration." + std::string(kCalibrationNames[f]), factor[f], 0.01, 100.0);
  tile.r_col_ohm *= factor[kColumnWireFactor];
  tile.r_sense_ohm *= factor[kColumnWireFactor];
  tile.r_row_ohm *= factor[kRowWireFactor];
  tile.r_driver_ohm *= factor[kRowWireFactor];
}

Group TileModel::Impl::product_group(const Matrix& weights) const {
  ColumnGroup all{false, std::vector<Index>(static_cast<std::size_t>(tile.cols))};
  std::iota(all.columns.begin(), all.columns.end(), Index{0});
  Panels panels(weights, all.columns);
  Group group{std::move(all), std::move(panels), std::nullopt, {}, {}, std::nullopt, {}};
  if (spec.arithmetic != Arithmetic::float64 && spec.correction.coefficients.size() == 0)
    group.fast_product.emplace(weights, charge_unit());
  group.position = tile.cols > 1 ? Vector(Vector::LinSpaced(tile.cols, -0.5, 0.5)) : Vector(Vector::Zero(1));
  return group;
}

Group TileModel::Impl::wired_group(const ColumnGroup& columns, const Matrix& g, const Matrix& p,
                                   const MeshLoad* load) const {
  const ColumnWire wire(tile);
  const Matrix used = spec.row_wire_factor ? Matrix(g.cwiseProduct(p)) : g;
  Panels panels(used, columns.columns, columns.north);
  Group group{columns, Panels(),     std::nullopt, {},
              panels,  std::nullopt, Vector(static_cast<Index>(columns.columns.size()))};
  if (spec.form == Form::ladder) {
    const Ladder& ladder = group.kernel.emplace<Ladder>(wire, std::move(panels));
    if (spec.in_float32() && !passes.signed_drive() && LadderFast::fits(ladder))
      group.fast_ladder.emplace(ladder);
  } else if (is_closure(spec.form)) {
    const Closure::Settings settings{spec.block_rows, spec.closure_bins, spec.references,
                                     factor(kMeshFactor)};
    const Closure& closure = group.kernel.emplace<Closure>(wire, used, columns, load, settings);
    if (spec.in_float32() && closure.largest_ratio() < kLargestFloatRatio) {
      group.fast.emplace(closure);
      group.runs = column_runs(group.fast->columns(), columns.columns);
    }
  } else
    group.kernel.emplace<BinnedLadder>(wire, used, columns, spec.segments, spec.time_bins);
  if (!tile.ideal_supply()) group.row_lost.emplace(g - g.cwiseProduct(p), columns.columns, columns.north);
  for (Index c = 0; c < group.position.size(); ++c)
    group.position[c] = tile.cols > 1 ? static_cast<double>(columns.columns[static_cast<std::size_t>(c)]) /
                                                static_cast<double>(tile.cols - 1) -
                                            0.5
                                      : 0.0;
  return group;
}

TileModel::TileModel(const ModelSpec& spec, const data::TileSpec& tile, const Matrix& g_siemens)
    : impl_(std::make_unique<Impl>(spec, tile, g_siemens, nullptr)) {}
TileModel::TileModel(const ModelSpec& spec, const data::TileSpec& tile, const Matrix& g_siemens,
                     const Matrix& w_eff_siemens)
    : impl_(std::make_unique<Impl>(spec, tile, g_siemens, &w_eff_siemens)) {}
TileModel::~TileModel() = default;
TileModel::TileModel(TileModel&&) noexcept = default;
TileModel& TileModel::operator=(TileModel&&) noexcept = default;

Index TileModel::rows() const {
  return impl_->tile.rows;
}
Index TileModel::cols() const {
  return impl_->tile.cols;
}

void TileModel::charge(const IntMatrix& codes, Matrix& charge_coulomb) const {
  Workspace workspace;
  charge(codes, charge_coulomb, workspace);
}

void TileModel::charge(const IntMatrix& codes, Matrix& charge_coulomb, Workspace& workspace) const {
  if (impl_->is_fast()) return impl_->evaluate_fast(codes, *workspace.impl_, charge_coulomb);
  impl_->evaluate(codes, *workspace.impl_, charge_coulomb, nullptr);
}

void TileModel::charge(const IntMatrix& codes, MatrixF& charge_coulomb, Workspace& workspace) const {
  if (impl_->is_fast()) return impl_->evaluate_fast(codes, *workspace.impl_, charge_coulomb);
  if (const auto& product = impl_->groups[0].fast_product) {
    impl_->check_codes(codes);
    return product->charge(codes, workspace.impl_->fast_product, charge_coulomb);
  }
  impl_->evaluate(codes, *workspace.impl_, workspace.impl_->charge, nullptr);
  charge_coulomb = workspace.impl_->charge.cast<float>();
}

void TileModel::charge_continuous(const Matrix& codes, Matrix& charge_coulomb, Workspace& workspace) const {
  if (impl_->is_fast()) return impl_->evaluate_fast(codes, *workspace.impl_, charge_coulomb);
  impl_->evaluate(codes, *workspace.impl_, charge_coulomb, nullptr);
}

void TileModel::gradient(const Matrix& codes, const Matrix& charge_gradient, Gradient& out,
                         Workspace& workspace, const GradientOptions& options) const {
  impl_->gradient(codes, charge_gradient, options, *workspace.impl_, out);
}

void TileModel::gradient(const MatrixF& codes, const MatrixF& charge_gradient, GradientF& out,
                         Workspace& workspace, const GradientOptions& options) const {
  impl_->gradient(codes, charge_gradient, options, *workspace.impl_, out);
}

void TileModel::base_and_features(const IntMatrix& codes, Matrix& base_coulomb,
                                  std::vector<Matrix>& features_coulomb) const {
  features_coulomb.assign(static_cast<std::size_t>(kFeatureCount), Matrix::Zero(codes.rows(), cols()));
  Workspace workspace;
  impl_->evaluate(codes, *workspace.impl_, base_coulomb, &features_coulomb);
}

}  // namespace crosstile::tilemodel
