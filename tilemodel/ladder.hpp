// Internal. The exact column ladder of a gated tile with ideal supply: rungs switch off at their pulse ends.
// Charges here are normalised: drive 1 V, time in code steps; the caller multiplies by v_read t_lsb. Rows are
// positions, 0 at the far end. docs/theory.md, "Exact ladder".
#pragma once

#include <vector>

#include "core/types.hpp"
#include "data/tile.hpp"
#include "tilemodel/panels.hpp"

namespace crosstile::tilemodel {

// The wire of a bit line.
struct ColumnWire {
  explicit ColumnWire(const data::TileSpec& tile)
      : cell_ohm(tile.r_col_ohm),
        end_ohm(tile.sense_segment * tile.r_col_ohm + tile.r_sense_ohm),
        end_cells(tile.sense_segment) {}
  double cell_ohm;  // between neighbouring cells
  double end_ohm;   // behind the last cell, up to the virtual ground
  double end_cells;  // how many cells of wire end_ohm holds, besides the sense resistance
};

// One conducting row of one interval.
struct Rung {
  Index position;
  double after_ohm;  // wire to the next rung, or to the virtual ground
  double sign;       // of the row's drive
};

// The intervals between successive pulse ends, each with its conducting rows. Where pulses are aligned does
// not matter: without capacitance the charge depends on which rows conduct together for how long, and
// left-aligned or centred pulses nest in the same way.
class Schedule {
 public:
  struct Interval {
    Index first;  // rung
    Index count;
    double duration;  // code steps
  };

  // Starts over with the pulse lengths of one pass (code steps, by position; negative: driven negatively).
  void start(const double* lengths, Index rows);
  // Replaces rungs() and intervals() by the next ones, about kRungs rungs at a time; false when none are
  // left.
  bool next(const ColumnWire& wire);

  const std::vector<Rung>& rungs() const { return rungs_; }
  const std::vector<Interval>& intervals() const { return intervals_; }

 private:
  struct Active {
    Index position;
    double length;
    double sign;
  };
  void append(const ColumnWire& wire, double duration);

  Index last_position_ = 0;
  std::vector<Active> active_;
  std::vector<double> ends_;  // distinct pulse ends, ascending
  std::size_t next_end_ = 0;
  double begin_ = 0.0;
  std::vector<Rung> rungs_;
  std::vector<Interval> intervals_;
};

class Ladder {
 public:
  Ladder(const ColumnWire& wire, Panels g);

  // lengths: pulse lengths in code steps, rows by position; out: padded_cols, overwritten.
  void charge(const double* lengths, bool signed_drive, double* out, Schedule& schedule) const;

  const Panels& conductances() const { return g_; }
  const ColumnWire& wire() const { return wire_; }
  // u of the division-free recurrence with all rows on, of the column where it is largest; bounds every input.
  double largest_u() const { return largest_u_; }
  // It stays far from overflow.
  bool division_free() const { return largest_u_ < 1e100; }

 private:
  ColumnWire wire_;
  Panels g_;
  double largest_u_;
};

}  // namespace crosstile::tilemodel
