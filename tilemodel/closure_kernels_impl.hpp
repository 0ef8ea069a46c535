// Internal. Body of the closure's kernels; included once for each instruction set, inside an unnamed namespace, after
// kLanes is defined. No other header may be included here or by those files.

typedef float V __attribute__((vector_size(kLanes * 4)));
typedef float VInMemory __attribute__((vector_size(kLanes * 4), aligned(4), may_alias));
typedef int Whole __attribute__((vector_size(kLanes * 4)));

constexpr int kPieces = kLevels / kLanes;  // vectors that hold all levels

inline V load(const float* p) { return *reinterpret_cast<const VInMemory*>(p); }
inline void store(float* p, V v) { *reinterpret_cast<VInMemory*>(p) = v; }

inline float sum(V v) {
  float total = 0.0f;
  for (int k = 0; k < kLanes; ++k) total += v[k];
  return total;
}

inline Whole count_up() {
  Whole w;
  for (int k = 0; k < kLanes; ++k) w[k] = k;
  return w;
}

// Lane r of the result is the sum of the lanes of row r: halves are folded together until one lane is left of each.
inline V row_sums(const float* rows, long stride) {
  V t[kLanes];
#pragma GCC unroll 16
  for (int r = 0; r < kLanes; ++r) t[r] = load(rows + r * stride);
#pragma GCC unroll 4
  for (int half = kLanes / 2; half > 0; half /= 2) {
    const Whole lane = count_up();
    const Whole low = (lane & ~half) + (lane & half) / half * kLanes, high = low + half;
#pragma GCC unroll 8
    for (int r = 0; r < half; ++r)
      t[r] = __builtin_shuffle(t[r], t[r + half], low) + __builtin_shuffle(t[r], t[r + half], high);
  }
  return t[0];
}

// A value for each level.
struct Levels {
  V part[kPieces];
};
// Sums of all levels before each one.
inline Levels sums_before(const Levels& in) {
  Levels out;
  V carry{};
  for (int k = 0; k < kPieces; ++k) {
    const V v = running_sum(in.part[k]);
    out.part[k] = carry + (v - in.part[k]);
    carry += __builtin_shuffle(v, Whole{} + (kLanes - 1));
  }
  return out;
}

// A_b: conductance of a block at every level.
inline Levels block_conductance(const Reference& reference, const Pass& pass, int first) {
  constexpr int kChains = kLanes / 4;  // independent sums, to hide the latency of a multiply-add
  V sums[kChains][kPieces] = {};
  const float* g = reference.conductance + first;
  int i = 0;
  if (pass.codes) {
    const unsigned short* codes = pass.codes + first;
    for (; i + kChains <= reference.length; i += kChains)
#pragma GCC unroll 4
      for (int c = 0; c < kChains; ++c) {
        const float* shares = pass.shares + codes[i + c] * kLevels;
        for (int k = 0; k < kPieces; ++k) sums[c][k] += g[i + c] * load(shares + k * kLanes);
      }
    for (; i < reference.length; ++i)
      for (int k = 0; k < kPieces; ++k)
        sums[0][k] += g[i] * load(pass.shares + codes[i] * kLevels + k * kLanes);
  } else {
    const V lane = __builtin_convertvector(count_up(), V);
    for (; i < reference.length; ++i)
      for (int k = 0; k < kPieces; ++k) {
        V share = all(pass.lengths[first + i] - static_cast<float>(k * kLanes)) - lane;
        share = share > 0.0f ? share : V{};
        share = share < 1.0f ? share : all(1.0f);
        sums[0][k] += g[i] * share;
      }
  }
  Levels out;
  for (int k = 0; k < kPieces; ++k) {
    out.part[k] = sums[0][k];
    for (int c = 1; c < kChains; ++c) out.part[k] += sums[c][k];
  }
  return out;
}

// Which levels belong to which bin, as factors 0 and 1.
void choose_bins(const Levels& total, int bins, Levels* mask) {
  const Levels before = sums_before(total);
  const float whole = before.part[kPieces - 1][kLanes - 1] + total.part[kPieces - 1][kLanes - 1];
  for (int k = 0; k < kPieces; ++k) {
    const V left = whole - (before.part[k] + 0.5f * total.part[k]);
    V inside = all(1.0f);  // levels that reached bin b
    for (int b = 0; b < bins; ++b) {
      const float to_come = static_cast<float>(bins - b - 1) / static_cast<float>(bins);
      const V next = b + 1 < bins ? (left <= to_come * to_come * whole ? all(1.0f) : V{}) : V{};
      mask[b].part[k] = inside - next;
      inside = next;
    }
  }
}

// Values of a table over the levels at whole levels, for kLanes rows at a time.
inline V look_up(const Levels& table, Whole level);

// x of one block's rows in one bin: the tangent, summed over whole levels and the last one's share.
inline void fill_x(const Reference& reference, const Pass& pass, int first, const Levels& square,
                   const Levels& slope, float* x) {
  const Levels squares = sums_before(square), slopes = sums_before(slope);
  for (int i = 0; i < reference.length; i += kLanes) {
    const V length = load(pass.lengths + first + i);
    Whole level = __builtin_convertvector(length, Whole);
    level = level < kLevels - 1 ? level : Whole{} + (kLevels - 1);
    const V rest = length - __builtin_convertvector(level, V);
    const V at_centre = look_up(squares, level) + rest * look_up(square, level);
    const V per_cell = look_up(slopes, level) + rest * look_up(slope, level);
    store(x + first + i, at_centre + load(reference.offset + i) * per_cell);
  }
}

void follow_reference(const Reference& reference, const Pass& pass, float* scratch, ReferenceOut& out) {
  const int blocks = reference.blocks;
  const int last = blocks - 1;
  float* const a_rows = scratch;                               // A_b
  float* const u_rows = scratch + kRowFloats * (blocks + 1);   // u_b, then v_b
  float* const i_rows = u_rows + kRowFloats * (blocks + 1);    // J_b, then I_b with room for a level before and behind
  constexpr int kBefore = 16;

  Levels u, current, total;
  for (int k = 0; k < kPieces; ++k) u.part[k] = all(1.0f), current.part[k] = V{}, total.part[k] = V{};
  for (int b = 0; b < blocks; ++b) {
    const Levels a = block_conductance(reference, pass, b * reference.length);
    const float wire = b < last ? reference.block_ohm : reference.end_ohm;
    for (int k = 0; k < kPieces; ++k) {
      store(a_rows + b * kRowFloats + k * kLanes, a.part[k]);
      store(u_rows + b * kRowFloats + k * kLanes, u.part[k]);
      current.part[k] += a.part[k] * (1.0f + reference.spread_ohm * a.part[k]) * u.part[k];
      store(i_rows + b * kRowFloats + kBefore + k * kLanes, current.part[k]);
      u.part[k] += wire * current.part[k];
      total.part[k] += load(pass.durations + k * kLanes) * a.part[k];
    }
  }
  Levels mask[kMostBins], alpha;
  if (reference.bins > 1) choose_bins(total, reference.bins, mask);
  for (int k = 0; k < kPieces; ++k) {
    alpha.part[k] = 1.0f / u.part[k];
    store(u_rows + blocks * kRowFloats + k * kLanes, u.part[k]);
  }

  float* const n_rows = i_rows + kRowFloats * (blocks + 1);  // bins x blocks: numerators and denominators of R_b
  const long bin_rows = kMostLanes * rounded_blocks(blocks) * reference.bins;
  float* const z_rows = n_rows + bin_rows;
  float* const load_rows = z_rows + bin_rows;  // numerators of K_b, and own
  float* const own_rows = load_rows + bin_rows;
  Levels d, before;
  for (int k = 0; k < kPieces; ++k) d.part[k] = before.part[k] = V{};
  V charge{};
  for (int b = 0; b < blocks; ++b) {
    const float wire = b < last ? reference.block_ohm : reference.end_ohm;
    Levels square, slope, n, lost, own;
    for (int k = 0; k < kPieces; ++k) {
      const V a = load(a_rows + b * kRowFloats + k * kLanes);
      const V v = load(u_rows + b * kRowFloats + k * kLanes) * alpha.part[k];
      const V next = load(u_rows + (b + 1) * kRowFloats + k * kLanes) * alpha.part[k];
      const V i = load(i_rows + b * kRowFloats + kBefore + k * kLanes) * alpha.part[k];
      store(i_rows + b * kRowFloats + kBefore + k * kLanes, i);
      const V mean = v * (1.0f + reference.spread_ohm * a);
      square.part[k] = mean * mean;
      const V h = load(pass.durations + k * kLanes);
      square.part[k] *= h;
      own.part[k] = a * square.part[k];
      lost.part[k] = a * h * mean - own.part[k];
      d.part[k] += own.part[k];  // h D_b
      slope.part[k] = reference.cell_ohm * h * v * (before.part[k] + i);
      before.part[k] = i;
      n.part[k] = wire * load(pass.rates + k * kLanes) * reciprocal(v * next) * d.part[k] * d.part[k];
      if (b == last) charge += h * i - d.part[k];
    }
    for (int bin = 0; bin < reference.bins; ++bin) {
      V numerator{}, denominator{};
      if (reference.bins == 1) {
        for (int k = 0; k < kPieces; ++k) numerator += n.part[k], denominator += d.part[k];
        fill_x(reference, pass, b * reference.length, square, slope, out.x);
      } else {
        Levels own_square, own_slope;
        for (int k = 0; k < kPieces; ++k) {
          const V m = mask[bin].part[k];
          numerator += m * n.part[k], denominator += m * d.part[k];
          own_square.part[k] = m * square.part[k], own_slope.part[k] = m * slope.part[k];
        }
        fill_x(reference, pass, b * reference.length, own_square, own_slope, out.x + bin * out.x_stride);
      }
      if (out.load) {
        V losts{}, owns{};
        for (int k = 0; k < kPieces; ++k) {
          const V m = reference.bins == 1 ? all(1.0f) : mask[bin].part[k];
          losts += m * lost.part[k], owns += m * own.part[k];
        }
        store(load_rows + (bin * rounded_blocks(blocks) + b) * kMostLanes, losts);
        store(own_rows + (bin * rounded_blocks(blocks) + b) * kMostLanes, owns);
      }
      store(n_rows + (bin * rounded_blocks(blocks) + b) * kMostLanes, numerator);
      store(z_rows + (bin * rounded_blocks(blocks) + b) * kMostLanes, denominator);
    }
  }
  for (int bin = 0; bin < reference.bins; ++bin)
    for (int b = 0; b < blocks; b += kLanes) {
      const long row = (bin * rounded_blocks(blocks) + b) * kMostLanes;
      const V n = row_sums(n_rows + row, kMostLanes), z = row_sums(z_rows + row, kMostLanes);
      store(out.resistance + bin * out.resistance_stride + b, z > 0.0f ? n / (z * z) : V{});
      if (!out.load) continue;
      const V lost = row_sums(load_rows + row, kMostLanes), own = row_sums(own_rows + row, kMostLanes);
      store(out.load + bin * out.resistance_stride + b, own > 0.0f ? lost / own : V{});
      store(out.own + bin * out.resistance_stride + b, own);
    }

  // Current that falls within a level, and the reference column's rows at their places in the blocks.
  V fall_square{}, fall_square_end{};
  if (pass.variance > 0.0f)
    for (int b = 0; b < blocks; ++b) {
      float* row = i_rows + b * kRowFloats + kBefore;
      row[-1] = 2.0f * row[0] - row[1];
      row[kLevels] = 2.0f * row[kLevels - 1] - row[kLevels - 2];
    }
  if (pass.variance > 0.0f)
    for (int b = 0; b < blocks; ++b) {
      const float* row = i_rows + b * kRowFloats + kBefore;
      V& sums = b < last ? fall_square : fall_square_end;
      for (int k = 0; k < kPieces; ++k) {
        const V fall = load(row + k * kLanes - 1) - load(row + k * kLanes + 1);
        sums += load(pass.durations + k * kLanes) * fall * fall;
      }
    }
  charge -= 0.25f * pass.variance *
            (reference.block_ohm * fall_square + reference.end_ohm * fall_square_end);
  const int positions = blocks * reference.length;
  for (int bin = 0; bin < reference.bins; ++bin) {
    const float* x = out.x + bin * out.x_stride;
    int i = 0;
    for (; i + kLanes <= positions; i += kLanes) charge += load(reference.conductance + i) * load(x + i);
    for (; i < positions; ++i) charge[0] += reference.conductance[i] * x[i];
  }
  out.charge = sum(charge);
}

// A block's sum with what columns that differ do through the row wires: s + K q (s + own).
inline V with_mesh(V sums, V q, float drop, float own) {
  const V share = q * drop;
  return sums + share * (sums + own);
}

// Sums over one block's rows of x delta, for some vectors and a panel.
template <int vectors, int pieces>
inline void block_sums(const float* delta, const float* x, const Columns& c, V (&sums)[vectors][pieces]) {
  const long x_stride = c.x_stride;
#pragma GCC unroll 16
  for (int v = 0; v < vectors; ++v)
#pragma GCC unroll 4
    for (int k = 0; k < pieces; ++k) sums[v][k] = V{};
  for (int i = 0; i < c.length; ++i) {
    V g[pieces];
#pragma GCC unroll 4
    for (int k = 0; k < pieces; ++k) g[k] = load(delta + k * kLanes);
#pragma GCC unroll 16
    for (int v = 0; v < vectors; ++v) {
      const V factor = all(x[v * x_stride]);
#pragma GCC unroll 4
      for (int k = 0; k < pieces; ++k) sums[v][k] += factor * g[k];
    }
    delta += pieces * kLanes;
    ++x;
  }
}

// A panel of kPanelPieces vectors of columns for `vectors` vectors.
template <int vectors, int pieces, bool mesh>
inline void panel(const Columns& c, int first) {
  constexpr int kCols = pieces * kLanes;
  V d[vectors][pieces], y[vectors][pieces];
  for (int v = 0; v < vectors; ++v)
    for (int k = 0; k < pieces; ++k) d[v][k] = V{}, y[v][k] = all(1.0f);
  const float* delta = c.delta;
  const float* x = c.x + first * c.x_stride;
  for (int b = 0; b < c.blocks; ++b) {
    V sums[vectors][pieces];
    block_sums<vectors, pieces>(delta + b * c.length * kCols, x + b * c.length, c, sums);
#pragma GCC unroll 16
    for (int v = 0; v < vectors; ++v) {
      const long at = (first + v) * c.resistance_stride + b;
      const V r = all(c.resistance[at]);
#pragma GCC unroll 4
      for (int k = 0; k < pieces; ++k) {
        if (mesh)
          sums[v][k] = with_mesh(sums[v][k], load(c.mesh + b * kCols + k * kLanes), c.load[at], c.own[at]);
        d[v][k] += sums[v][k] * y[v][k];
        y[v][k] += r * d[v][k];
      }
    }
  }
  for (int v = 0; v < vectors; ++v)
    for (int k = 0; k < pieces; ++k) {
      float* out = c.out + (first + v) * c.out_stride + k * kLanes;
      store(out, load(out) + d[v][k] * reciprocal(y[v][k]));
    }
}

// kPanelVectors vectors fill the registers; what is left over is shared out between two smaller panels rather than left to one
// of one or two vectors, which would wait for its own sums.

template <bool mesh>
void some_vectors(const Columns& c, int first, int count) {
  switch (count) {
    case 6: return panel<6, kPanelPieces, mesh>(c, first);
    case 5: return panel<5, kPanelPieces, mesh>(c, first);
    case 4: return panel<4, kPanelPieces, mesh>(c, first);
    case 3: return panel<3, kPanelPieces, mesh>(c, first);
    case 2: return panel<2, kPanelPieces, mesh>(c, first);
    default: return panel<1, kPanelPieces, mesh>(c, first);
  }
}

template <bool mesh>
void all_columns(const Columns& c) {
  int v = 0;
  while (c.vectors - v >= kPanelVectors + 3 || c.vectors - v == kPanelVectors) {
    some_vectors<mesh>(c, v, kPanelVectors);
    v += kPanelVectors;
  }
  const int left = c.vectors - v;
  const int part = left > kPanelVectors ? (left + 1) / 2 : left;
  if (part > 0) some_vectors<mesh>(c, v, part);
  if (left > part) some_vectors<mesh>(c, v + part, left - part);
}

void columns(const Columns& c) {
  c.mesh ? all_columns<true>(c) : all_columns<false>(c);
}
