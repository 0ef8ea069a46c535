#include "tilemodel/ladder_fast.hpp"

#include <algorithm>
#include <array>

#include "tilemodel/closure_kernels.hpp"

namespace crosstile::tilemodel {

namespace {

// Squares and products of two of the recurrence's numbers stay inside float32.
constexpr double kLargestFloatU = 1e15;
// Codes up to which ranks are looked up.
constexpr int kLongestRankTable = 65536;

using SlotMask = std::array<int, kernels::kGroupChains>;

// By the number of intervals in which a row is on: all ones for these.
constexpr std::array<SlotMask, kernels::kMostGroupEnds> on_masks() {
  std::array<SlotMask, kernels::kMostGroupEnds> masks{};
  for (std::size_t on = 0; on < masks.size(); ++on)
    for (std::size_t c = 0; c < masks[on].size(); ++c) masks[on][c] = c < on ? -1 : 0;
  return masks;
}
constexpr auto kOnMasks = on_masks();

}  // namespace

bool LadderFast::fits(const Ladder& ladder) {
  return ladder.largest_u() < kLargestFloatU;
}

LadderFast::LadderFast(const Ladder& ladder)
    : LadderFast(ladder,
                 kernels::has_avx512() ? kernels::ladder_table_avx512() : kernels::ladder_table_base()) {}

LadderFast::LadderFast(const Ladder& ladder, const kernels::LadderTable& table)
    : table_(&table),
      wire_(ladder.wire()),
      rows_(ladder.conductances().rows()),
      cols_(ladder.conductances().cols()),
      panels_((cols_ + table.panel_cols - 1) / table.panel_cols) {
  const Index width = table.panel_cols;
  float* g = g_.reserve(panels_ * rows_ * width);
  for (Index i = 0; i < rows_; ++i)
    for (Index j = 0; j < cols_; ++j)
      g[(j / width * rows_ + i) * width + j % width] = static_cast<float>(ladder.conductances()(i, j));
}

void LadderFast::prepare(Scratch& scratch) const {
  const auto rows = static_cast<std::size_t>(rows_);
  if (scratch.steady.size() > rows) return;
  scratch.active.resize(rows + 1);
  scratch.steady.resize(rows + 1);
  scratch.ending.resize(rows + 1);
  scratch.code.resize(rows);
  scratch.ends.reserve(rows);
}

// False when a pulse length is not a whole code or too long for the table.
bool LadderFast::whole_codes(const double* lengths, Scratch& scratch) const {
  int different = 0, longest = 0;
  for (Index i = 0; i < rows_; ++i) {
    const int code = static_cast<int>(lengths[i]);
    scratch.code[static_cast<std::size_t>(i)] = code;
    different |= static_cast<int>(static_cast<double>(code) != lengths[i]);
    longest = std::max(longest, code);
  }
  if (different != 0 || longest >= kLongestRankTable) return false;
  scratch.rank.assign(static_cast<std::size_t>(longest) + 1, 0);
  for (Index i = 0; i < rows_; ++i)
    scratch.rank[static_cast<std::size_t>(scratch.code[static_cast<std::size_t>(i)])] = 1;
  return true;
}

void LadderFast::rank_ends(const double* lengths, Scratch& scratch) const {
  scratch.ends.clear();
  std::size_t count = 0;
  const auto append = [&](Index i, int rank, bool active) {
    scratch.active[count] = {static_cast<int>(i), rank};
    count += active ? 1 : 0;
  };
  if (whole_codes(lengths, scratch)) {
    int next = 0;
    for (std::size_t code = 1; code < scratch.rank.size(); ++code)
      if (scratch.rank[code] != 0) {
        scratch.ends.push_back(static_cast<double>(code));
        scratch.rank[code] = next++;
      }
    for (Index i = 0; i < rows_; ++i) {
      const int code = scratch.code[static_cast<std::size_t>(i)];
      append(i, scratch.rank[static_cast<std::size_t>(code)], code > 0);
    }
  } else {
    for (Index i = 0; i < rows_; ++i)
      if (lengths[i] > 0.0) scratch.ends.push_back(lengths[i]);
    std::sort(scratch.ends.begin(), scratch.ends.end());
    scratch.ends.erase(std::unique(scratch.ends.begin(), scratch.ends.end()), scratch.ends.end());
    for (Index i = 0; i < rows_; ++i) {
      const auto place = std::lower_bound(scratch.ends.begin(), scratch.ends.end(), lengths[i]);
      append(i, static_cast<int>(place - scratch.ends.begin()), lengths[i] > 0.0);
    }
  }
  scratch.active_count = static_cast<int>(count);
}

// Sorts the active rows into steady and ending ones, and keeps those that conduct beyond the group. Without
// branches on what a row does: that is random.
kernels::LadderGroup LadderFast::next_group(int first_end, Scratch& scratch) const {
  const int ends = std::min(table_->group_ends, static_cast<int>(scratch.ends.size()) - first_end);
  const int width = table_->panel_cols, count = scratch.active_count;
  Scratch::Active* const active = scratch.active.data();
  kernels::SteadyRung* steady = scratch.steady.data();
  kernels::EndingRung* ending = scratch.ending.data();
  int before = 0, left = 0;
  int last_steady = count > 0 ? active[0].position : 0, last_any = last_steady;
  const auto wire_from = [this](int from, int to) {
    return static_cast<float>(wire_.cell_ohm * (to - from));
  };
  for (int k = 0; k < count; ++k) {
    const Scratch::Active row = active[k];
    const int on = row.rank - first_end + 1;
    const bool ends_here = on < ends;
    const float steady_ohm = wire_from(last_steady, row.position),
                any_ohm = wire_from(last_any, row.position);
    *steady = {row.position * width, steady_ohm, any_ohm};
    ending->before = before;
    ending->on = on;
    ending->row = row.position * width;
    ending->steady_ohm = steady_ohm;
    ending->any_ohm = any_ohm;
    steady += ends_here ? 0 : 1;
    ending += ends_here ? 1 : 0;
    before = ends_here ? 0 : before + 1;
    last_steady = ends_here ? last_steady : row.position;
    last_any = row.position;
    active[left] = row;
    left += on > ends ? 1 : 0;
  }
  scratch.active_count = left;
  const auto to_ground = [this](int from) {
    return static_cast<float>(wire_.cell_ohm * static_cast<double>(rows_ - 1 - from) + wire_.end_ohm);
  };
  kernels::LadderGroup group{ends,
                             static_cast<int>(steady - scratch.steady.data()),
                             static_cast<int>(ending - scratch.ending.data()),
                             scratch.steady.data(),
                             scratch.ending.data(),
                             to_ground(last_steady),
                             to_ground(last_any),
                             {}};
  for (int e = 0; e < group.ending; ++e) {
    kernels::EndingRung& rung = scratch.ending[static_cast<std::size_t>(e)];
    const SlotMask& mask = kOnMasks[static_cast<std::size_t>(rung.on)];
    for (std::size_t c = 0; c < mask.size(); ++c) rung.slot[c] = mask[c] & table_->slot(e);
  }
  for (int c = 0; c < ends; ++c) {
    const auto end = static_cast<std::size_t>(first_end + c);
    group.duration[c] = static_cast<float>(scratch.ends[end] - (end > 0 ? scratch.ends[end - 1] : 0.0));
  }
  return group;
}

void LadderFast::charge(const double* lengths, double* out, Scratch& scratch) const {
  prepare(scratch);
  rank_ends(lengths, scratch);
  const Index padded = panels_ * table_->panel_cols;
  float* charge = scratch.out.reserve(padded);
  std::fill_n(charge, padded, 0.0f);
  float* own = scratch.kernel.reserve(table_->scratch(rows_));
  for (int first = 0; first < static_cast<int>(scratch.ends.size()); first += table_->group_ends) {
    const kernels::LadderGroup group = next_group(first, scratch);
    table_->charge(group, {static_cast<int>(panels_), static_cast<long>(rows_ * table_->panel_cols),
                           g_.data(), own, charge});
  }
  for (Index j = 0; j < cols_; ++j) out[j] = static_cast<double>(charge[j]);
}

}  // namespace crosstile::tilemodel
