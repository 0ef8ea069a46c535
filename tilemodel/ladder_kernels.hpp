// Internal. The exact ladder's float32 kernel: plain pointers only, because the same source is compiled for
// several instruction sets and nothing inline may be shared between them. docs/theory.md, "Ladder in
// float32".
#pragma once

namespace crosstile::tilemodel::kernels {

inline constexpr int kMostGroupEnds = 10;                // intervals that go through together
inline constexpr int kGroupChains = kMostGroupEnds - 1;  // all but the last, whose rungs all of them have

// A row that conducts in every interval of a group.
struct SteadyRung {
  int row;           // times panel_cols
  float steady_ohm;  // wire from the steady rung before
  float any_ohm;     // wire from the rung before, steady or ending
};

// A row that stops conducting within a group.
struct EndingRung {
  int before;        // steady rungs between the ending rung before and this one
  int on;            // intervals in which it conducts, 1 .. ends - 1
  int row;           // times panel_cols
  float steady_ohm;  // as above
  float any_ohm;
  int slot[kGroupChains];  // by interval: where its rung lies in the scratch; 0 once it is off
};

// Successive intervals of one vector, those with the shortest pulse ends first.
struct LadderGroup {
  int ends;  // 1 .. group_ends of the table
  int steady, ending;
  const SteadyRung* steady_rung;  // far end first, as ending_rung
  const EndingRung* ending_rung;
  float steady_ohm, any_ohm;       // from the last rungs to the virtual ground
  float duration[kMostGroupEnds];  // code steps
};

struct LadderPanels {
  int count;
  long stride;     // floats of a panel
  const float* g;  // panel x rows x panel_cols
  float* scratch;  // ladder_scratch(ending) floats, on a 64-byte boundary
  float* out;      // panel x panel_cols: charges are added
};

struct LadderTable {
  const char* name;
  int lanes;
  int panel_cols;
  int group_ends;  // 8 .. kMostGroupEnds
  void (*charge)(const LadderGroup&, const LadderPanels&);

  // The rung of the ending row k, in floats from the begin of the scratch of one vector of columns.
  int slot(int k) const { return 2 * lanes * (k + 1); }
  long scratch(long ending) const { return 2 * panel_cols * (ending + 1); }
};

const LadderTable& ladder_table_base();    // what the library is built for
const LadderTable& ladder_table_avx512();  // only when has_avx512()

}  // namespace crosstile::tilemodel::kernels
