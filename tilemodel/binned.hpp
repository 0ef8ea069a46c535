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
  // lengths: pulse lengths in code steps, rows by position; longest_code: slots of the pass; out: padded_cols, overwritten.
  void charge(const double* lengths, int longest_code, bool signed_drive, double* out, Scratch& scratch) const;

  // Geometry, for the gradients.
  const ColumnWire& wire() const { return wire_; }
  const Panels& conductances() const { return g_; }
  Index segments() const { return segments_; }
  Index segment(Index position) const { return (position + padding_) / length_; }
  double half_cells() const { return 0.5 * static_cast<double>(length_ - 1); }  // centre to edge of a segment
  int bin_width(int longest_code) const { return (longest_code + time_bins_ - 1) / time_bins_; }

 private:
  void find_active(const double* lengths, Scratch& scratch) const;
  void fill_shares(const double* lengths, int bins, double width, Scratch& scratch) const;
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
