// Internal. The files of a design of experiments: one result and one worst vector a point.
#pragma once

#include <array>
#include <filesystem>
#include <utility>

#include "validation/design.hpp"

namespace crosstile::validation {

/// A figure of a point: key in files, unit, whether two runs of the same point may differ in it.
struct DesignFigure {
  const char* name;
  const char* unit;
  std::optional<double> DesignResult::*field;
  bool is_time = false;
};
const std::vector<DesignFigure>& design_figures();

/// Errors: usage when the folder holds another design; io.
void claim_design_folder(const Design& design, const std::filesystem::path& folder);
std::filesystem::path design_point_path(const std::filesystem::path& folder, Index point);
/// The worst vector first (none for a point that failed); the result's file says that the point is done.
void write_design_point(const std::filesystem::path& folder, Index index, const DesignPoint& point,
                        const DesignCase& done);
/// Errors: bad_data naming the file.
DesignResult read_design_point(const std::filesystem::path& folder, Index point);

}  // namespace crosstile::validation
