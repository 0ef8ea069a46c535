// Sweeps over the wires of a mesh whose rows are dropped one after another ("slots", circuit/strip_mesh.hpp).
// Arrays are cut into strips of kStrip columns, each strip holding its columns of all slots, so that what a
// column sweep keeps between its two halves stays in cache and eight rows of a strip are one piece of memory
// for a row sweep.
#pragma once

#include "core/types.hpp"

namespace crosstile::circuit::strip_kernels {

constexpr Index kStrip = 64;    // columns
constexpr Index kRowLanes = 8;  // slots that a row sweep takes together

// A field on the nodes: element (slot s, column p) is base[(p / kStrip) * strip + s * slot + p % kStrip];
// both strides 0: one strip of zeros.
struct Field {
  const double* base = nullptr;
  Index strip = 0, slot = 0;
  const double* at(Index t, Index s) const { return base + t * strip + s * slot; }
};

// Value and slope along the columns of a strip: what a smooth pattern adds to a field, {value, slope} for
// every slot and strip.
struct Pattern {
  const double* base = nullptr;
  Index slot = 0;
  const double* at(Index t, Index s) const { return base + s * slot + 2 * t; }
};

// Solves (T_c + G) c = source for the columns of half a strip, source = G (volt - e) or charge - G e, with e =
// drop + pattern.
struct Columns {
  Index strip = 0, half = 0;     // columns half * kStrip / 2 and the others of this half
  const Index* order = nullptr;  // slots from the far end towards the sense
  const double* ohm = nullptr;   // wire from each of them to the next, from the last to ground
  Index count = 0;
  Field g, drop;
  Pattern pattern;
  const double* volt = nullptr;  // slots; null: `charge` is the source
  Field charge;
  double* share = nullptr;    // of slot 0: 1 / (1 + g r) as in Chains, written when `factor`
  double* column = nullptr;   // of slot 0: the solution, unless `sense_only`
  double* current = nullptr;  // kStrip: what reaches the sense
  bool factor = false, sense_only = false;
};

// Solves (T_r + G) e = source for kRowLanes slots, source = G (volt - c) or farad (before - now + pattern) -
// G c. Replaces `drop` and measures r = G (drop + pattern - e), which is what the columns then lack.
struct Rows {
  Index first = 0, strips = 0, cols = 0;
  const Index* offset = nullptr;  // cols: place of the physical columns in `buffer`
  const double* ohm = nullptr;    // cols: wire towards the driver
  const double* pass = nullptr;   // cols x kRowLanes, as in Chains
  Field g, column, drop;
  Pattern pattern;
  double* next = nullptr;        // new drop of slot 0, strips as `g`
  const double* volt = nullptr;  // slots; null: charges
  Field before, now;
  Pattern change;
  double farad = 0.0;
  double* buffer = nullptr;   // strips x kStrip x kRowLanes
  double* moments = nullptr;  // kRowLanes x strips x {sum r, sum r * place in the strip}
  double* lost = nullptr;     // strips x kStrip, or null: |r| of the slots is added
};

struct Table {
  const char* name;
  void (*columns)(const Columns&);
  double (*rows)(const Rows&);  // largest |r|
};

const Table& table_base();    // what the library is built for
const Table& table_avx512();  // only when has_avx512()
bool has_avx512();            // built in, and the processor has it

}  // namespace crosstile::circuit::strip_kernels
