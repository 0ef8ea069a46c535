// Internal. The ladder with rows joined to segments and pulse ends to time bins; conventions as in
// ladder.hpp. docs/theory.md, "Binned ladder".
#pragma once

#include <vector>

#include "core/types.hpp"
#include "tilemodel/ladder.hpp"
#include "tilemodel/panels.hpp"

namespace crosstile::tilemodel {

class BinnedLadder {
 public:
  // g: panels of the positions, padded in front (far end) to a whole number of segments.
  BinnedLadder(const ColumnWire& wire, const Matrix& g, const ColumnGroup& group, int segments,
               int time_bins);

  struct Scratch {
    std::vector<double> share;  // positions x bins: part of the bin a row is on, with the sign of its drive
    std::vector<Index> active;  // positions with a pulse, by segment
    std::vector<Index> segment_begin;  // segments + 1, into active
    std::vector<double> conductance;   // segments x bins x kPanelCols, one panel
    std::vector<double> source;        // the same: signed
  };
  // codes: rows by position; longest_code: slots of the pass; out: padded_cols, overwritten.
  void charge(const int* codes, int longest_code, bool signed_drive, double* out, Scratch& scratch) const;

 private:
  void find_active(const int* codes, Scratch& scratch) const;
  void fill_shares(const int* codes, int bins, double width, Scratch& scratch) const;
  void average(const double* panel, int bins, bool absolute, const Scratch& scratch,
               double* conductance) const;

  ColumnWire wire_;
  Panels g_;
  Index rows_;
  Index length_;   // rows a segment
  Index padding_;  // positions without a row at the far end
  Index segments_;
  int time_bins_;
};

}  // namespace crosstile::tilemodel
