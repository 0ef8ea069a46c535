// Internal. The gradients of the closure's kernels; included after closure_kernels_impl.hpp, like it. Names as in
// closure_gradient.cpp, whose float32 form this is.

// out[m][lanes] += sum over k of a(m, k) b[k][lanes], for `rows` rows of `pieces` vectors.
template <int rows, int pieces>
inline void add_product(const Product& p, int row, int piece) {
  V sums[rows][pieces];
#pragma GCC unroll 16
  for (int m = 0; m < rows; ++m)
#pragma GCC unroll 4
    for (int k = 0; k < pieces; ++k) sums[m][k] = load(p.out + (row + m) * p.out_row + (piece + k) * kLanes);
  const float* a = p.a + row * p.a_row;
  const float* b = p.b + piece * kLanes;
  for (int i = 0; i < p.depth; ++i) {
    V right[pieces];
#pragma GCC unroll 4
    for (int k = 0; k < pieces; ++k) right[k] = load(b + k * kLanes);
#pragma GCC unroll 16
    for (int m = 0; m < rows; ++m) {
      const V left = all(a[m * p.a_row]);
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

template <int pieces>
inline void add_product_rows(const Product& p, int piece) {
  int row = 0;
  for (; row + 8 <= p.rows; row += 8) add_product<8, pieces>(p, row, piece);
  for (; row + 4 <= p.rows; row += 4) add_product<4, pieces>(p, row, piece);
  for (; row < p.rows; ++row) add_product<1, pieces>(p, row, piece);
}

void product(const Product& p) {
  int piece = 0;
  for (; piece + 2 <= p.lanes / kLanes; piece += 2) add_product_rows<2>(p, piece);
  for (; piece < p.lanes / kLanes; ++piece) add_product_rows<1>(p, piece);
}

// One vector and panel: y before every block and D behind it, then what the loss says about them. `share` is e f_b,
// by block x vectors x panel columns; by_resistance is added to.
template <int vectors, int pieces, bool mesh>
inline void panel_backward(const Columns& c, const ColumnsBackward& g, int first) {
  constexpr int kCols = pieces * kLanes;
  V d[vectors][pieces], y[vectors][pieces];
  for (int v = 0; v < vectors; ++v)
    for (int k = 0; k < pieces; ++k) d[v][k] = V{}, y[v][k] = all(1.0f);
  const float* delta = c.delta;
  const float* x = c.x + first * c.x_stride;
  const long block_floats = static_cast<long>(c.vectors) * kCols;
  for (int b = 0; b < c.blocks; ++b) {
    V sums[vectors][pieces];
#pragma GCC unroll 16
    for (int v = 0; v < vectors; ++v)
#pragma GCC unroll 4
      for (int k = 0; k < pieces; ++k) sums[v][k] = V{};
    for (int i = 0; i < c.length; ++i) {
      V right[pieces];
#pragma GCC unroll 4
      for (int k = 0; k < pieces; ++k) right[k] = load(delta + k * kLanes);
#pragma GCC unroll 16
      for (int v = 0; v < vectors; ++v) {
        const V factor = all(x[v * c.x_stride]);
#pragma GCC unroll 4
        for (int k = 0; k < pieces; ++k) sums[v][k] += factor * right[k];
      }
      delta += kCols;
      ++x;
    }
#pragma GCC unroll 16
    for (int v = 0; v < vectors; ++v) {
      const long at = (first + v) * c.resistance_stride + b;
      const V r = all(c.resistance[at]);
      float* share = g.share + b * block_floats + (first + v) * kCols;
      float* behind = g.behind + b * block_floats + (first + v) * kCols;
#pragma GCC unroll 4
      for (int k = 0; k < pieces; ++k) {
        store(share + k * kLanes, y[v][k]);
        if (mesh) {
          store(g.sum + (share - g.share) + k * kLanes, sums[v][k]);
          sums[v][k] = with_mesh(sums[v][k], load(c.mesh + b * kCols + k * kLanes), c.load[at], c.own[at]);
        }
        d[v][k] += sums[v][k] * y[v][k];
        store(behind + k * kLanes, d[v][k]);
        y[v][k] += r * d[v][k];
      }
    }
  }
  for (int v = 0; v < vectors; ++v) {
    V end[pieces], e[pieces];
    for (int k = 0; k < pieces; ++k) {
      end[k] = reciprocal(y[v][k]);
      e[k] = load(g.charge + (first + v) * g.charge_stride + k * kLanes) * end[k] * end[k];
    }
    for (int b = 0; b < c.blocks; ++b) {
      float* share = g.share + b * block_floats + (first + v) * kCols;
      const float* behind = g.behind + b * block_floats + (first + v) * kCols;
      const long at = (first + v) * c.resistance_stride + b;
      V loss{}, by_load{}, by_own{};
      for (int k = 0; k < pieces; ++k) {
        const V before = load(share + k * kLanes), d_behind = load(behind + k * kLanes);
        V by_sum = e[k] * before * before;
        if (mesh) {
          const V q = by_sum * load(c.mesh + b * kCols + k * kLanes);
          by_load += q * (load(g.sum + (share - g.share) + k * kLanes) + c.own[at]);
          by_own += q;
          by_sum += q * c.load[at];
        }
        store(share + k * kLanes, by_sum);
        loss += e[k] * d_behind * d_behind;
      }
      const long lanes = ((first + v) * static_cast<long>(c.blocks) + b) * kMostLanes;
      store(g.by_resistance + lanes, load(g.by_resistance + lanes) - loss);
      if (mesh) {
        store(g.by_load + lanes, load(g.by_load + lanes) + by_load);
        store(g.by_own + lanes, load(g.by_own + lanes) + by_own * c.load[at]);
      }
    }
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

// Sums over a block's rows of value_i kappa_i(m), and of the same with p_i.
inline void spread_rows(const Reference& reference, const Pass& pass, int first, const float* value, Levels& plain,
                        Levels& by_offset) {
  V sums[2][kPieces] = {}, offsets[2][kPieces] = {};
  const V lane = __builtin_convertvector(count_up(), V);
  for (int i = 0; i < reference.length; ++i) {
    const float weight = value[first + i], offset = weight * reference.offset[i];
    const float* shares = pass.codes ? pass.shares + pass.codes[first + i] * kLevels : nullptr;
    for (int k = 0; k < kPieces; ++k) {
      V share;
      if (shares) {
        share = load(shares + k * kLanes);
      } else {
        share = all(pass.lengths[first + i] - static_cast<float>(k * kLanes)) - lane;
        share = share > 0.0f ? share : V{};
        share = share < 1.0f ? share : all(1.0f);
      }
      sums[i & 1][k] += weight * share;
      offsets[i & 1][k] += offset * share;
    }
  }
  for (int k = 0; k < kPieces; ++k) {
    const V h = load(pass.durations + k * kLanes);
    plain.part[k] += h * (sums[0][k] + sums[1][k]);
    by_offset.part[k] += h * (offsets[0][k] + offsets[1][k]);
  }
}

inline Levels load_levels(const float* row) {
  Levels out;
  for (int k = 0; k < kPieces; ++k) out.part[k] = load(row + k * kLanes);
  return out;
}
inline void store_levels(float* row, const Levels& in) {
  for (int k = 0; k < kPieces; ++k) store(row + k * kLanes, in.part[k]);
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
      const float z = sum(load(z_rows + (bin * rounded_blocks(blocks) + b) * kMostLanes));
      const float r = resistance[bin * in.resistance_stride + b];
      const float by_r = in.resistance[bin * in.by_resistance_stride + b];
      const float one_n = z > 0.0f ? by_r / (z * z) : 0.0f, one_z = z > 0.0f ? -2.0f * r * by_r / z : 0.0f;
      float one_load = 0.0f, one_own = 0.0f;
      if (in.load) {
        const long row = (bin * rounded_blocks(blocks) + b) * kMostLanes;
        const float loads = sum(load(load_rows + row)), own = sum(load(own_rows + row));
        one_load = own > 0.0f ? in.load[bin * in.by_resistance_stride + b] / own : 0.0f;
        one_own = own > 0.0f ? in.own[bin * in.by_resistance_stride + b] - one_load * loads / own : 0.0f;
      }
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
