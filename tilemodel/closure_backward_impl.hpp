// Internal. The gradients of the closure's kernels; included after closure_kernels_impl.hpp, like it. Names as in
// closure_gradient.cpp, whose float32 form this is.

// Product, for `rows` rows of `pieces` vectors; a_row: Product::a_row where it is known, or 0.
template <int rows, int pieces, int a_row>
inline void add_product(const Product& p, int row, int piece) {
  const long step = a_row > 0 ? a_row : p.a_row;
  V sums[rows][pieces];
#pragma GCC unroll 16
  for (int m = 0; m < rows; ++m)
#pragma GCC unroll 4
    for (int k = 0; k < pieces; ++k)
      sums[m][k] = p.fresh ? V{} : load(p.out + (row + m) * p.out_row + (piece + k) * kLanes);
  const float* a = p.a + row * step;
  const float* b = p.b + piece * kLanes;
  for (int i = 0; i < p.depth; ++i) {
    V right[pieces];
#pragma GCC unroll 4
    for (int k = 0; k < pieces; ++k) right[k] = load(b + k * kLanes);
#pragma GCC unroll 16
    for (int m = 0; m < rows; ++m) {
      const V left = all(a[m * step]);
#pragma GCC unroll 4
      for (int k = 0; k < pieces; ++k) sums[m][k] += left * right[k];
    }
    a += p.a_depth;
    b += p.b_depth;
  }
#pragma GCC unroll 16
  for (int m = 0; m < rows; ++m)
#pragma GCC unroll 4
    for (int k = 0; k < pieces; ++k) store(p.out + (row + m) * p.out_row + (piece + k) * kLanes, sums[m][k]);
}

constexpr int kProductRows = kLanes == 16 ? 12 : 6;  // sums fill most of the registers

template <int a_row>
void product_rows(const Product& p) {
  const int pieces = p.lanes / kLanes;
  int piece = 0;
  for (; piece + 2 <= pieces; piece += 2) {
    int row = 0;
    for (; row + kProductRows <= p.rows; row += kProductRows) add_product<kProductRows, 2, a_row>(p, row, piece);
    for (; kProductRows > 8 && row + 8 <= p.rows; row += 8) add_product<8, 2, a_row>(p, row, piece);
    for (; row + 4 <= p.rows; row += 4) add_product<4, 2, a_row>(p, row, piece);
    for (; row < p.rows; ++row) add_product<1, 2, a_row>(p, row, piece);
  }
  for (; piece < pieces; ++piece)
    for (int row = 0; row < p.rows; ++row) add_product<1, 1, a_row>(p, row, piece);
}

void product(const Product& p) {
  constexpr int kCols = kPanelPieces * kLanes;
  if (p.a_row == 1) return product_rows<1>(p);
  if (p.a_row == kCols) return product_rows<kCols>(p);
  product_rows<0>(p);
}

// Sums over the lanes for every block, kLanes blocks at a time.
struct BlockSums {
  float rows[kLanes * kLanes];

  void clear_from(int row) {
    for (; row < kLanes; ++row) store(rows + row * kLanes, V{});
  }
  void put(int block, V value) { store(rows + block % kLanes * kLanes, value); }
  template <bool fresh>
  void add_to(float* sums) const {
    const V value = row_sums(rows, kLanes);
    store(sums, fresh ? value : load(sums) + value);
  }
};

// What the loss says about the blocks of one vector and panel; e is its derivative by D / y_end^2. y is found again
// from D. Everything of c and g in locals: a store of floats could otherwise change them.
template <int vectors, int pieces, bool mesh, bool fresh>
inline void blame_blocks(const Columns& c, const ColumnsBackward& g, int first, int v, const V* e_of) {
  constexpr int kCols = pieces * kLanes;
  V e[pieces], before[pieces];
  for (int k = 0; k < pieces; ++k) e[k] = e_of[k], before[k] = all(1.0f);
  const int blocks = c.blocks;
  const long block_floats = static_cast<long>(c.vectors) * kCols, at = (first + v) * c.resistance_stride;
  const float* resistance = c.resistance + at;
  const float* q = c.mesh;
  const float* drop = mesh ? c.load + at : nullptr;
  const float* own = mesh ? c.own + at : nullptr;
  const float* behind = g.behind + v * kCols;
  const float* sums = g.sum + v * kCols;
  float* share = g.share + (first + v) * kCols;
  float* const by_resistance = g.by_resistance + at;
  float* const by_load = mesh ? g.by_load + at : nullptr;
  float* const by_own = mesh ? g.by_own + at : nullptr;
  BlockSums losses, loads, owns;
  for (int b = 0; b < blocks; ++b) {
    const V r = all(resistance[b]);
    V loss{}, to_load{}, to_own{};
    for (int k = 0; k < pieces; ++k) {
      const V d = load(behind + k * kLanes), e_d = e[k] * d;
      V by_sum = e[k] * before[k] * before[k];
      before[k] += r * d;
      if (mesh) {
        const V by_share = by_sum * load(q + k * kLanes);
        to_load += by_share * (load(sums + k * kLanes) + own[b]);
        to_own += by_share;
        by_sum += by_share * drop[b];
      }
      store(share + k * kLanes, by_sum);
      loss -= e_d * d;
    }
    losses.put(b, loss);
    if (mesh) {
      loads.put(b, to_load);
      owns.put(b, to_own * drop[b]);
      q += kCols, sums += vectors * kCols;
    }
    share += block_floats, behind += vectors * kCols;
    const int group = b / kLanes * kLanes;
    if (b + 1 < blocks && b + 1 < group + kLanes) continue;
    losses.clear_from(b + 1 - group);
    losses.add_to<fresh>(by_resistance + group);
    if (!mesh) continue;
    loads.clear_from(b + 1 - group);
    loads.add_to<fresh>(by_load + group);
    owns.clear_from(b + 1 - group);
    owns.add_to<fresh>(by_own + group);
  }
}

// Some vectors and a panel: D behind every block, then what the loss says about the blocks. D and the sums stay in a
// piece of scratch that fits the nearest cache.
template <int vectors, int pieces, bool mesh>
inline void panel_backward(const Columns& c, const ColumnsBackward& g, int first) {
  constexpr int kCols = pieces * kLanes;
  V d[vectors][pieces], y[vectors][pieces];
  for (int v = 0; v < vectors; ++v)
    for (int k = 0; k < pieces; ++k) d[v][k] = V{}, y[v][k] = all(1.0f);
  const float* delta = c.delta;
  const float* x = c.x + first * c.x_stride;
  const float* q = c.mesh;
  const long at = first * c.resistance_stride, stride = c.resistance_stride;
  const float* const resistance = c.resistance + at;
  const float* const drop = mesh ? c.load + at : nullptr;
  const float* const own = mesh ? c.own + at : nullptr;
  float* behind = g.behind;
  float* all_sums = g.sum;
  float* share = g.share + first * kCols;
  const long block_floats = static_cast<long>(c.vectors) * kCols;
  for (int b = 0; b < c.blocks; ++b) {
    V sums[vectors][pieces];
    block_sums<vectors, pieces>(delta + b * c.length * kCols, x + b * c.length, c, sums);
#pragma GCC unroll 16
    for (int v = 0; v < vectors; ++v) {
      const V r = all(resistance[v * stride + b]);
#pragma GCC unroll 4
      for (int k = 0; k < pieces; ++k) {
        const int place = v * kCols + k * kLanes;
        __builtin_prefetch(share + place, 1);  // where blame_blocks will write
        if (mesh) {
          store(all_sums + place, sums[v][k]);
          sums[v][k] = with_mesh(sums[v][k], load(q + k * kLanes), drop[v * stride + b], own[v * stride + b]);
        }
        d[v][k] += sums[v][k] * y[v][k];
        store(behind + place, d[v][k]);
        y[v][k] += r * d[v][k];
      }
    }
    behind += vectors * kCols;
    share += block_floats;
    if (mesh) q += kCols, all_sums += vectors * kCols;
  }
  for (int v = 0; v < vectors; ++v) {
    V e[pieces];
    for (int k = 0; k < pieces; ++k) {
      const V end = reciprocal(y[v][k]);
      e[k] = load(g.charge + (first + v) * g.charge_stride + k * kLanes) * end * end;
    }
    if (g.fresh)
      blame_blocks<vectors, pieces, mesh, true>(c, g, first, v, e);
    else
      blame_blocks<vectors, pieces, mesh, false>(c, g, first, v, e);
  }
}

template <bool mesh>
void all_columns_backward(const Columns& c, const ColumnsBackward& g) {
  int v = 0;
  for (; v + 6 <= c.vectors; v += 6) panel_backward<6, kPanelPieces, mesh>(c, g, v);
  for (; v + 2 <= c.vectors; v += 2) panel_backward<2, kPanelPieces, mesh>(c, g, v);
  for (; v < c.vectors; ++v) panel_backward<1, kPanelPieces, mesh>(c, g, v);
}

void columns_backward(const Columns& c, const ColumnsBackward& g) {
  c.mesh ? all_columns_backward<true>(c, g) : all_columns_backward<false>(c, g);
}

// Values of a table over the levels where a row's pulse ends, the mean of both sides where it ends between levels.
struct Ends {
  Whole level, level_before;
  Whole between;  // all ones where it does
};
inline Ends pulse_ends(V length, int levels) {
  Ends e;
  Whole level = __builtin_convertvector(length, Whole);
  const Whole whole = length == __builtin_convertvector(level, V);
  const Whole last = Whole{} + (levels - 1);
  e.between = whole & (level > 0) & (level <= last);
  e.level = level < last ? level : last;
  e.level_before = (level & e.between) - (e.between & 1) + (e.level & ~e.between);
  return e;
}
inline V at_ends(const Levels& table, const Ends& e) {
  return 0.5f * (look_up(table, e.level) + look_up(table, e.level_before));
}

inline Levels load_levels(const float* row) {
  Levels out;
  for (int k = 0; k < kPieces; ++k) out.part[k] = load(row + k * kLanes);
  return out;
}
// Share of each level that a pulse of this length covers.
inline Levels level_shares(float length) {
  const V lane = __builtin_convertvector(count_up(), V);
  Levels out;
  for (int k = 0; k < kPieces; ++k) {
    V share = all(length - static_cast<float>(k * kLanes)) - lane;
    share = share > 0.0f ? share : V{};
    out.part[k] = share < 1.0f ? share : all(1.0f);
  }
  return out;
}

// Sums over a block's rows of value_i kappa_i(m), and of the same with p_i.
inline void spread_rows(const Reference& reference, const Pass& pass, int first, const float* value, Levels& plain,
                        Levels& by_offset) {
  constexpr int kChains = 2;
  V sums[kChains][kPieces] = {}, offsets[kChains][kPieces] = {};
  float weighted[kLanes];
  for (int begin = 0; begin < reference.length; begin += kLanes) {
    const int count = reference.length - begin < kLanes ? reference.length - begin : kLanes, row = first + begin;
    store(weighted, load(value + row) * load(reference.offset + begin));
    const auto add = [&](int c, int i) {
      const Levels share = pass.codes ? load_levels(pass.shares + pass.codes[row + i] * kLevels)
                                      : level_shares(pass.lengths[row + i]);
      const V weight = all(value[row + i]), offset = all(weighted[i]);
      for (int k = 0; k < kPieces; ++k) {
        sums[c][k] += weight * share.part[k];
        offsets[c][k] += offset * share.part[k];
      }
    };
    int i = 0;
    for (; i + kChains <= count; i += kChains)
#pragma GCC unroll 2
      for (int c = 0; c < kChains; ++c) add(c, i + c);
    for (; i < count; ++i) add(0, i);
  }
  for (int k = 0; k < kPieces; ++k) {
    const V h = load(pass.durations + k * kLanes);
    plain.part[k] += h * (sums[0][k] + sums[1][k]);
    by_offset.part[k] += h * (offsets[0][k] + offsets[1][k]);
  }
}

// What the derivatives by R_b, K_b and the integral of A_b m_b^2 say about the sums they are quotients of, by bin and
// block: numerator and denominator of R_b, that of K_b, own.
inline void quotient_factors(const ReferenceBackward& in, const float* resistance, int blocks, int bins,
                             const float* z_rows, const float* load_rows, const float* own_rows, float* factors) {
  const int padded = rounded_blocks(blocks);
  const auto above_zero = [](V sums, V value) { return sums > 0.0f ? value : V{}; };
  for (int bin = 0; bin < bins; ++bin)
    for (int b = 0; b < blocks; b += kLanes) {
      const long row = (static_cast<long>(bin) * padded + b) * kMostLanes;
      const long at = bin * in.resistance_stride + b;
      float* to = factors + bin * padded + b;
      const V z = row_sums(z_rows + row, kMostLanes), by_r = load(in.resistance + at);
      const V r = load(resistance + at);
      store(to, above_zero(z, by_r / (z * z)));
      store(to + bins * padded, above_zero(z, -2.0f * r * by_r / z));
      if (!in.load) continue;
      const V lost = row_sums(load_rows + row, kMostLanes), own = row_sums(own_rows + row, kMostLanes);
      const V by_load = above_zero(own, load(in.load + at) / own);
      store(to + 2 * bins * padded, by_load);
      store(to + 3 * bins * padded, above_zero(own, load(in.own + at) - by_load * lost / own));
    }
}

// follow_reference, called before with the same scratch, walked backwards.
void reference_backward(const Reference& reference, const Pass& pass, float* scratch, const float* resistance,
                        const ReferenceBackward& in, ReferenceGradientOut& out) {
  const int blocks = reference.blocks, last = blocks - 1, bins = reference.bins;
  constexpr int kBefore = 16;
  const long quantity = kRowFloats * (blocks + 1);
  const float* a_rows = scratch;
  const float* u_rows = scratch + quantity;
  const float* i_rows = scratch + 2 * quantity + kBefore;
  const long bin_rows = kMostLanes * rounded_blocks(blocks) * bins;
  const float* z_rows = scratch + 3 * quantity + bin_rows;
  const float* load_rows = z_rows + bin_rows;
  const float* own_rows = load_rows + bin_rows;
  float* by_u_rows = in.scratch;
  float* by_i_rows = in.scratch + quantity;
  float* by_a_rows = in.scratch + 2 * quantity;
  float* fall_rows = in.scratch + 3 * quantity + kBefore;
  float* d_rows = in.scratch + 4 * quantity;
  float* factors = in.scratch + 5 * quantity;
  const int padded = rounded_blocks(blocks);
  quotient_factors(in, resistance, blocks, bins, z_rows, load_rows, own_rows, factors);

  const Levels h = load_levels(pass.durations), rate = load_levels(pass.rates);
  Levels alpha, total, mask[kMostBins], d;
  for (int k = 0; k < kPieces; ++k) {
    alpha.part[k] = 1.0f / load(u_rows + blocks * kRowFloats + k * kLanes);
    total.part[k] = d.part[k] = V{};
  }
  const auto voltage = [&](int b, int k) { return load(u_rows + b * kRowFloats + k * kLanes) * alpha.part[k]; };
  for (int b = 0; b < blocks; ++b)
    for (int k = 0; k < kPieces; ++k) {
      const V a = load(a_rows + b * kRowFloats + k * kLanes);
      const V mean = voltage(b, k) * (1.0f + reference.spread_ohm * a);
      total.part[k] += h.part[k] * a;
      d.part[k] += h.part[k] * a * mean * mean;
      store(d_rows + b * kRowFloats + k * kLanes, d.part[k]);
    }
  if (bins > 1)
    choose_bins(total, bins, mask);
  else
    for (int k = 0; k < kPieces; ++k) mask[0].part[k] = all(1.0f);

  // The fall of the current within the levels; one-sided at both ends, which counts twice there.
  V by_block{}, by_end{}, by_spread{}, by_cell{};
  for (int b = 0; b < blocks; ++b) {
    float* row = fall_rows + b * kRowFloats;
    const float wire = b < last ? reference.block_ohm : reference.end_ohm;
    for (int k = 0; k < kPieces; ++k) {
      V by_fall{};
      if (pass.variance > 0.0f) {
        const float* current = i_rows + b * kRowFloats + k * kLanes;
        const V fall = 0.5f * (load(current - 1) - load(current + 1));
        const V factor = -(in.charge * pass.variance) * h.part[k];
        (b < last ? by_block : by_end) += factor * fall * fall;
        by_fall = factor * wire * fall;
      }
      store(row + k * kLanes, by_fall);
      store(by_u_rows + b * kRowFloats + k * kLanes, V{});
    }
    row[0] *= 2.0f, row[kLevels - 1] *= 2.0f;
    row[-1] = -row[0], row[kLevels] = -row[kLevels - 1];
  }
  for (int k = 0; k < kPieces; ++k) store(by_u_rows + blocks * kRowFloats + k * kLanes, V{});
  for (int b = 0; b < blocks; ++b)
    for (int k = 0; k < kPieces; ++k) {
      const float* row = fall_rows + b * kRowFloats + k * kLanes;
      store(by_i_rows + b * kRowFloats + k * kLanes, load(row + 1) - load(row - 1));
    }

  Levels by_d;
  for (int k = 0; k < kPieces; ++k) {
    by_d.part[k] = all(-in.charge);
    float* row = by_i_rows + last * kRowFloats + k * kLanes;
    store(row, load(row) + in.charge * h.part[k]);
  }
  for (int b = last; b >= 0; --b) {
    Levels by_square, by_slope, by_n, by_z, by_load, by_own;
    for (int k = 0; k < kPieces; ++k)
      by_square.part[k] = by_slope.part[k] = by_n.part[k] = by_z.part[k] = by_load.part[k] = by_own.part[k] = V{};
    for (int bin = 0; bin < bins; ++bin) {
      Levels plain, by_offset;
      for (int k = 0; k < kPieces; ++k) plain.part[k] = by_offset.part[k] = V{};
      spread_rows(reference, pass, b * reference.length, in.x + bin * in.x_stride, plain, by_offset);
      const float one_n = factors[bin * padded + b], one_z = factors[(bins + bin) * padded + b];
      const float one_load = in.load ? factors[(2 * bins + bin) * padded + b] : 0.0f;
      const float one_own = in.load ? factors[(3 * bins + bin) * padded + b] : 0.0f;
      for (int k = 0; k < kPieces; ++k) {
        const V m = mask[bin].part[k];
        by_square.part[k] += m * plain.part[k];
        by_slope.part[k] += m * by_offset.part[k];
        by_n.part[k] += one_n * m;
        by_z.part[k] += one_z * m;
        by_load.part[k] += one_load * m;
        by_own.part[k] += one_own * m;
      }
    }
    const float wire = b < last ? reference.block_ohm : reference.end_ohm;
    for (int k = 0; k < kPieces; ++k) {
      const long at = b * kRowFloats + k * kLanes;
      const V a = load(a_rows + at), hd = load(d_rows + at), current = load(i_rows + at);
      const V u = voltage(b, k), next = voltage(b + 1, k);
      const V before = b > 0 ? load(i_rows + at - kRowFloats) : V{};
      const V pair = reciprocal(u * next);
      const V by_rho = by_n.part[k] * rate.part[k] * hd * hd;
      by_d.part[k] += 2.0f * by_n.part[k] * rate.part[k] * (wire * pair) * hd + by_z.part[k];
      (b < last ? by_block : by_end) += by_rho * pair;
      const V by_log = by_rho * (wire * pair);
      const V ratio = 1.0f + reference.spread_ohm * a, mean = u * ratio;
      V by_mean = 2.0f * mean * (by_square.part[k] + by_d.part[k] * a * h.part[k]);
      by_mean += h.part[k] * a * (by_load.part[k] * (1.0f - 2.0f * mean) + 2.0f * by_own.part[k] * mean);
      const V by_a = h.part[k] * mean *
                     (by_d.part[k] * mean + by_load.part[k] * (1.0f - mean) + by_own.part[k] * mean);
      store(by_a_rows + at, by_a + by_mean * u * reference.spread_ohm);
      by_spread += by_mean * u * a;
      const V by_slope_u = by_slope.part[k] * u;
      by_cell += by_slope_u * (before + current);
      store(by_u_rows + at, load(by_u_rows + at) + by_mean * ratio - by_log * (next * pair) +
                                by_slope.part[k] * reference.cell_ohm * (before + current));
      store(by_u_rows + at + kRowFloats, load(by_u_rows + at + kRowFloats) - by_log * (u * pair));
      store(by_i_rows + at, load(by_i_rows + at) + reference.cell_ohm * by_slope_u);
      if (b > 0)
        store(by_i_rows + at - kRowFloats, load(by_i_rows + at - kRowFloats) + reference.cell_ohm * by_slope_u);
    }
  }

  for (int k = 0; k < kPieces; ++k) {
    V by_next{}, carried{};
    for (int b = 0; b < blocks; ++b) {
      const long at = b * kRowFloats + k * kLanes;
      by_next -= load(by_u_rows + at) * voltage(b, k) + load(by_i_rows + at) * load(i_rows + at);
    }
    for (int b = last; b >= 0; --b) {
      const long at = b * kRowFloats + k * kLanes;
      const V a = load(a_rows + at), u = voltage(b, k);
      carried += load(by_i_rows + at) + (b < last ? reference.block_ohm : reference.end_ohm) * by_next;
      (b < last ? by_block : by_end) += by_next * load(i_rows + at);
      const V by_a = load(by_a_rows + at) + carried * u * (1.0f + 2.0f * reference.spread_ohm * a);
      store(by_a_rows + at, by_a * rate.part[k]);
      by_spread += carried * u * a * a;
      by_next += load(by_u_rows + at) + carried * a * (1.0f + reference.spread_ohm * a);
    }
  }

  for (int b = 0; b < blocks; ++b) {
    Levels square, slope;
    for (int k = 0; k < kPieces; ++k) {
      const long at = b * kRowFloats + k * kLanes;
      const V u = voltage(b, k), mean = u * (1.0f + reference.spread_ohm * load(a_rows + at));
      square.part[k] = mean * mean;
      slope.part[k] =
          reference.cell_ohm * u * ((b > 0 ? load(i_rows + at - kRowFloats) : V{}) + load(i_rows + at));
    }
    const Levels by_a = load_levels(by_a_rows + b * kRowFloats);
    for (int i = 0; i < reference.length; i += kLanes) {
      const int row = b * reference.length + i;
      const Ends ends = pulse_ends(load(pass.lengths + row), in.levels);
      V by_length = load(reference.conductance + row) * at_ends(by_a, ends);
      for (int bin = 0; bin < bins; ++bin) {
        Levels own_square, own_slope;
        for (int k = 0; k < kPieces; ++k) {
          own_square.part[k] = mask[bin].part[k] * square.part[k];
          own_slope.part[k] = mask[bin].part[k] * slope.part[k];
        }
        by_length += load(in.x + bin * in.x_stride + row) *
                     (at_ends(own_square, ends) + load(reference.offset + i) * at_ends(own_slope, ends));
      }
      store(out.lengths + row, by_length);
    }
  }
  out.block_ohm = sum(by_block), out.end_ohm = sum(by_end);
  out.spread_ohm = sum(by_spread), out.cell_ohm = sum(by_cell);
}
