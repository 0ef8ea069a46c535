// Internal. Body of the read-noise kernels; included once for each instruction set, inside an unnamed namespace, after kLanes, the
// types U (kLanes whole numbers) and V, and the functions philox, rsqrt and all are defined. No other header may be included here.

typedef float VInMemory __attribute__((vector_size(kLanes * 4), aligned(4), may_alias));
typedef int Whole __attribute__((vector_size(kLanes * 4)));

constexpr int kParts = 16 / kLanes;  // vectors that hold 16 columns

inline V load(const float* p) { return *reinterpret_cast<const VInMemory*>(p); }
inline void store(float* p, V v) { *reinterpret_cast<VInMemory*>(p) = v; }

// Four words for each of 16 counters.
struct PanelWords {
  U word[4][kParts];
};

enum Purpose : unsigned { kSchedule = 0, kFresh = 1, kRenewal = 2, kFastBegin = 100 };

inline PanelWords panel_words(const ColumnNoise& job, unsigned long long step, unsigned purpose) {
  PanelWords out;
  for (int part = 0; part < kParts; ++part) {
    U lane;
    for (int l = 0; l < kLanes; ++l) lane[l] = static_cast<unsigned>(16u * job.panel + static_cast<unsigned>(part * kLanes + l));
    const U counter[4] = {lane, U{} + static_cast<unsigned>(step), U{} + (static_cast<unsigned>(step >> 32) << 8 | purpose), U{} + job.tile};
    U words[4];
    philox(job.key, counter, words);
    for (int w = 0; w < 4; ++w) out.word[w][part] = words[w];
  }
  return out;
}

// ln u for 0 < u <= 1.
inline V log_of(V u) {
  const Whole bits = (Whole)u - 0x3f3504f3;
  const V exponent = __builtin_convertvector(bits >> 23, V);
  const V f = (V)((bits & 0x7fffff) + 0x3f3504f3) - 1.0f;
  V p = all(0.122826268f);
  p = p * f + -0.184826345f;
  p = p * f + 0.203463458f;
  p = p * f + -0.249328147f;
  p = p * f + 0.333249238f;
  p = p * f + -0.50000411f;
  return exponent * 0.693147181f + (f + f * f * p);
}

// Two independent standard normals of one word (Box and Muller). The whole word is the radius, its last 17 bits are the angle: beyond
// 4.8 standard deviations (2^-17 of the words) both come from the same bits.
inline void normals(U word, V& a, V& b) {
  const V u = (__builtin_convertvector((Whole)(word >> 1), V) + 0.5f) * 0x1.fffffcp-32f;  // always below 1
  const V square = -2.0f * log_of(u);
  const V radius = square * rough_rsqrt(square);
  const V y = __builtin_convertvector((Whole)(word << 16), V) * 0x1p-32f, z = y * y;
  V s = all(-0.559462455f), c = all(-1.22203176f);
  s = s * z + 2.54401052f;
  c = c * z + 4.0412481f;
  s = s * z + -5.16740673f;
  c = c * z + -4.93393467f;
  s = s * z + 3.14159027f;
  c = c * z + 0.999993249f;
  const V side = (V)((U)radius ^ (word << 15 & 0x80000000u));  // which half of the circle
  a = side * c;
  b = radius * (s * y);
}

// Normals in the order of the columns: word w of lane l serves columns 32 w + l and 32 w + 16 + l.
struct PanelNormals {
  V value[8][kParts];
};
inline PanelNormals panel_normals(const ColumnNoise& job, unsigned long long step, unsigned purpose) {
  const PanelWords words = panel_words(job, step, purpose);
  PanelNormals out;
#pragma GCC unroll 2
  for (int part = 0; part < kParts; ++part)
#pragma GCC unroll 4
    for (int w = 0; w < 4; ++w) normals(words.word[w][part], out.value[2 * w][part], out.value[2 * w + 1][part]);
  return out;
}

// New values of one held part: what they change in the sum is left in `change`.
inline void renew(const ColumnNoise& job, unsigned long long step, int number, float* change) {
  const PanelNormals now = panel_normals(job, step, kRenewal + static_cast<unsigned>(number));
  float* values = job.values + number * kNoisePanel;
  const V weight = all(job.weights[number]);
#pragma GCC unroll 8
  for (int w = 0; w < 8; ++w)
#pragma GCC unroll 2
    for (int part = 0; part < kParts; ++part) {
      const int at = w * 16 + part * kLanes;
      store(change + at, load(change + at) + weight * (now.value[w][part] - load(values + at)));
      store(values + at, now.value[w][part]);
    }
}

// Rounding errors of many renewals are not kept for ever.
inline void add_up(const ColumnNoise& job) {
  for (int at = 0; at < kNoisePanel; at += kLanes) {
    V sum{};
    for (int k = 0; k < job.held; ++k) sum += job.weights[k] * load(job.values + k * kNoisePanel + at);
    store(job.sum + at, sum);
  }
}

// Which parts are due at four products (16 bits each), for the group of four that `step` is in.
inline unsigned long long due_in_group(const ColumnNoise& job, unsigned long long step) {
  const PanelWords words = panel_words(job, step / 4, kSchedule);
  unsigned schedule[4 * 16];
  __builtin_memcpy(schedule, &words, sizeof schedule);
  unsigned long long due = 0;
  for (int k = 0; k < 4; ++k)
    due |= static_cast<unsigned long long>(due_of(schedule + 16 * k, job.renewals) & ((1u << job.held) - 1u)) << (16 * k);
  return due;
}

// Sum and new part, weighted, on top of the output of one product.
template <int kFast>
inline void add_product(const ColumnNoise& job, int p, const float* change) {
  const PanelNormals fresh = panel_normals(job, job.first + static_cast<unsigned>(p), kFresh);
  const V of_sum = all(job.of_sum[p] * job.scale), of_fresh = all(job.of_fresh[p] * job.scale);
  const float* variance = job.variance + p * job.variance_stride;
  float* out = job.out + p * job.out_stride;
#pragma GCC unroll 8
  for (int w = 0; w < 8; ++w)
#pragma GCC unroll 2
    for (int part = 0; part < kParts; ++part) {
      const int at = w * 16 + part * kLanes;
      const V square = load(variance + at) + 1e-30f;
      const V sigma = square * rsqrt(square), sum = load(job.sum + at) + load(change + at), e = fresh.value[w][part];
      store(job.sum + at, sum);
      V process = job.fast_new * e;
#pragma GCC unroll 2
      for (int k = 0; k < kFast; ++k) {
        float* state = job.fast_state + k * kNoisePanel + at;
        const V before = load(state);
        process += before;
        store(state, job.fast_decay[k] * before + job.fast_gain[k] * e);
      }
      store(out + at, load(out + at) + sigma * (of_sum * sum + of_fresh * process));
    }
}

inline void begin_fast(const ColumnNoise& job) {
  PanelNormals normal[kMostFast];
  for (int k = 0; k < job.fast; ++k) normal[k] = panel_normals(job, job.first, kFastBegin + static_cast<unsigned>(k));
  for (int k = 0; k < job.fast; ++k)
    for (int w = 0; w < 8; ++w)
      for (int part = 0; part < kParts; ++part) {
        V state{};
        for (int from = 0; from < job.fast; ++from) state += job.fast_first[k][from] * normal[from].value[w][part];
        store(job.fast_state + k * kNoisePanel + w * 16 + part * kLanes, state);
      }
}

// All renewals of up to kStretch products first, then the products: two regular loops instead of a branch a product.
void column_noise(const ColumnNoise& job) {
  constexpr int kStretch = 32;
  if (job.begin) begin_fast(job);
  alignas(64) float change[kStretch * kNoisePanel];
  const unsigned long long end = job.first + static_cast<unsigned>(job.products);
  for (unsigned long long begin = job.first, next = 0; begin < end; begin = next) {
    next = (begin / kStretch + 1) * kStretch < end ? (begin / kStretch + 1) * kStretch : end;
    if (begin % 1024 == 0) add_up(job);
    __builtin_memset(change, 0, sizeof change);
    for (unsigned long long group = begin & ~3ull; group < next; group += 4) {
      unsigned long long due = due_in_group(job, group);
      if (group < begin) due = due >> (16 * (begin - group)) << (16 * (begin - group));
      if (group + 4 > next) due &= ~0ull >> (16 * (group + 4 - next));
      if (job.begin && begin == job.first && group <= begin) due |= ((1ull << job.held) - 1ull) << (16 * (begin - group));
      for (; due != 0; due &= due - 1) {
        const unsigned place = static_cast<unsigned>(__builtin_ctzll(due));
        const unsigned long long step = group + place / 16;
        renew(job, step, static_cast<int>(place % 16), change + (step - begin) * kNoisePanel);
      }
    }
    for (unsigned long long step = begin; step < next; ++step) {
      const float* now = change + (step - begin) * kNoisePanel;
      const int p = static_cast<int>(step - job.first);
      if (job.fast == 0) add_product<0>(job, p, now);
      if (job.fast == 1) add_product<1>(job, p, now);
      if (job.fast == 2) add_product<2>(job, p, now);
    }
  }
}

// kBlock vectors at a time against two registers' width of columns.
template <int kBlock>
inline void dense_block(const DenseSums& job, int row, int column) {
  V sum[kBlock][2] = {};
  const float* a = job.a + row * job.a_row;
  const float* b = job.b + column;
  for (int k = 0; k < job.depth; ++k, b += kPanel) {
    const V left = load(b), right = load(b + kLanes);
#pragma GCC unroll 16
    for (int m = 0; m < kBlock; ++m) {
      const V x = all(a[m * job.a_row + k]);
      sum[m][0] += x * left;
      sum[m][1] += x * right;
    }
  }
  for (int m = 0; m < kBlock; ++m) {
    store(job.out + (row + m) * job.out_row + column, sum[m][0]);
    store(job.out + (row + m) * job.out_row + column + kLanes, sum[m][1]);
  }
}

void dense_sums(const DenseSums& job) {
  constexpr int kBlock = kLanes == 16 ? 12 : 6;
  for (int column = 0; column < kPanel; column += 2 * kLanes) {
    int row = 0;
    for (; row + kBlock <= job.rows; row += kBlock) dense_block<kBlock>(job, row, column);
    for (; row + 4 <= job.rows; row += 4) dense_block<4>(job, row, column);
    for (; row < job.rows; ++row) dense_block<1>(job, row, column);
  }
}
