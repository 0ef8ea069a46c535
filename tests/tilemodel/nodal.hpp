// The oracle of these tests: modified nodal analysis (Kirchhoff at every node, one unknown current per wire,
// so that wires of 0 ohm are ordinary) of the whole tile by dense LU, and brute-force stepping through time.
// Shares no code with the library's models.
#pragma once

#include <Eigen/LU>
#include <functional>
#include <limits>
#include <vector>

#include "core/random.hpp"
#include "data/pulse.hpp"
#include "data/tile.hpp"

namespace nodal {

using namespace crosstile;

// Unknowns: row nodes, column nodes, then wire currents as they are added.
class Network {
 public:
  explicit Network(Index nodes, Index wires)
      : a_(Eigen::MatrixXd::Zero(nodes + wires, nodes + wires)),
        b_(Vector::Zero(nodes + wires)),
        next_(nodes) {}
  static constexpr Index kFixed = -1;

  void conductance(Index from, Index to, double g) {
    add(from, from, g), add(to, to, g), add(from, to, -g), add(to, from, -g);
  }
  // A wire from `from` to a node, or to a fixed voltage (to = kFixed). Returns the index of its current.
  Index wire(Index from, Index to, double ohm, double volt = 0.0) {
    const Index k = next_++;
    add(from, k, 1.0), add(to, k, -1.0);
    add(k, from, 1.0), add(k, to, -1.0);
    a_(k, k) = -ohm;
    b_(k) = volt;
    return k;
  }
  Vector solve() const { return a_.fullPivLu().solve(b_); }

 private:
  void add(Index i, Index j, double value) {
    if (i != kFixed && j != kFixed) a_(i, j) += value;
  }
  Eigen::MatrixXd a_;
  Vector b_;
  Index next_;
};

struct Instant {
  Vector sense_ampere;  // cols
  Matrix row_volt;      // rows x cols
};

// Node voltages and sense currents with row i driven at volt[i]; rows with on[i] = false are disconnected
// from all their cells.
inline Instant solve(const data::TileSpec& tile, const Matrix& g, const Vector& volt,
                     const std::vector<bool>& on) {
  const Index n = g.rows(), m = g.cols();
  const bool both = tile.drivers == data::DriverEnds::both;
  const auto row_node = [m](Index i, Index j) { return i * m + j; };
  const auto column_node = [n, m](Index i, Index j) { return n * m + i * m + j; };
  Network network(2 * n * m, n * (m - 1) + n * (both ? 2 : 1) + m * n);
  for (Index i = 0; i < n; ++i) {
    network.wire(row_node(i, 0), Network::kFixed, tile.r_row_ohm + tile.r_driver_ohm, volt[i]);
    if (both) network.wire(row_node(i, m - 1), Network::kFixed, tile.r_row_ohm + tile.r_driver_ohm, volt[i]);
    for (Index j = 0; j + 1 < m; ++j) network.wire(row_node(i, j), row_node(i, j + 1), tile.r_row_ohm);
    for (Index j = 0; j < m; ++j)
      if (on[static_cast<std::size_t>(i)] && g(i, j) > 0.0)
        network.conductance(row_node(i, j), column_node(i, j),
                            1.0 / (1.0 / g(i, j) + tile.selector.r_on_ohm));
  }
  std::vector<Index> sense;
  for (Index j = 0; j < m; ++j) {
    for (Index i = 0; i + 1 < n; ++i) network.wire(column_node(i, j), column_node(i + 1, j), tile.r_col_ohm);
    sense.push_back(network.wire(column_node(tile.sensed_north(j) ? 0 : n - 1, j), Network::kFixed,
                                 tile.sense_segment * tile.r_col_ohm + tile.r_sense_ohm));
  }
  const Vector x = network.solve();
  Instant out{Vector(m), Matrix(n, m)};
  for (Index j = 0; j < m; ++j) out.sense_ampere[j] = x[sense[static_cast<std::size_t>(j)]];
  for (Index i = 0; i < n; ++i)
    for (Index j = 0; j < m; ++j) out.row_volt(i, j) = x[row_node(i, j)];
  return out;
}

// Charge of one signed code vector, stepping by half a code through every pass and looking at which pulses
// are on.
inline Vector charge(const data::TileSpec& tile, const Matrix& g, const IntVector& codes) {
  Vector total = Vector::Zero(g.cols());
  const double step = 0.5 * tile.pulse.t_lsb_s;
  for (const data::Pass& pass : data::make_passes(codes, tile)) {
    const data::PulseTimes times = data::pulse_times(pass, tile.pulse);
    for (int k = 0; k < 2 * pass.longest_code; ++k) {
      const double t = (k + 0.5) * step;
      Vector volt = Vector::Zero(g.rows());
      std::vector<bool> on(static_cast<std::size_t>(g.rows()), tile.drive != data::Drive::gated);
      for (Index i = 0; i < g.rows(); ++i) {
        const bool pulse = times.start_s[i] < t && t < times.end_s[i];
        const double sign = pass.codes[i] < 0 ? -1.0 : 1.0;
        if (pulse || tile.drive == data::Drive::gated) volt[i] = sign * tile.v_read_volt;
        if (pulse) on[static_cast<std::size_t>(i)] = true;
      }
      total += pass.weight * step * solve(tile, g, volt, on).sense_ampere;
    }
  }
  return total;
}

inline Matrix charge(const data::TileSpec& tile, const Matrix& g, const IntMatrix& codes) {
  Matrix out(codes.rows(), g.cols());
  for (Index v = 0; v < codes.rows(); ++v)
    out.row(v) = charge(tile, g, IntVector(codes.row(v).transpose())).transpose();
  return out;
}

// A small gated tile with wires that matter (several ohm), 4-bit pulses.
inline data::TileSpec small_tile(Index rows, Index cols) {
  data::TileSpec tile;
  tile.rows = rows;
  tile.cols = cols;
  tile.r_col_ohm = 180.0;
  tile.sense = data::SenseEnd::south;
  tile.pulse.dac_bits = 4;
  tile.pulse.split_bits = 2;
  return tile;
}

inline Matrix random_conductances(Index rows, Index cols, std::uint64_t seed) {
  const Matrix w = random_normal_matrix({seed, Stream::weights}, rows, cols);
  return (0.1e-6 + 24.9e-6 * (w.array().abs() / 2.6).min(1.0)).matrix();
}

// About a third of the codes 0; signed when `low` is negative.
inline IntMatrix random_codes(Index vectors, Index rows, int low, int high, std::uint64_t seed) {
  IntMatrix codes(vectors, rows);
  for (Index v = 0; v < vectors; ++v)
    for (Index i = 0; i < rows; ++i) {
      const double u = random_uniform({seed, Stream::inputs}, static_cast<std::uint64_t>(v),
                                      static_cast<std::uint64_t>(i));
      const bool idle = random_uniform({seed, Stream::inputs, 1}, static_cast<std::uint64_t>(v),
                                       static_cast<std::uint64_t>(i)) < 0.33;
      codes(v, i) = idle ? 0 : low + static_cast<int>(u * (high - low + 1));
    }
  return codes;
}

inline double largest_difference(const Matrix& a, const Matrix& b) {
  return (a - b).cwiseAbs().maxCoeff() / b.cwiseAbs().maxCoeff();
}

}  // namespace nodal
