// Bodies of the kernels of strip_kernels.hpp for one vector type V of kWidth doubles: included inside an
// anonymous namespace by a file for each instruction set, which must share no inline function with the
// others.

struct Places {
  alignas(64) double at[kStrip];
  constexpr Places() : at() {
    for (Index j = 0; j < kStrip; ++j) at[j] = static_cast<double>(j);
  }
};
constexpr Places kPlaces;
constexpr Index kVectors = kStrip / kWidth;

inline V take(const double* at) {
  V value;
  __builtin_memcpy(&value, at, sizeof value);
  return value;
}
inline void put(double* at, V value) {
  __builtin_memcpy(at, &value, sizeof value);
}
inline double total_of(V value) {
  double sum = 0.0;
  for (Index l = 0; l < kWidth; ++l) sum += value[l];
  return sum;
}

template <bool kCharge, bool kFactor, bool kSenseOnly, Index kWide>
void columns_part(const Columns& task, Index from) {
  V behind[kWide] = {}, shunt[kWide] = {}, place[kWide];
  for (Index v = 0; v < kWide; ++v) place[v] = take(kPlaces.at + from + kWidth * v);
  for (Index k = 0; k < task.count; ++k) {
    const Index s = task.order[k];
    const double ohm = task.ohm[k];
    const double* const g = task.g.at(task.strip, s) + from;
    const double* const drop = task.drop.at(task.strip, s) + from;
    const double* const pattern = task.pattern.at(task.strip, s);
    const double* const charge = kCharge ? task.charge.at(task.strip, s) + from : nullptr;
    double* const share = task.share + s * kStrip + from;
    double* const out = task.column + s * kStrip + from;
    const double slope = pattern[1], volt = kCharge ? -pattern[0] : task.volt[s] - pattern[0];
    for (Index v = 0; v < kWide; ++v) {
      const V conductance = take(g + kWidth * v);
      V source = conductance * (volt - (take(drop + kWidth * v) + slope * place[v]));
      if (kCharge) source += take(charge + kWidth * v);
      V passed;
      if (kFactor) {
        const V total = shunt[v] + conductance;
        passed = 1.0 / (1.0 + total * ohm);
        shunt[v] = total * passed;
        put(share + kWidth * v, passed);
      } else {
        passed = take(share + kWidth * v);
      }
      if (!kSenseOnly) put(out + kWidth * v, source + behind[v]);
      behind[v] = passed * behind[v] + passed * source;
    }
  }
  for (Index v = 0; v < kWide; ++v) put(task.current + from + kWidth * v, behind[v]);
  if (kSenseOnly) return;
  V volt[kWide] = {};
  for (Index k = task.count - 1; k >= 0; --k) {
    const Index s = task.order[k];
    const double ohm = task.ohm[k];
    const double* const share = task.share + s * kStrip + from;
    double* const out = task.column + s * kStrip + from;
    for (Index v = 0; v < kWide; ++v) {
      const V passed = take(share + kWidth * v);
      volt[v] = passed * volt[v] + passed * ohm * take(out + kWidth * v);
      put(out + kWidth * v, volt[v]);
    }
  }
}

template <bool kCharge>
void columns_strip(const Columns& task) {
  constexpr Index kWide = 4;
  for (Index from = task.half * kStrip / 2; from < (task.half + 1) * kStrip / 2; from += kWidth * kWide) {
    if (task.factor && task.sense_only)
      columns_part<kCharge, true, true, kWide>(task, from);
    else if (task.factor)
      columns_part<kCharge, true, false, kWide>(task, from);
    else if (task.sense_only)
      columns_part<kCharge, false, true, kWide>(task, from);
    else
      columns_part<kCharge, false, false, kWide>(task, from);
  }
}

void columns(const Columns& task) {
  if (task.volt == nullptr)
    columns_strip<true>(task);
  else
    columns_strip<false>(task);
}

// Right-hand sides of kWidth slots, brought into lanes.
template <bool kCharge>
void pack(const Rows& task, Index lane) {
  for (Index t = 0; t < task.strips; ++t) {
    const double *g[kWidth], *column[kWidth], *before[kWidth] = {}, *now[kWidth] = {};
    double volt[kWidth], slope[kWidth] = {};
    for (Index l = 0; l < kWidth; ++l) {
      const Index s = task.first + lane + l;
      g[l] = task.g.at(t, s);
      column[l] = task.column.at(t, s);
      if (kCharge) {
        before[l] = task.before.at(t, s);
        now[l] = task.now.at(t, s);
        volt[l] = task.change.at(t, s)[0];
        slope[l] = task.change.at(t, s)[1];
      } else {
        volt[l] = task.volt[s];
      }
    }
    double* const out = task.buffer + t * kStrip * kRowLanes + lane;
    for (Index v = 0; v < kVectors; ++v) {
      V a[kWidth];
      for (Index l = 0; l < kWidth; ++l) {
        const V conductance = take(g[l] + kWidth * v), c = take(column[l] + kWidth * v);
        if (kCharge) {
          const V change = take(before[l] + kWidth * v) - take(now[l] + kWidth * v);
          a[l] =
              task.farad * (change + (volt[l] + slope[l] * take(kPlaces.at + kWidth * v))) - conductance * c;
        } else {
          a[l] = conductance * (volt[l] - c);
        }
      }
      turn(a);
      for (Index l = 0; l < kWidth; ++l) put(out + (kWidth * v + l) * kRowLanes, a[l]);
    }
  }
}

void solve_lanes(const Rows& task) {
  constexpr Index kParts = kRowLanes / kWidth;
  double* const buffer = task.buffer;
  V behind[kParts] = {};
  for (Index j = task.cols - 1; j >= 0; --j) {
    double* const at = buffer + task.offset[j];
    const double* const pass = task.pass + j * kRowLanes;
    for (Index h = 0; h < kParts; ++h) {
      const V source = take(at + kWidth * h), share = take(pass + kWidth * h);
      put(at + kWidth * h, source + behind[h]);
      behind[h] = share * behind[h] + share * source;
    }
  }
  V volt[kParts] = {};
  for (Index j = 0; j < task.cols; ++j) {
    double* const at = buffer + task.offset[j];
    const double* const pass = task.pass + j * kRowLanes;
    const double ohm = task.ohm[j];
    for (Index h = 0; h < kParts; ++h) {
      const V share = take(pass + kWidth * h);
      volt[h] = share * volt[h] + share * ohm * take(at + kWidth * h);
      put(at + kWidth * h, volt[h]);
    }
  }
}

// Brings kWidth slots back, and measures what the columns lack.
template <bool kLost>
void unpack(const Rows& task, Index lane, V& most) {
  for (Index t = 0; t < task.strips; ++t) {
    const double *g[kWidth], *drop[kWidth];
    double *next[kWidth], value[kWidth], slope[kWidth];
    for (Index l = 0; l < kWidth; ++l) {
      const Index s = task.first + lane + l;
      g[l] = task.g.at(t, s);
      drop[l] = task.drop.at(t, s);
      next[l] = task.next + t * task.g.strip + s * kStrip;
      value[l] = task.pattern.at(t, s)[0];
      slope[l] = task.pattern.at(t, s)[1];
    }
    const double* const in = task.buffer + t * kStrip * kRowLanes + lane;
    V sum_r[kWidth] = {}, sum_place[kWidth] = {};
    for (Index v = 0; v < kVectors; ++v) {
      V a[kWidth];
      for (Index l = 0; l < kWidth; ++l) a[l] = take(in + (kWidth * v + l) * kRowLanes);
      turn(a);
      const V place = take(kPlaces.at + kWidth * v);
      V lost = kLost ? take(task.lost + t * kStrip + kWidth * v) : V{};
      for (Index l = 0; l < kWidth; ++l) {
        const V before = take(drop[l] + kWidth * v) + (value[l] + slope[l] * place);
        const V r = take(g[l] + kWidth * v) * (before - a[l]);
        put(next[l] + kWidth * v, a[l]);
        sum_r[l] += r;
        sum_place[l] += r * place;
        const V size = r > -r ? r : -r;
        most = size > most ? size : most;
        if (kLost) lost += size;
      }
      if (kLost) put(task.lost + t * kStrip + kWidth * v, lost);
    }
    for (Index l = 0; l < kWidth; ++l) {
      double* const moments = task.moments + ((lane + l) * task.strips + t) * 2;
      moments[0] = total_of(sum_r[l]);
      moments[1] = total_of(sum_place[l]);
    }
  }
}

double rows(const Rows& task) {
  for (Index lane = 0; lane < kRowLanes; lane += kWidth) {
    if (task.volt == nullptr)
      pack<true>(task, lane);
    else
      pack<false>(task, lane);
  }
  solve_lanes(task);
  V most{};
  for (Index lane = 0; lane < kRowLanes; lane += kWidth) {
    if (task.lost != nullptr)
      unpack<true>(task, lane, most);
    else
      unpack<false>(task, lane, most);
  }
  double worst = 0.0;
  for (Index l = 0; l < kWidth; ++l) worst = most[l] > worst ? most[l] : worst;
  return worst;
}
