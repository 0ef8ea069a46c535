// Internal. Body of the ladder's float32 kernel; included once for each instruction set, inside an unnamed namespace,
// after kLanes, kPieces, kGroupEnds, V, all and reciprocal are defined. No other header may be included here or by those files.

typedef float VInMemory __attribute__((vector_size(kLanes * 4), aligned(4), may_alias));

constexpr int kPanelCols = kPieces * kLanes;

inline V load(const float* p) { return *reinterpret_cast<const VInMemory*>(p); }
inline void store(float* p, V v) { *reinterpret_cast<VInMemory*>(p) = v; }

// Two solutions of the recurrence along the steady rungs: (u, J) from the far end, (v, K) from the last ending rung,
// where v = 0 and K = 1 / u. u stands at the last steady rung: stepping it from ending rung to ending rung with one
// and the same J would round the same way every time.
struct Walk {
  V u[kPieces], j[kPieces], v[kPieces], k[kPieces];
};

template <bool both>
inline const SteadyRung* pass_steady(const float* g, const SteadyRung* rung, int count, Walk& walk) {
  for (const SteadyRung* end = rung + count; rung != end; ++rung) {
    const float* row = g + rung->row;
    const V steady_wire = all(rung->steady_ohm), any_wire = all(rung->any_ohm);
#pragma GCC unroll 8
    for (int p = 0; p < kPieces; ++p) {
      const V conductance = load(row + p * kLanes);
      walk.u[p] += steady_wire * walk.j[p];
      if (both) walk.v[p] += any_wire * walk.k[p];
      walk.j[p] += conductance * walk.u[p];
      if (both) walk.k[p] += conductance * walk.v[p];
    }
  }
  return rung;
}

// Leaves the rung g u^2 of every ending row, and rho = v / u of the wire behind it, by piece; u at the virtual ground.
inline void walk_panel(const LadderGroup& group, const float* g, float* scratch, Walk& walk) {
  const long piece = 2L * kLanes * (group.ending + 1);
#pragma GCC unroll 8
  for (int p = 0; p < kPieces; ++p) {
    walk.u[p] = all(1.0f);
    walk.j[p] = walk.v[p] = walk.k[p] = V{};
    store(scratch + p * piece, V{});
  }
  const SteadyRung* steady = group.steady_rung;
  const SteadyRung* const end = steady + group.steady;
  float* slot = scratch;
  for (int e = 0; e < group.ending; ++e, slot += 2 * kLanes) {
    const EndingRung& ending = group.ending_rung[e];
    // Nothing has ended before the first: v and K are 0 up to there.
    steady = e == 0 ? pass_steady<false>(g, steady, ending.before, walk)
                    : pass_steady<true>(g, steady, ending.before, walk);
    const float* row = g + ending.row;
    const V steady_wire = all(ending.steady_ohm), any_wire = all(ending.any_ohm);
#pragma GCC unroll 8
    for (int p = 0; p < kPieces; ++p) {
      const V u = walk.u[p] + steady_wire * walk.j[p];
      const V inverse = reciprocal(u);
      store(slot + p * piece + kLanes, (walk.v[p] + any_wire * walk.k[p]) * inverse);
      store(slot + p * piece + 2 * kLanes, load(row + p * kLanes) * (u * u));
      walk.k[p] = inverse;
      walk.v[p] = V{};
    }
  }
  const int left = static_cast<int>(end - steady);
  group.ending > 0 ? pass_steady<true>(g, steady, left, walk) : pass_steady<false>(g, steady, left, walk);
#pragma GCC unroll 8
  for (int p = 0; p < kPieces; ++p) {
    walk.u[p] += all(group.steady_ohm) * walk.j[p];
    store(slot + p * piece + kLanes, (walk.v[p] + all(group.any_ohm) * walk.k[p]) * reciprocal(walk.u[p]));
  }
}

// Sum over the first `chains` intervals of duration D / y, D += G y, y += rho D along the ending rungs.
template <int chains>
inline V ending_sum(const LadderGroup& group, const float* scratch) {
  V d[chains], y[chains];
#pragma GCC unroll 16
  for (int c = 0; c < chains; ++c) d[c] = V{}, y[c] = all(1.0f);
  const float* rho = scratch + 3 * kLanes;
  for (int e = 0; e < group.ending; ++e, rho += 2 * kLanes) {
    const int* slot = group.ending_rung[e].slot;
    const V wire = load(rho);
#pragma GCC unroll 16
    for (int c = 0; c < chains; ++c) {
      d[c] += load(scratch + slot[c]) * y[c];
      y[c] += wire * d[c];
    }
  }
  V sum{};
#pragma GCC unroll 16
  for (int c = 0; c < chains; ++c) sum += all(group.duration[c]) * (d[c] * reciprocal(y[c]));
  return sum;
}

inline V ending_sum(const LadderGroup& group, const float* scratch) {
  if constexpr (kGroupEnds > 8)
    if (group.ends > 8) return ending_sum<kGroupEnds - 1>(group, scratch);
  if (group.ends > 6) return ending_sum<7>(group, scratch);
  if (group.ends > 4) return ending_sum<5>(group, scratch);
  if (group.ends > 2) return ending_sum<3>(group, scratch);
  return ending_sum<1>(group, scratch);
}

void ladder_charge(const LadderGroup& group, const LadderPanels& panels) {
  float whole = 0.0f;
  for (int c = 0; c < group.ends; ++c) whole += group.duration[c];
  for (int n = 0; n < panels.count; ++n) {
    Walk walk;
    walk_panel(group, panels.g + n * panels.stride, panels.scratch, walk);
    V charge[kPieces], square[kPieces];
#pragma GCC unroll 8
    for (int p = 0; p < kPieces; ++p) {
      const V inverse = reciprocal(walk.u[p]);
      charge[p] = all(whole) * (walk.j[p] * inverse);
      square[p] = inverse * inverse;
    }
    float* out = panels.out + n * kPanelCols;
    for (int p = 0; p < kPieces; ++p) {
      if (group.ending > 0)
        charge[p] += square[p] * ending_sum(group, panels.scratch + p * (2L * kLanes * (group.ending + 1)));
      store(out + p * kLanes, load(out + p * kLanes) + charge[p]);
    }
  }
}
