#include "circuit/gated_charge.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "circuit/lanes.hpp"

namespace crosstile::circuit {

using strip_kernels::kStrip;

namespace {

constexpr int kMostSweeps = 12;  // beyond, conjugate gradients on every interval are quicker

}  // namespace

GatedCharge::GatedCharge(const Crossbar& crossbar, const Array& conductance, const SteadyOptions& options)
    : crossbar_(crossbar),
      conductance_(conductance),
      options_(options),
      mesh_(crossbar, StripModes::Hats{2.0, 6, 12}) {
  options_.max_iterations = std::min(options.max_iterations, kMostSweeps);
  rc_ = crossbar.tile.c_row_farad > 0.0 || crossbar.tile.c_col_farad > 0.0;
}

std::optional<GatedCharge::Sums> GatedCharge::run(
    const data::Pass& pass, const std::function<void(double, const Vector&)>& interval) {
  const auto times = data::pulse_times(pass, crossbar_.tile.pulse);
  std::vector<Index> rows;
  for (Index i = 0; i < pass.codes.size(); ++i)
    if (pass.codes[i] != 0) rows.push_back(i);
  if (rows.empty()) return std::nullopt;
  const double same_s = 1e-6 * crossbar_.tile.pulse.t_lsb_s;
  for (const Index i : rows)
    if (std::abs(times.start_s[i] - times.start_s[rows.front()]) > same_s) return std::nullopt;
  std::stable_sort(rows.begin(), rows.end(),
                   [&](Index a, Index b) { return std::abs(pass.codes[a]) > std::abs(pass.codes[b]); });

  mesh_.take_rows(rows, conductance_);
  volt_.assign(static_cast<std::size_t>(mesh_.padded_slots()), 0.0);
  for (std::size_t s = 0; s < rows.size(); ++s)
    volt_[s] = pass.codes[rows[s]] < 0 ? -crossbar_.tile.v_read_volt : crossbar_.tile.v_read_volt;
  for (StripArray* const array : {&now_.drop, &now_.column})
    array->resize(mesh_.strips(), mesh_.padded_slots(), crossbar_.cols());
  now_.column.fill(0.0);  // of slots that only fill up a block
  if (rc_) {
    for (StripArray* const array :
         {&before_.drop, &before_.column, &charge_, &transition_drop_, &transition_column_})
      array->resize(mesh_.strips(), mesh_.padded_slots(), crossbar_.cols());
    for (StripArray* const array : {&now_.drop, &before_.drop, &before_.column, &transition_column_})
      array->fill(0.0);
    charge_.fill(0.0);
    pattern_before_.assign(mesh_.pattern_size(), 0.0);
    change_.assign(mesh_.pattern_size(), 0.0);
  }

  Sums sums;
  sums.correction = Vector::Zero(crossbar_.cols());
  const double largest_ampere = crossbar_.tile.v_read_volt * mesh_.largest_conductance();
  const double longest_s = times.end_s[rows.front()] - times.start_s[rows.front()];
  double begin_s = times.start_s[rows.front()];
  Index count = mesh_.slots();
  while (true) {
    const double end_s = count > 0 ? times.end_s[rows[static_cast<std::size_t>(count - 1)]] : pass.window_s;
    const double length_s = end_s - begin_s;
    if (!advance(count, options_.tolerance * largest_ampere)) return std::nullopt;
    sums.sweeps += answer_.sweeps;
    sums.shortest_interval_s = sums.intervals == 0 ? length_s : std::min(sums.shortest_interval_s, length_s);
    ++sums.intervals;
    if (count > 0) interval(length_s, to_physical_order(answer_.sense));
    if (rc_ && !settle(0.03 * options_.tolerance * largest_ampere * longest_s, sums)) return std::nullopt;
    if (count == 0) return sums;
    begin_s = end_s;
    while (count > 0 && std::abs(times.end_s[rows[static_cast<std::size_t>(count - 1)]] - end_s) <= same_s)
      --count;
  }
}

Vector GatedCharge::to_physical_order(const Vector& internal) const {
  Vector physical(internal.size());
  for (Index j = 0; j < internal.size(); ++j)
    physical[crossbar_.column_order[static_cast<std::size_t>(j)]] = internal[j];
  return physical;
}

// The steady state with the first `count` slots, from that of the interval before.
bool GatedCharge::advance(Index count, double tolerance) {
  const Index previous = mesh_.count();
  const Index unknowns = mesh_.modes().unknowns(), groups = mesh_.modes_groups();
  Vector rows = Vector::Zero(unknowns), columns = Vector::Zero(groups * unknowns);
  std::vector<double> moments(static_cast<std::size_t>(2 * mesh_.strips()));
  const auto in_groups = [&](const auto& gather) {
    for (Index q = 0; q < groups; ++q) {
      const StripGroup& group = mesh_.groups()[static_cast<std::size_t>(q)];
      gather(group.first_strip, group.strips, columns.data() + q * unknowns);
    }
  };
  // What the columns lose with the slots that are dropped; at first, what all slots bring.
  for (Index s = count; s < previous; ++s) {
    mesh_.current_moments(s, volt_[static_cast<std::size_t>(s)], now_.drop, now_.column, moments.data());
    in_groups([&](Index strip, Index strips, double* out) {
      mesh_.modes().gather(s, strip, strips, moments.data(), -1.0, out);
    });
    mesh_.silence(s);
  }
  if (previous == 0)
    for (Index s = 0; s < count; ++s) {
      const double volt = volt_[static_cast<std::size_t>(s)];
      mesh_.modes().gather_conductances(s, 0, mesh_.strips(), volt, rows.data());
      in_groups([&](Index strip, Index strips, double* out) {
        mesh_.modes().gather_conductances(s, strip, strips, volt, out);
      });
    }
  if (rc_) {
    pattern_before_ = mesh_.pattern();
    std::swap(now_, before_);
    orders_before_.clear();
    for (const StripGroup& group : mesh_.groups()) orders_before_.push_back(group.order);
  }
  if (!mesh_.keep(count)) return false;
  answer_.sweeps = 0;
  if (count == 0) return true;
  moved_ = mesh_.modes().solve(rows, columns);
  StripMesh::Start start;
  if (previous == 0) {
    start.rows = rows;
    start.columns = columns;
  } else {
    start.drop = (rc_ ? before_ : now_).drop.field();
    start.smooth = answer_.smooth + moved_;
  }
  answer_.drop = &now_.drop;
  answer_.column = &now_.column;
  StripMesh::Source source;
  source.volt = volt_.data();
  mesh_.solve(source, start, {tolerance, options_.max_iterations}, answer_);
  return answer_.converged;
}

// Charge of going from the state before to the one now.
bool GatedCharge::settle(double tolerance, Sums& sums) {
  const Index count = mesh_.count();
  Vector sensed = Vector::Zero(crossbar_.cols());  // internal order
  moments_.assign(static_cast<std::size_t>(count * mesh_.strips() * 2), 0.0);
  if (crossbar_.tile.c_col_farad > 0.0) {
    for (std::size_t q = 0; q < mesh_.groups().size(); ++q) {
      const StripGroup& group = mesh_.groups()[q];
      const auto& order = orders_before_[q].empty() ? group.order : orders_before_[q];
      charge_columns(group, nodes_of(group, order, count), count, sensed);
    }
  }
  if (count > 0) {
    // The drops' smooth parts belong to them.
    const auto& pattern = mesh_.pattern();
    for (Index m = 0; m < 2 * mesh_.strips() * count; ++m) {
      const auto at = static_cast<std::size_t>(m);
      change_[at] = pattern_before_[at] - pattern[at];
    }
    StripMesh::Source source;
    source.charge = charge_.field();
    source.before = before_.drop.field();
    source.now = now_.drop.field();
    source.change = &change_;
    source.farad = crossbar_.tile.c_row_farad;
    StripMesh::Start start;
    gather_charges(start.rows, start.columns);
    start.smooth = mesh_.modes().solve(start.rows, start.columns);
    start.drop = mesh_.nothing();
    StripMesh::Answer transition;
    transition.drop = &transition_drop_;
    transition.column = &transition_column_;
    const std::vector<double> kept = mesh_.pattern();
    mesh_.solve(source, start, {tolerance, options_.max_iterations}, transition);
    mesh_.restore_pattern(kept);
    sums.sweeps += transition.sweeps;
    if (!transition.converged) return false;
    sensed += transition.sense;
  }
  sums.correction += to_physical_order(sensed);
  return true;
}

// Where the slots of the column wires before a change stand between those after it, and the integrals of
// their hat functions: on a wire the voltage is linear in resistance from one row that conducts to the next.
std::vector<GatedCharge::Node> GatedCharge::nodes_of(const StripGroup& group, const std::vector<Index>& order,
                                                     Index count) const {
  const auto& rows = mesh_.rows();
  const auto row = [&](std::size_t k) { return rows[static_cast<std::size_t>(order[k])]; };
  const double r_col = crossbar_.tile.r_col_ohm;
  std::vector<Node> nodes(order.size());
  Index far = -1;
  for (std::size_t k = 0; k < nodes.size(); ++k) {
    Node& node = nodes[k];
    node.slot = order[k];
    node.mass += 1.0;
    node.weight += 1.0;
    if (k == 0) {  // the end of the wire follows the first of them
      const double end = static_cast<double>(group.north ? crossbar_.rows() - 1 - row(0) : row(0));
      node.mass += end;
      node.weight += end;
    }
    if (k + 1 < nodes.size()) {
      const double cells = static_cast<double>(std::abs(row(k + 1) - row(k)));
      const double square = (cells - 1.0) * (2.0 * cells - 1.0) / (6.0 * cells);
      node.mass += square;
      node.weight += 0.5 * (cells - 1.0);
      node.next_mass = (cells * cells - 1.0) / (6.0 * cells);
      nodes[k + 1].mass += square;
      nodes[k + 1].weight += 0.5 * (cells - 1.0);
    } else {
      const double ohm = mesh_.sense_ohm(row(k), group.north);
      const Index left = group.north ? row(k) : crossbar_.rows() - 1 - row(k);
      for (Index n = 1; n <= left; ++n) {
        const double share = ohm > 0.0 ? 1.0 - static_cast<double>(n) * r_col / ohm : 0.0;
        node.mass += share * share;
        node.weight += share;
      }
    }
    if (node.slot < count) far = node.slot;
    node.far = far;
  }
  // Towards the sense: the next slot that conducts, or ground.
  Index near = -1;
  for (std::size_t k = nodes.size(); k-- > 0;) {
    Node& node = nodes[k];
    if (node.slot < count) {
      near = node.slot;
      node.far_weight = 1.0;
      continue;
    }
    node.near = near;
    if (node.far < 0) {
      node.near_weight = near >= 0 ? 1.0 : 0.0;
      continue;
    }
    const Index at = row(k), far_row = rows[static_cast<std::size_t>(node.far)];
    const double to_far = static_cast<double>(std::abs(at - far_row)) * r_col;
    const double to_near =
        near >= 0 ? static_cast<double>(std::abs(rows[static_cast<std::size_t>(near)] - at)) * r_col
                  : mesh_.sense_ohm(at, group.north);
    node.far_weight = to_far + to_near > 0.0 ? to_near / (to_far + to_near) : 1.0;
    node.near_weight = near >= 0 ? 1.0 - node.far_weight : 0.0;
  }
  // A hat function less what of it the slots that conduct take over.
  std::vector<double> taken(nodes.size());
  for (std::size_t k = 0; k < nodes.size(); ++k) taken[k] = nodes[k].far_weight + nodes[k].near_weight;
  for (std::size_t k = 0; k < nodes.size(); ++k) {
    nodes[k].weight -= nodes[k].mass * taken[k];
    if (k > 0) nodes[k].weight -= nodes[k - 1].next_mass * taken[k - 1];
    if (k + 1 < nodes.size()) nodes[k].weight -= nodes[k].next_mass * taken[k + 1];
  }
  return nodes;
}

namespace {

// Sums of kStrip values and of values times place.
void add_moments(const double* values, double* moments) {
  Lanes4 place{0.0, 1.0, 2.0, 3.0}, total{}, total_place{};
  for (Index j = 0; j < kStrip; j += 4, place += 4.0) {
    const Lanes4 value = load<Lanes4>(values + j);
    total += value;
    total_place += value * place;
  }
  moments[0] += sum(total);
  moments[1] += sum(total_place);
}

}  // namespace

// Charges -C dc of the column wires, handed to the slots that conduct; what belongs to ground goes into
// `sensed`.
void GatedCharge::charge_columns(const StripGroup& group, const std::vector<Node>& nodes, Index count,
                                 Vector& sensed) {
  const double farad = crossbar_.tile.c_col_farad;
  step_.resize((nodes.size() + 2) * kStrip);
  std::fill(step_.begin(), step_.begin() + kStrip, 0.0);
  std::fill(step_.end() - kStrip, step_.end(), 0.0);
  for (Index t = group.first_strip; t < group.first_strip + group.strips; ++t) {
    for (std::size_t k = 0; k < nodes.size(); ++k) {
      const Node& node = nodes[k];
      double* const __restrict to = step_.data() + (k + 1) * kStrip;
      const double* const __restrict old = before_.column.at(t, node.slot);
      const double* const __restrict far = now_.column.at(t, std::max<Index>(node.far, 0));
      const double* const __restrict near = now_.column.at(t, std::max<Index>(node.near, 0));
      const double far_weight = node.far_weight, near_weight = node.near_weight;
      if (near_weight == 0.0)
        for (Index j = 0; j < kStrip; ++j) to[j] = far_weight * far[j] - old[j];
      else
        for (Index j = 0; j < kStrip; ++j) to[j] = far_weight * far[j] + near_weight * near[j] - old[j];
    }
    double rest[kStrip] = {}, next[kStrip] = {};  // next: for the slot that conducts next
    bool handed_on = false;
    double before_mass = 0.0;
    for (std::size_t k = 0; k < nodes.size(); ++k) {
      const Node& node = nodes[k];
      const double* const __restrict step = step_.data() + (k + 1) * kStrip;
      const double left = -farad * before_mass, own = -farad * node.mass, right = -farad * node.next_mass;
      before_mass = node.next_mass;
      if (std::abs(node.weight) > 1e-14 * node.mass)
        for (Index j = 0; j < kStrip; ++j) rest[j] -= farad * node.weight * step[j];
      if (node.far == node.slot) {
        double* const __restrict to = charge_.at(t, node.slot);
        for (Index j = 0; j < kStrip; ++j)
          to[j] = left * step[j - kStrip] + own * step[j] + right * step[j + kStrip];
        if (!handed_on) continue;
        for (Index j = 0; j < kStrip; ++j) to[j] += next[j];
        std::fill(next, next + kStrip, 0.0);
        handed_on = false;
        continue;
      }
      double q[kStrip];
      for (Index j = 0; j < kStrip; ++j)
        q[j] = left * step[j - kStrip] + own * step[j] + right * step[j + kStrip];
      if (node.far_weight != 0.0) {
        double* const __restrict to = charge_.at(t, node.far);
        for (Index j = 0; j < kStrip; ++j) to[j] += node.far_weight * q[j];
      }
      handed_on = handed_on || node.near_weight != 0.0;
      for (Index j = 0; j < kStrip; ++j) next[j] += node.near_weight * q[j];
    }
    const Index first = (group.north ? crossbar_.south_columns : 0) + (t - group.first_strip) * kStrip;
    const Index cols = std::min(group.cols - (t - group.first_strip) * kStrip, kStrip);
    for (Index j = 0; j < cols; ++j) sensed[first + j] += rest[j];
    for (Index s = 0; s < count; ++s)
      add_moments(charge_.at(t, s), moments_.data() + (s * mesh_.strips() + t) * 2);
  }
}

// Sums of the hats times the charges on the columns and on the rows, of which the smooth change is enough
// here.
void GatedCharge::gather_charges(Vector& rows, Vector& columns) const {
  const StripModes& modes = mesh_.modes();
  const Index strips = mesh_.strips();
  rows.setZero(modes.unknowns());
  columns.setZero(mesh_.modes_groups() * modes.unknowns());
  std::vector<double> knots(modes.knots_size(), 0.0);
  for (Index s = 0; s < mesh_.count(); ++s) modes.add_to_knots(s, moments_.data() + s * strips * 2, knots);
  for (std::size_t q = 0; q < mesh_.groups().size(); ++q)
    modes.gather_knots(knots, mesh_.groups()[q].first_strip, mesh_.groups()[q].strips,
                       columns.data() + static_cast<Index>(q) * modes.unknowns());
  const double farad = crossbar_.tile.c_row_farad;
  if (farad == 0.0) return;
  std::fill(knots.begin(), knots.end(), 0.0);
  std::vector<double> pattern(mesh_.pattern_size()), moments(static_cast<std::size_t>(2 * strips));
  modes.expand(moved_.data(), 0, strips, mesh_.conducting(), pattern);
  for (const Index s : mesh_.conducting()) {
    for (const StripGroup& group : mesh_.groups())
      for (Index t = 0; t < group.strips; ++t) {
        const double* const change = pattern.data() + (s * strips + group.first_strip + t) * 2;
        const double n = static_cast<double>(std::min(group.cols - t * kStrip, kStrip));
        const double places = 0.5 * n * (n - 1.0), squares = n * (n - 1.0) * (2.0 * n - 1.0) / 6.0;
        double* const to = moments.data() + 2 * (group.first_strip + t);
        to[0] = -farad * (change[0] * n + change[1] * places);
        to[1] = -farad * (change[0] * places + change[1] * squares);
      }
    modes.add_to_knots(s, moments.data(), knots);
  }
  modes.gather_knots(knots, 0, strips, rows.data());
}

}  // namespace crosstile::circuit
