// A chart of a few curves over a logarithmic axis, as SVG.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace crosstile::validation {

struct ChartPoint {
  double x = 1.0, y = 0.0;
  double error = 0.0;  ///< half the length of the error bar; 0: none
};
struct ChartCurve {
  std::string label;
  std::vector<ChartPoint> points;
};
struct LineChart {
  std::string title, x_label, y_label;
  double y_low = 0.0, y_high = 1.0;
  std::vector<ChartCurve> curves;
};
/// x is logarithmic. Atomic. Errors: usage (x not positive, a value not finite), io.
void write_line_chart(const std::filesystem::path& path, const LineChart& chart);

}  // namespace crosstile::validation
