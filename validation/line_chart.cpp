#include "validation/line_chart.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "core/error.hpp"
#include "core/files.hpp"

namespace crosstile::validation {

namespace {

constexpr double kLeft = 64.0, kTop = 44.0, kWidth = 560.0, kHeight = 330.0;
constexpr double kLetter = 6.9;  // width, in the mean
constexpr double kLabelStep = 17.0;
constexpr std::size_t kColours = 6;
constexpr std::array<const char*, kColours> kOnLight{"#0072b2", "#c44e00", "#008055",
                                                     "#b0528c", "#a06a00", "#5b5bd6"};
constexpr std::array<const char*, kColours> kOnDark{"#56b4e9", "#ff8c42", "#35c69a",
                                                    "#e79ac4", "#f0b429", "#a5a5ff"};

std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text)
    out += c == '&' ? std::string("&amp;") : c == '<' ? std::string("&lt;") : std::string(1, c);
  return out;
}

// Fixed colours first, for viewers that know no colour scheme.
std::string style() {
  std::string light = ".paper{fill:#fff}.ink{fill:#222}.edge{stroke:#222}.grid{stroke:#e2e2e2}";
  std::string dark = ".paper{fill:#17191c}.ink{fill:#dfe1e4}.edge{stroke:#dfe1e4}.grid{stroke:#34383d}";
  for (std::size_t k = 0; k < kColours; ++k) {
    light += fmt::format(".f{0}{{fill:{1}}}.s{0}{{stroke:{1}}}", k, kOnLight[k]);
    dark += fmt::format(".f{0}{{fill:{1}}}.s{0}{{stroke:{1}}}", k, kOnDark[k]);
  }
  return "<style>" + light + "@media (prefers-color-scheme:dark){" + dark + "}</style>\n";
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

Axes axes_of(const LineChart& chart) {
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
  return axes;
}

std::vector<std::pair<double, std::string>> decade_ticks(const Axes& axes) {
  const bool many = axes.x_high / axes.x_low > 2e4;
  std::vector<std::pair<double, std::string>> ticks;
  for (double decade = std::pow(10.0, std::floor(std::log10(axes.x_low))); decade <= axes.x_high;
       decade *= 10.0)
    for (const double tick : {1.0, 2.0, 5.0})
      if (!many || tick == 1.0) ticks.emplace_back(tick * decade, fmt::format("{:g}", tick * decade));
  return ticks;
}

// 1, 2 or 5 of a decade, so that there are four to nine steps.
double round_step(double range) {
  const double decade = std::pow(10.0, std::floor(std::log10(range / 4.0)));
  for (const double factor : {5.0, 2.0})
    if (range / (factor * decade) >= 4.0 - 1e-9) return factor * decade;
  return decade;
}

std::string grid(const Axes& axes, const LineChart& chart) {
  std::string svg;
  for (const auto& [value, text] : chart.x_ticks.empty() ? decade_ticks(axes) : chart.x_ticks) {
    if (value < axes.x_low * (1.0 - 1e-9) || value > axes.x_high * (1.0 + 1e-9)) continue;
    svg += fmt::format(
        "<line class='grid' x1='{0:.1f}' x2='{0:.1f}' y1='{1}' y2='{2}'/>"
        "<text class='ink' x='{0:.1f}' y='{3}' text-anchor='middle'>{4}</text>\n",
        axes.x(value), kTop, kTop + kHeight, kTop + kHeight + 18.0, escaped(text));
  }
  const double step = round_step(axes.y_high - axes.y_low);
  for (double k = std::ceil(axes.y_low / step - 1e-9); k * step <= axes.y_high + 1e-9 * step; k += 1.0)
    svg += fmt::format(
        "<line class='grid' x1='{0}' x2='{1}' y1='{2:.1f}' y2='{2:.1f}'/>"
        "<text class='ink' x='{3}' y='{4:.1f}' text-anchor='end'>{5:g}</text>\n",
        kLeft, kLeft + kWidth, axes.y(k * step), kLeft - 8.0, axes.y(k * step) + 4.0, k * step + 0.0);  // not -0
  svg +=
      fmt::format("<text class='ink' x='{}' y='24' font-size='15'>{}</text>\n", kLeft, escaped(chart.title));
  svg += fmt::format("<text class='ink' x='{}' y='{}' text-anchor='middle'>{}</text>\n", kLeft + kWidth / 2.0,
                     kTop + kHeight + 42.0, escaped(chart.x_label));
  svg += fmt::format(
      "<text class='ink' transform='translate(16,{}) rotate(-90)' text-anchor='middle'>{}</text>\n",
      kTop + kHeight / 2.0, escaped(chart.y_label));
  return svg;
}

std::string marker(double x, double y, std::size_t colour) {
  const double r = 4.0;
  switch (colour % 4) {
    case 0:
      return fmt::format("<circle class='f{}' cx='{:.1f}' cy='{:.1f}' r='{}'/>", colour, x, y, r);
    case 1:
      return fmt::format("<rect class='f{}' x='{:.1f}' y='{:.1f}' width='{}' height='{}'/>", colour,
                         x - r + 0.5, y - r + 0.5, 2.0 * r - 1.0, 2.0 * r - 1.0);
    case 2:
      return fmt::format("<path class='f{}' d='M{:.1f} {:.1f}l{} {}h{}z'/>", colour, x, y - r - 0.5, r + 0.5,
                         2.0 * r, -2.0 * r - 1.0);
    default:
      return fmt::format("<path class='f{}' d='M{:.1f} {:.1f}l{} {}l{} {}l{} {}z'/>", colour, x, y - r - 1.0,
                         r + 1.0, r + 1.0, -r - 1.0, r + 1.0, -r - 1.0, -r - 1.0);
  }
}

std::string curve_svg(const Axes& axes, const ChartCurve& curve, std::size_t colour) {
  std::string line, marks;
  for (const ChartPoint& p : curve.points) {
    line += fmt::format("{:.1f},{:.1f} ", axes.x(p.x), axes.y(p.y));
    if (curve.is_reference) continue;
    if (p.error > 0.0) {
      const double x = axes.x(p.x), high = axes.y(p.y + p.error), low = axes.y(p.y - p.error);
      marks += fmt::format("<path class='s{}' d='M{:.1f} {:.1f}h8m-4 0V{:.1f}m-4 0h8' fill='none'/>", colour,
                           x - 4.0, high, low);
    }
    marks += marker(axes.x(p.x), axes.y(p.y), colour) + "\n";
  }
  const std::string look = curve.is_reference
                               ? std::string("class='edge' stroke-width='1.3' stroke-dasharray='6 4'")
                               : fmt::format("class='s{}' stroke-width='2'", colour);
  return fmt::format("<polyline points='{}' fill='none' {}/>\n", line, look) + marks;
}

double legend_width(const LineChart& chart) {
  std::size_t longest = 12;
  for (const ChartCurve& curve : chart.curves) longest = std::max(longest, curve.label.size());
  return 30.0 + kLetter * static_cast<double>(longest);
}

// Names stand where their curves end, moved apart.
std::string curve_labels(const Axes& axes, const LineChart& chart, const std::vector<std::size_t>& colours) {
  struct Label {
    double wanted, y;
    std::size_t curve;
  };
  std::vector<Label> all;
  for (std::size_t k = 0; k < chart.curves.size(); ++k) {
    if (chart.curves[k].points.empty()) continue;
    const double y = axes.y(chart.curves[k].points.back().y);
    all.push_back({y, y, k});
  }
  std::stable_sort(all.begin(), all.end(),
                   [](const Label& a, const Label& b) { return a.wanted < b.wanted; });
  for (std::size_t k = 1; k < all.size(); ++k) all[k].y = std::max(all[k].y, all[k - 1].y + kLabelStep);
  double below = kTop + kHeight;
  for (std::size_t k = all.size(); k-- > 0; below = all[k].y - kLabelStep)
    all[k].y = std::min(all[k].y, below);
  std::string svg;
  for (const Label& label : all) {
    const ChartCurve& curve = chart.curves[label.curve];
    const double x = kLeft + kWidth;
    const std::string colour = fmt::format("{}", colours[label.curve]);
    svg += fmt::format(
        "<path class='{}' d='M{:.1f} {:.1f}L{:.1f} {:.1f}' fill='none' stroke-width='0.8'/>"
        "<text class='{}' x='{:.1f}' y='{:.1f}'>{}</text>\n",
        curve.is_reference ? "edge" : "s" + colour, x + 6.0, label.wanted, x + 18.0, label.y,
        curve.is_reference ? "ink" : "f" + colour, x + 22.0, label.y + 4.0, escaped(curve.label));
  }
  return svg;
}

}  // namespace

double chart_floor(const LineChart& chart, double high) {
  double lowest = 0.97 * high;
  for (const ChartCurve& curve : chart.curves)
    for (const ChartPoint& p : curve.points) lowest = std::min(lowest, p.y - p.error);
  const double step = round_step(high - lowest);
  return std::max(0.0, step * std::floor(lowest / step + 1e-9));
}

void write_line_chart(const std::filesystem::path& path, const LineChart& chart) {
  const Axes axes = axes_of(chart);
  std::string svg = fmt::format(
      "<svg xmlns='http://www.w3.org/2000/svg' width='{0}' height='{1}' viewBox='0 0 {0} {1}' "
      "font-family='sans-serif' font-size='12.5'>\n{2}<rect class='paper' width='100%' height='100%'/>\n",
      kLeft + kWidth + legend_width(chart), kTop + kHeight + 58.0, style());
  svg += grid(axes, chart);
  std::vector<std::size_t> colours;
  std::size_t next = 0;
  for (const ChartCurve& curve : chart.curves) {
    colours.push_back(curve.is_reference ? 0 : next++ % kColours);
    svg += curve_svg(axes, curve, colours.back());
  }
  svg += curve_labels(axes, chart, colours);
  write_text_atomically(path, svg + "</svg>\n");
}

}  // namespace crosstile::validation
