// A chart of a few curves over a logarithmic axis, as SVG. Readable on light and on dark pages: colours
// follow the page's colour scheme, light where a viewer knows of none.
#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace crosstile::validation {

struct ChartPoint {
  double x = 1.0, y = 0.0;
  double error = 0.0;  ///< half the length of the error bar; 0: none
};
struct ChartCurve {
  std::string label;
  std::vector<ChartPoint> points;
  bool is_reference = false;  ///< a dashed line without markers, in the colour of the text
};
struct LineChart {
  std::string title, x_label, y_label;
  double y_low = 0.0, y_high = 1.0;
  std::vector<ChartCurve> curves;
  /// Places on the x axis and what stands there; none: 1, 2, 5 of every decade.
  std::vector<std::pair<double, std::string>> x_ticks{};
};
/// x is logarithmic. Atomic. Errors: usage (x not positive, a value not finite), io.
void write_line_chart(const std::filesystem::path& path, const LineChart& chart);

/// The round number at or below the lowest point, at most 97 % of `high`: where a y axis may begin.
double chart_floor(const LineChart& chart, double high);

}  // namespace crosstile::validation
