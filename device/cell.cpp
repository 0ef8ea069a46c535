#include "device/cell.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/error.hpp"

namespace crosstile::device {

namespace {

void check_cell(const data::CellSpec& cell, const data::SelectorSpec& selector, double g_siemens) {
  constexpr double kLargest = std::numeric_limits<double>::max();
  require_in_range("cell conductance (siemens)", g_siemens, 0.0, kLargest);
  require_in_range("selector.r_on_ohm", selector.r_on_ohm, 0.0, kLargest);
  if (cell.law == data::CellLaw::sinh && !(cell.v_h_volt > 0.0 && std::isfinite(cell.v_h_volt)))
    throw_out_of_range("cell.v_h_volt", cell.v_h_volt, "allowed: above 0");
}

/// Root y >= 0 of y + a sinh(y) = w for a > 0, w >= 0. The left side is convex, and both starting bounds lie at or above the
/// root (sinh y >= y, and y >= 0), so Newton's steps fall towards it and stop when rounding turns them.
double series_root(double a, double w) {
  double y = std::min(w / (1.0 + a), std::asinh(w / a));
  for (int step = 0; step < 100; ++step) {
    const double next = y - (y - w + a * std::sinh(y)) / (1.0 + a * std::cosh(y));
    if (!(next < y)) return y;
    y = std::max(next, 0.0);
  }
  return y;
}

CellPoint sinh_point(double g, double v_h, double r_on, double v) {
  const double w = std::abs(v) / v_h;
  const double a = g * r_on;
  const double y = a > 0.0 ? series_root(a, w) : w;
  const double slope = g * std::cosh(y);
  const double current = g * v_h * std::sinh(y);
  // slope / (1 + r slope) written so that a huge slope gives 1 / r instead of infinity over infinity.
  return {std::copysign(current, v), r_on > 0.0 ? 1.0 / (1.0 / slope + r_on) : slope};
}

}  // namespace

CellPoint cell_point(const data::CellSpec& cell, const data::SelectorSpec& selector, double g_siemens, double v_volt) {
  check_cell(cell, selector, g_siemens);
  if (g_siemens == 0.0) return {0.0, 0.0};
  if (cell.law == data::CellLaw::sinh) return sinh_point(g_siemens, cell.v_h_volt, selector.r_on_ohm, v_volt);
  const double g = g_siemens / (1.0 + g_siemens * selector.r_on_ohm);
  return {g * v_volt, g};
}

}  // namespace crosstile::device
