#include <cmath>

#include "circuit/circuit.hpp"
#include "core/error.hpp"

namespace crosstile::circuit {

namespace {

void check_conductances(const data::TileSpec& tile, const Matrix& g, const char* name) {
  if (g.rows() != tile.rows || g.cols() != tile.cols)
    throw Error(ErrorKind::usage, std::string(name) + " is " + std::to_string(g.rows()) + " x " + std::to_string(g.cols()) +
                                      "; the tile is " + std::to_string(tile.rows) + " x " + std::to_string(tile.cols));
  for (Index i = 0; i < g.rows(); ++i)
    for (Index j = 0; j < g.cols(); ++j)
      if (!std::isfinite(g(i, j)) || g(i, j) < 0.0 || g(i, j) > 1.0)
        throw_out_of_range(std::string(name) + " (row " + std::to_string(i) + ", column " + std::to_string(j) + ")", g(i, j),
                           "allowed: 0 to 1 siemens");
}

void order_columns(Crossbar& crossbar) {
  const data::TileSpec& tile = crossbar.tile;
  for (Index j = 0; j < tile.cols; ++j)
    if (!tile.sensed_north(j)) crossbar.column_order.push_back(j);
  crossbar.south_columns = static_cast<Index>(crossbar.column_order.size());
  for (Index j = 0; j < tile.cols; ++j)
    if (tile.sensed_north(j)) crossbar.column_order.push_back(j);
}

}  // namespace

std::string to_text(Status status) {
  switch (status) {
    case Status::ok: return "ok";
    case Status::not_converged: return "not converged";
    case Status::not_settled: return "not settled";
  }
  return "?";
}

Crossbar::Crossbar(const data::TileSpec& spec, const Matrix& g_siemens) : tile(spec) {
  tile.validate();
  if (tile.drive == data::Drive::bipolar)
    throw Error(ErrorKind::usage, "drive \"bipolar\" needs the conductances of both devices of each pair (G+ and G-)");
  check_conductances(tile, g_siemens, "conductances");
  conductance_siemens = g_siemens.array();
  order_columns(*this);
}

Crossbar::Crossbar(const data::TileSpec& spec, const Matrix& g_siemens, const Matrix& g_minus_siemens) : tile(spec), lines_per_row(2) {
  tile.validate();
  if (tile.drive != data::Drive::bipolar)
    throw Error(ErrorKind::usage, "only drive \"bipolar\" puts G+ and G- on one bit line; for pair-columns solve two crossbars");
  check_conductances(tile, g_siemens, "conductances");
  check_conductances(tile, g_minus_siemens, "conductances-minus");
  conductance_siemens.resize(2 * tile.rows, tile.cols);
  for (Index i = 0; i < tile.rows; ++i) {
    conductance_siemens.row(2 * i) = g_siemens.row(i).array();
    conductance_siemens.row(2 * i + 1) = g_minus_siemens.row(i).array();
  }
  order_columns(*this);
}

void PowerBudget::add(const PowerBudget& other, double factor) {
  source += factor * other.source;
  cells += factor * other.cells;
  row_wires += factor * other.row_wires;
  column_wires += factor * other.column_wires;
  drivers += factor * other.drivers;
  senses += factor * other.senses;
}

}  // namespace crosstile::circuit
