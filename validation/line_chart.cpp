#include "validation/line_chart.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "core/error.hpp"
#include "core/files.hpp"

namespace crosstile::validation {

namespace {

constexpr double kLeft = 70.0, kTop = 40.0, kWidth = 520.0, kHeight = 320.0, kLegend = 200.0;
constexpr std::array<const char*, 6> kColours{"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#444444"};

std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text)
    out += c == '&' ? std::string("&amp;") : c == '<' ? std::string("&lt;") : std::string(1, c);
  return out;
}

struct Axes {
  double x_low, x_high, y_low, y_high;
  double x(double value) const {
    return kLeft + kWidth * (std::log(value) - std::log(x_low)) / (std::log(x_high) - std::log(x_low));
  }
  double y(double value) const {
    const double share = (std::clamp(value, y_low, y_high) - y_low) / (y_high - y_low);
    return kTop + kHeight * (1.0 - share);
  }
};

std::string grid(const Axes& axes, const LineChart& chart) {
  std::string svg;
  for (double decade = std::pow(10.0, std::floor(std::log10(axes.x_low))); decade <= axes.x_high; decade *= 10.0)
    for (const double tick : {1.0, 2.0, 5.0}) {
      const double value = tick * decade;
      if (value < axes.x_low || value > axes.x_high) continue;
      svg += fmt::format("<line x1='{0:.1f}' x2='{0:.1f}' y1='{1}' y2='{2}' stroke='#ddd'/>"
                         "<text x='{0:.1f}' y='{3}' text-anchor='middle'>{4:g}</text>\n",
                         axes.x(value), kTop, kTop + kHeight, kTop + kHeight + 18.0, value);
    }
  for (int k = 0; k <= 5; ++k) {
    const double value = axes.y_low + (axes.y_high - axes.y_low) * k / 5.0;
    svg += fmt::format("<line x1='{0}' x2='{1}' y1='{2:.1f}' y2='{2:.1f}' stroke='#ddd'/>"
                       "<text x='{3}' y='{4:.1f}' text-anchor='end'>{5:.3g}</text>\n",
                       kLeft, kLeft + kWidth, axes.y(value), kLeft - 8.0, axes.y(value) + 4.0, value);
  }
  svg += fmt::format("<text x='{}' y='24' text-anchor='middle' font-size='15'>{}</text>\n", kLeft + kWidth / 2.0,
                     escaped(chart.title));
  svg += fmt::format("<text x='{}' y='{}' text-anchor='middle'>{}</text>\n", kLeft + kWidth / 2.0,
                     kTop + kHeight + 40.0, escaped(chart.x_label));
  svg += fmt::format("<text transform='translate(18,{}) rotate(-90)' text-anchor='middle'>{}</text>\n",
                     kTop + kHeight / 2.0, escaped(chart.y_label));
  return svg;
}

std::string curve_svg(const Axes& axes, const ChartCurve& curve, std::size_t number) {
  const char* colour = kColours[number % kColours.size()];
  std::string line, svg;
  for (const ChartPoint& p : curve.points) {
    line += fmt::format("{:.1f},{:.1f} ", axes.x(p.x), axes.y(p.y));
    svg += fmt::format("<circle cx='{:.1f}' cy='{:.1f}' r='3.5' fill='{}'/>\n", axes.x(p.x), axes.y(p.y), colour);
    if (p.error > 0.0)
      svg += fmt::format("<line x1='{0:.1f}' x2='{0:.1f}' y1='{1:.1f}' y2='{2:.1f}' stroke='{3}'/>\n", axes.x(p.x),
                         axes.y(p.y - p.error), axes.y(p.y + p.error), colour);
  }
  svg += fmt::format("<polyline points='{}' fill='none' stroke='{}' stroke-width='1.8'/>\n", line, colour);
  const double y = kTop + 16.0 + 20.0 * static_cast<double>(number), x = kLeft + kWidth + 16.0;
  svg += fmt::format("<line x1='{0}' x2='{1}' y1='{2}' y2='{2}' stroke='{3}' stroke-width='3'/>"
                     "<text x='{4}' y='{5}'>{6}</text>\n",
                     x, x + 20.0, y - 4.0, colour, x + 26.0, y, escaped(curve.label));
  return svg;
}

}  // namespace

void write_line_chart(const std::filesystem::path& path, const LineChart& chart) {
  Axes axes{1e300, 0.0, chart.y_low, chart.y_high};
  for (const ChartCurve& curve : chart.curves)
    for (const ChartPoint& p : curve.points) {
      if (!(p.x > 0.0) || !std::isfinite(p.x) || !std::isfinite(p.y))
        throw_out_of_range("chart point of \"" + curve.label + "\"", p.x > 0.0 ? p.y : p.x,
                           "allowed: finite values, x above 0");
      axes.x_low = std::min(axes.x_low, p.x);
      axes.x_high = std::max(axes.x_high, p.x);
    }
  if (!(axes.x_high > axes.x_low)) {  // no point, or one place: room on both sides
    const double place = axes.x_high > 0.0 ? axes.x_high : 1.0;
    axes.x_low = 0.5 * place;
    axes.x_high = 2.0 * place;
  }
  std::string svg = fmt::format(
      "<svg xmlns='http://www.w3.org/2000/svg' width='{0}' height='{1}' viewBox='0 0 {0} {1}' "
      "font-family='sans-serif' font-size='12'>\n<rect width='100%' height='100%' fill='white'/>\n",
      kLeft + kWidth + kLegend, kTop + kHeight + 56.0);
  svg += grid(axes, chart);
  for (std::size_t k = 0; k < chart.curves.size(); ++k) svg += curve_svg(axes, chart.curves[k], k);
  write_text_atomically(path, svg + "</svg>\n");
}

}  // namespace crosstile::validation
