// Read noise cell by cell; see read_noise.hpp.
#include <cmath>
#include <string>

#include "core/error.hpp"
#include "data/pulse.hpp"
#include "tilemodel/read_noise.hpp"
#include "tilemodel/read_noise_amplitude.hpp"

namespace crosstile::tilemodel {

namespace {

constexpr double kLargest = 1e300;

// One pulse of a product: when, and with what factor.
struct NoisePulse {
  double start_s, end_s, weight;
};

// Pulses of one vector: for every row, at most one a pass.
std::vector<std::vector<NoisePulse>> pulses_of(const IntVector& codes, const data::TileSpec& tile) {
  std::vector<std::vector<NoisePulse>> out(static_cast<std::size_t>(codes.size()));
  double offset = 0.0;
  for (const data::Pass& pass : data::make_passes(codes, tile)) {
    const data::PulseTimes times = data::pulse_times(pass, tile.pulse);
    for (Index i = 0; i < codes.size(); ++i) {
      if (pass.codes(i) == 0) continue;
      const double sign = pass.codes(i) < 0 ? -1.0 : 1.0;
      out[static_cast<std::size_t>(i)].push_back({offset + times.start_s(i), offset + times.end_s(i), sign * pass.weight});
    }
    offset += pass.window_s;
  }
  return out;
}

// Covariance of the integrals over two pulses, the second behind the first or the same.
double pulse_covariance(const device::NoiseSpectrum& spectrum, const NoisePulse& a, const NoisePulse& b) {
  const double t_a = a.end_s - a.start_s, t_b = b.end_s - b.start_s;
  if (a.start_s == b.start_s && a.end_s == b.end_s) return a.weight * b.weight * t_a * t_a * spectrum.window_variance(t_a);
  double sum = 0.0;
  for (const auto& l : spectrum.lorentzians) {
    const double tau = l.tau_s();
    sum += l.variance * tau * tau * std::expm1(-t_a / tau) * std::expm1(-t_b / tau) * std::exp(-(b.start_s - a.end_s) / tau);
  }
  return a.weight * b.weight * sum;
}

}  // namespace

Matrix noise_amplitude(const data::TileSpec& tile, const Matrix& g_siemens, const ReadNoiseSpec& noise) {
  tile.validate();
  noise.relative.validate();
  require_in_range("read noise: g_offset_siemens", noise.g_offset_siemens, 0.0, 1.0);
  const auto need_shape = [&](const Matrix& m, const std::string& name) {
    if (m.rows() != tile.rows || m.cols() != tile.cols)
      throw Error(ErrorKind::usage, "read noise: " + name + " is " + std::to_string(m.rows()) + " x " + std::to_string(m.cols()) +
                                        "; the tile is " + std::to_string(tile.rows) + " x " + std::to_string(tile.cols));
  };
  need_shape(g_siemens, "g_siemens");
  if (noise.sensitivity.size() > 0) need_shape(noise.sensitivity, "sensitivity");
  Matrix out(tile.rows, tile.cols);
  for (Index i = 0; i < tile.rows; ++i)
    for (Index j = 0; j < tile.cols; ++j) {
      const std::string place = "(" + std::to_string(i) + ", " + std::to_string(j) + ")";
      require_in_range("read noise: g_siemens" + place, g_siemens(i, j), 0.0, 1.0);
      const double share = noise.sensitivity.size() > 0 ? noise.sensitivity(i, j) : 1.0;
      require_in_range("read noise: sensitivity" + place, share, -kLargest, kLargest);
      out(i, j) = g_siemens(i, j) == 0.0 ? 0.0 : tile.v_read_volt * share * (g_siemens(i, j) + noise.g_offset_siemens);
    }
  return out;
}

void require_codes(const data::TileSpec& tile, const IntMatrix& codes) {
  if (codes.cols() != tile.rows)
    throw Error(ErrorKind::usage, "read noise: codes have " + std::to_string(codes.cols()) + " columns; the tile has " +
                                      std::to_string(tile.rows) + " rows");
  const int most = data::max_code(tile.pulse.dac_bits);
  // In one unsigned comparison: -most <= code <= most.
  const auto shifted = (codes.array() + most).cast<unsigned>();
  if (codes.size() > 0 && shifted.maxCoeff() > 2 * static_cast<unsigned>(most))
    require_in_range("read noise: pulse code", codes.maxCoeff() > most ? codes.maxCoeff() : codes.minCoeff(), -most, most);
}

double product_time_s(const data::TileSpec& tile) {
  const int most = data::max_code(tile.pulse.dac_bits);
  IntVector codes = IntVector::Constant(std::max<Index>(2, tile.rows), most);
  codes(0) = -most;
  data::TileSpec two_rows = tile;
  two_rows.rows = codes.size();
  double sum = 0.0;
  for (const data::Pass& pass : data::make_passes(codes, two_rows)) sum += pass.window_s;
  return sum;
}

CellReadNoise::CellReadNoise(const data::TileSpec& tile, const Matrix& g_siemens, const ReadNoiseSpec& noise, std::uint64_t seed,
                             std::uint32_t tile_number, const device::TraceGrid& grid)
    : tile_(tile),
      amplitude_(noise_amplitude(tile, g_siemens, noise)),
      spectrum_(noise.relative),
      noise_(noise.relative, grid),
      seed_(seed),
      number_(tile_number) {}

void CellReadNoise::add(const IntMatrix& codes, double first_s, double period_s, Matrix& charge_coulomb) const {
  require_codes(tile_, codes);
  require_in_range("read noise: period_s", period_s, 0.0, kLargest);
  if (charge_coulomb.rows() != codes.rows() || charge_coulomb.cols() != tile_.cols)
    throw Error(ErrorKind::usage, "read noise: charges differ in shape from vectors x columns");
  for (Index v = 0; v < codes.rows(); ++v) {
    const auto pulses = pulses_of(codes.row(v), tile_);
    const double begin = first_s + static_cast<double>(v) * period_s;
    for (Index i = 0; i < tile_.rows; ++i)
      for (const NoisePulse& pulse : pulses[static_cast<std::size_t>(i)]) {
        const device::Tick from = noise_.tick(begin + pulse.start_s), to = noise_.tick(begin + pulse.end_s);
        const double weight = pulse.weight * (pulse.end_s - pulse.start_s);
        for (Index j = 0; j < tile_.cols; ++j)
          if (amplitude_(i, j) != 0.0)
            charge_coulomb(v, j) += weight * amplitude_(i, j) * noise_.average(device::cell_key(seed_, number_, i, j), from, to);
      }
  }
}

Matrix CellReadNoise::variance(const IntMatrix& codes) const {
  require_codes(tile_, codes);
  Matrix out = Matrix::Zero(codes.rows(), tile_.cols);
  for (Index v = 0; v < codes.rows(); ++v) {
    const auto pulses = pulses_of(codes.row(v), tile_);
    for (Index i = 0; i < tile_.rows; ++i) {
      const auto& row = pulses[static_cast<std::size_t>(i)];
      double sum = 0.0;
      for (std::size_t a = 0; a < row.size(); ++a)
        for (std::size_t b = a; b < row.size(); ++b) sum += (a == b ? 1.0 : 2.0) * pulse_covariance(spectrum_, row[a], row[b]);
      out.row(v) += sum * amplitude_.row(i).cwiseAbs2();
    }
  }
  return out;
}

Matrix CellReadNoise::covariance(const IntMatrix& earlier, const IntMatrix& later, double lag_s) const {
  require_codes(tile_, earlier);
  require_codes(tile_, later);
  require_in_range("read noise: lag_s", lag_s, product_time_s(tile_) * (1.0 - 1e-12), kLargest);
  if (earlier.rows() != later.rows()) throw Error(ErrorKind::usage, "read noise: as many earlier as later products are needed");
  Matrix out = Matrix::Zero(earlier.rows(), tile_.cols);
  for (Index v = 0; v < earlier.rows(); ++v) {
    const auto first = pulses_of(earlier.row(v), tile_), second = pulses_of(later.row(v), tile_);
    for (Index i = 0; i < tile_.rows; ++i) {
      double sum = 0.0;
      for (const NoisePulse& a : first[static_cast<std::size_t>(i)])
        for (const NoisePulse& b : second[static_cast<std::size_t>(i)])
          sum += pulse_covariance(spectrum_, a, {b.start_s + lag_s, b.end_s + lag_s, b.weight});
      out.row(v) += sum * amplitude_.row(i).cwiseAbs2();
    }
  }
  return out;
}

}  // namespace crosstile::tilemodel
