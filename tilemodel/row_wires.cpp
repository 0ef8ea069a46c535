#include "tilemodel/row_wires.hpp"

#include <algorithm>
#include <cmath>

#include "device/cell.hpp"

namespace crosstile::tilemodel {

namespace {

constexpr double kSmallestConductance = 1e-15;  // siemens; stands for 0 where a ratio to G is needed

// Conductances seen from the nodes of one row wire. Behind a wire, a conductance y appears as y / (1 + r y):
// no division by r, so r = 0 is an ordinary value, and nothing overflows.
struct WireView {
  Vector east;  // cols; from node j along the wire to the east, without the cell of node j
  Vector west;
};

WireView view_wire(const data::TileSpec& tile, const Eigen::Ref<const Vector>& g) {
  const Index cols = g.size();
  const double r = tile.r_row_ohm;
  const double driver = 1.0 / (tile.r_driver_ohm + r);
  WireView view{Vector(cols), Vector(cols)};
  view.east[cols - 1] = tile.drivers == data::DriverEnds::both ? driver : 0.0;
  for (Index j = cols - 1; j-- > 0;) {
    const double y = view.east[j + 1] + g[j + 1];
    view.east[j] = y / (1.0 + r * y);
  }
  view.west[0] = driver;
  for (Index j = 1; j < cols; ++j) {
    const double y = view.west[j - 1] + g[j - 1];
    view.west[j] = y / (1.0 + r * y);
  }
  return view;
}

Vector row_factor(const data::TileSpec& tile, const Eigen::Ref<const Vector>& g) {
  const Index cols = g.size();
  const double r = tile.r_row_ohm;
  const double driver = tile.r_driver_ohm + r;
  const WireView view = view_wire(tile, g);
  Vector p(cols);
  // The west driver alone, an east driver being a resistance to ground; then the other way round. Both parts
  // are positive.
  double v = 1.0 / (1.0 + driver * (g[0] + view.east[0]));
  for (Index j = 0; j < cols; ++j) {
    if (j > 0) v /= 1.0 + r * (g[j] + view.east[j]);
    p[j] = v;
  }
  if (tile.drivers != data::DriverEnds::both) return p;
  v = 1.0 / (1.0 + driver * (g[cols - 1] + view.west[cols - 1]));
  for (Index j = cols; j-- > 0;) {
    if (j < cols - 1) v /= 1.0 + r * (g[j] + view.west[j]);
    p[j] += v;
  }
  return p;
}

}  // namespace

Matrix cell_conductance(const data::TileSpec& tile, const Matrix& g_siemens) {
  return g_siemens.unaryExpr([&tile](double g) {
    return device::cell_point(tile.cell, tile.selector, g, tile.v_read_volt).current_ampere /
           tile.v_read_volt;
  });
}

Matrix cell_conductance_slope(const data::TileSpec& tile, const Matrix& g_siemens) {
  // di/dG = (i / G) (di/dv) / (slope of the device alone); at G = 0 the limit.
  return g_siemens.unaryExpr([&tile](double value) {
    const double g = std::max(value, kSmallestConductance);
    const device::CellPoint point = device::cell_point(tile.cell, tile.selector, g, tile.v_read_volt);
    const double device_slope = tile.cell.law == data::CellLaw::ohmic
                                    ? g
                                    : std::hypot(g, point.current_ampere / tile.cell.v_h_volt);
    return point.current_ampere / g * point.conductance_siemens / device_slope / tile.v_read_volt;
  });
}

Matrix row_wire_factor(const data::TileSpec& tile, const Matrix& g_siemens) {
  Matrix p = Matrix::Ones(g_siemens.rows(), g_siemens.cols());
  if (tile.ideal_supply()) return p;
  for (Index i = 0; i < p.rows(); ++i) p.row(i) = row_factor(tile, g_siemens.row(i).transpose()).transpose();
  return p;
}

Matrix row_wire_response(const data::TileSpec& tile, const Matrix& g_siemens, const Matrix& current) {
  Matrix v = Matrix::Zero(g_siemens.rows(), g_siemens.cols());
  if (tile.ideal_supply()) return v;
  const Index last = v.cols() - 1;
  for (Index i = 0; i < v.rows(); ++i) {
    const WireView view = view_wire(tile, g_siemens.row(i).transpose());
    // Currents that arrive at a node from either side, as short-circuit currents of what is there.
    double from_west = 0.0, from_east = 0.0;
    for (Index j = 0; j <= last; ++j) {
      if (j > 0)
        from_west = (from_west + current(i, j - 1)) /
                    (1.0 + tile.r_row_ohm * (view.west[j - 1] + g_siemens(i, j - 1)));
      v(i, j) = from_west + current(i, j);
    }
    for (Index j = last; j >= 0; --j) {
      if (j < last)
        from_east = (from_east + current(i, j + 1)) /
                    (1.0 + tile.r_row_ohm * (view.east[j + 1] + g_siemens(i, j + 1)));
      v(i, j) = (v(i, j) + from_east) / (view.west[j] + view.east[j] + g_siemens(i, j));
    }
  }
  return v;
}

Matrix row_wire_resistance(const data::TileSpec& tile, const Vector& g_siemens) {
  const Index cols = g_siemens.size();
  Matrix z = Matrix::Zero(cols, cols);
  if (tile.ideal_supply()) return z;
  const WireView view = view_wire(tile, g_siemens);
  for (Index k = 0; k < cols; ++k) {
    z(k, k) = 1.0 / (view.west[k] + view.east[k] + g_siemens[k]);
    for (Index j = k + 1; j < cols; ++j)
      z(j, k) = z(j - 1, k) / (1.0 + tile.r_row_ohm * (g_siemens[j] + view.east[j]));
    for (Index j = k; j-- > 0;)
      z(j, k) = z(j + 1, k) / (1.0 + tile.r_row_ohm * (g_siemens[j] + view.west[j]));
  }
  return z;
}

}  // namespace crosstile::tilemodel
