// Internal. The exact ladder in float32: the intervals of a vector in groups through the kernel of
// ladder_kernels.hpp. Same definition as Ladder, which stays the reference for it. docs/theory.md, "Ladder in
// float32".
#pragma once

#include <vector>

#include "core/types.hpp"
#include "tilemodel/closure_fast.hpp"
#include "tilemodel/ladder.hpp"
#include "tilemodel/ladder_kernels.hpp"

namespace crosstile::tilemodel {

class LadderFast {
 public:
  // The squares of the recurrence stay inside float32 for every input.
  static bool fits(const Ladder& ladder);
  explicit LadderFast(const Ladder& ladder);
  LadderFast(const Ladder& ladder, const kernels::LadderTable& table);

  struct Scratch {
    struct Active {
      int position;
      int rank;  // of its pulse end among all, ascending
    };
    std::vector<Active> active;
    int active_count = 0;
    std::vector<int> code;     // by position
    std::vector<double> ends;  // distinct, ascending
    std::vector<int> rank;     // by code
    std::vector<kernels::SteadyRung> steady;
    std::vector<kernels::EndingRung> ending;
    AlignedFloats kernel, out;
  };

  // lengths: pulse lengths in code steps, rows by position, >= 0; out: columns of the group, normalised as in
  // ladder.hpp.
  void charge(const double* lengths, double* out, Scratch& scratch) const;

 private:
  void prepare(Scratch& scratch) const;
  bool whole_codes(const double* lengths, Scratch& scratch) const;
  void rank_ends(const double* lengths, Scratch& scratch) const;
  kernels::LadderGroup next_group(int first_end, Scratch& scratch) const;

  const kernels::LadderTable* table_;
  ColumnWire wire_;
  Index rows_, cols_, panels_;
  AlignedFloats g_;  // panel x rows x panel_cols
};

}  // namespace crosstile::tilemodel
