// Read noise column by column; see read_noise.hpp.
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "core/error.hpp"
#include "core/random.hpp"
#include "data/pulse.hpp"
#include "tilemodel/read_noise.hpp"
#include "tilemodel/read_noise_amplitude.hpp"
#include "tilemodel/read_noise_kernels.hpp"

namespace crosstile::tilemodel {

namespace {

using noise_kernels::kByteCodes;
using noise_kernels::kMostByte;
using noise_kernels::kMostFast;
using noise_kernels::kMostHeld;
using noise_kernels::kMostWeight;
using noise_kernels::kNoisePanel;
using noise_kernels::kPanel;
using Floats = Eigen::ArrayXf;
using ByteTable = Eigen::Array<float, kByteCodes, 1>;

constexpr double kLeastCorrelation = 0.01;  // parts that keep less than this from product to product count as new in each
constexpr double kReached = 1.1;            // the estimate of the error is too high by this: rows that matter less also differ less
constexpr double kFastCorrelation = 0.7;    // parts that keep less than this are states of the process with what is new

Index rounded_up(Index value, Index multiple) { return (value + multiple - 1) / multiple * multiple; }

// |code| >> shift; a loop that the compiler vectorises.
void to_bytes(const int* __restrict codes, Index count, int shift, unsigned char* __restrict bytes) {
  for (Index i = 0; i < count; ++i) bytes[i] = static_cast<unsigned char>((codes[i] < 0 ? -codes[i] : codes[i]) >> shift);
}

// sinh(z) / z
double sinhc(double z) { return z < 1e-4 ? 1.0 + z * z / 6.0 : std::sinh(z) / z; }

}  // namespace

struct ColumnReadNoise::State::Impl {
  std::uint64_t products = 0;
  std::vector<float> values, sum;  // per noise panel: held parts x kNoisePanel; kNoisePanel
  std::vector<float> of_sum, of_fresh, variance, weights, padded;
  std::vector<unsigned char> bytes;
  Floats times;
  std::vector<unsigned short> rows;
  std::vector<int> row_weights;  // a pair of rows each
  std::vector<float> fast;       // per noise panel: kMostFast x kNoisePanel
  std::vector<int> row_begin;
  std::vector<float> factor, rest;
};

struct ColumnReadNoise::Impl {
  data::TileSpec tile;
  ColumnNoiseOptions options;
  const noise_kernels::Table* table;
  int most_code = 0, shift = 0;
  Index row_pad = 0, col_pad = 0;
  double unit = 0.0;                 // of a squared amplitude: its mean
  Floats square_time;                // by |code|: t^2 a^2(t) in t_lsb^2
  ByteTable by_byte;                 // the same by |code| >> shift
  float step = 0.0f;                 // of the bytes
  std::vector<float> dense;          // panels x rows x kPanel: squared amplitudes over their mean
  std::vector<unsigned char> bytes;  // the same shape
  Floats row, column;                // factors of the squared amplitudes: c_ij ~ row_i column_j
  double roughness = 0.0;            // root mean square of what the factors leave, over the mean
  Floats pattern;                    // row_i times the mean code of row i, in code steps; empty: every input is the same
  float pattern_square = 0.0f;       // sum of row_i times mean code squared
  struct HeldPart {
    double variance, rate, correlation;  // relative; per second; from one product to the next
  };
  std::vector<HeldPart> held, fast;
  float held_weights[kMostHeld] = {};
  unsigned renewals[kMostHeld] = {};
  double held_variance = 0.0, period_s = 0.0;
  Vector code_share, fast_share;     // how often a |code| is met; of the process of fast parts and what is new
  noise_kernels::ColumnNoise job{};  // what all calls have in common

  void set_time_structure(const device::NoiseSpectrum& relative);
  void set_squares(const Matrix& amplitude);
  void set_pattern();
  void set_fast_process();
  double overlap_of(const Floats& times, float& squares) const;
  void prepare(const IntMatrix& codes, State::Impl& work) const;
  void shares(const IntMatrix& codes, Index vector, float weighted_squares, State::Impl& work) const;
  float choose_rows(const IntMatrix& codes, Index vector, State::Impl& work) const;
  void variances(Index panel, Index vectors, State::Impl& work) const;
};

// Which Lorentzians reach from product to product, and with what weight: typical pulses, begin to begin one period apart.
void ColumnReadNoise::Impl::set_time_structure(const device::NoiseSpectrum& relative) {
  const double t_lsb = tile.pulse.t_lsb_s;
  most_code = data::max_code(tile.pulse.dac_bits);
  while ((most_code >> shift) >= kByteCodes) ++shift;
  square_time = Floats::Zero(most_code + 1);
  by_byte.setZero();
  for (int k = 1; k <= most_code; ++k)
    square_time(k) = static_cast<float>(static_cast<double>(k) * k * relative.window_variance(k * t_lsb));
  for (int b = 0; b < kByteCodes; ++b) by_byte(b) = square_time(std::min(most_code, (b << shift) + ((1 << shift) >> 1)));
  code_share = Vector::Zero(most_code + 1);
  if (options.typical_codes.size() == 0) code_share.tail(most_code).setOnes();
  for (Index k = 0; k < options.typical_codes.size(); ++k) code_share(std::abs(options.typical_codes.data()[k])) += 1.0;
  Vector squares = code_share;
  for (int k = 0; k <= most_code; ++k) squares(k) *= static_cast<double>(k) * k;
  squares /= std::max(squares.sum(), 1e-300);
  for (const auto& l : relative.lorentzians) {
    const double rate = 1.0 / l.tau_s(), correlation = std::exp(-period_s * rate);
    if (correlation < kLeastCorrelation || l.variance == 0.0) continue;
    double square = 0.0;
    for (int k = 1; k <= most_code; ++k) square += squares(k) * std::pow(sinhc(0.5 * k * t_lsb * rate), 2);
    const HeldPart part{l.variance * square, rate, correlation};
    (correlation < kFastCorrelation ? fast : held).push_back(part);
  }
  while (fast.size() > kMostFast) {  // the slowest of them are renewed like the others
    const auto slowest = std::min_element(fast.begin(), fast.end(), [](const auto& a, const auto& b) { return a.rate < b.rate; });
    held.push_back(*slowest);
    fast.erase(slowest);
  }
  if (held.size() > kMostHeld)
    throw Error(ErrorKind::usage, "read noise: more than " + std::to_string(kMostHeld) +
                                      " Lorentzians reach from product to product; lower corners_per_decade");
  for (std::size_t k = 0; k < held.size(); ++k) {
    held_weights[k] = static_cast<float>(std::sqrt(held[k].variance));
    renewals[k] = static_cast<unsigned>(std::min(-std::expm1(-period_s * held[k].rate) * 0x1p32, 4294967295.0));
    held_variance += held[k].variance;
  }
}

// Fast parts and what is new as one process with one normal number a product (innovations; docs/theory.md): unit variance, typical
// shares. P is the covariance of the states given the past, found by iterating its Riccati equation.
void ColumnReadNoise::Impl::set_fast_process() {
  double squares = 0.0, weighted = 0.0;  // typical sums of t^2 and of t^2 a^2(t)
  for (int k = 1; k <= most_code; ++k) {
    squares += code_share(k) * static_cast<double>(k) * k;
    weighted += code_share(k) * square_time(k);
  }
  double overlap = 1.0;
  if (pattern.size() > 0) {
    double sum = 0.0;
    float unused = 0.0f;
    for (Index v = 0; v < options.typical_codes.rows(); ++v)
      sum += overlap_of(options.typical_codes.row(v).transpose().array().cast<float>(), unused);
    overlap = sum / static_cast<double>(options.typical_codes.rows());
  }
  const double slow = overlap * overlap * squares / std::max(weighted, 1e-300), rest = 1.0 - slow * held_variance;
  const auto n = static_cast<Index>(fast.size());
  Vector share(n), decay(n);
  for (Index k = 0; k < n; ++k) {
    const HeldPart& part = fast[static_cast<std::size_t>(k)];
    share(k) = rest > 0.0 ? slow * part.variance / rest : 0.0;
    decay(k) = part.correlation;
  }
  const double most = 0.95;  // something is always new
  if (share.sum() > most) share *= most / share.sum();
  fast_share = share;
  const double fresh = 1.0 - share.sum();
  Matrix stationary = share.asDiagonal(), p = stationary;
  const Matrix turn = decay.asDiagonal();
  Vector gain = Vector::Zero(n);
  double variance = 1.0;
  for (int round = 0; round < 1000 && n > 0; ++round) {
    variance = p.sum() + fresh;
    gain = turn * p.rowwise().sum() / variance;
    p = (turn * p * turn - variance * gain * gain.transpose()).eval();
    p.diagonal() += share.cwiseProduct((1.0 - decay.array().square()).matrix());
  }
  // The states that are kept are predictions: their covariance is what the past explains.
  const Matrix known = stationary - p;
  job.fast = static_cast<int>(n);
  job.fast_new = static_cast<float>(std::sqrt(variance));
  for (Index k = 0; k < n; ++k) {
    job.fast_decay[k] = static_cast<float>(decay(k));
    job.fast_gain[k] = static_cast<float>(gain(k) * std::sqrt(variance));
  }
  if (n >= 1) job.fast_first[0][0] = static_cast<float>(std::sqrt(std::max(known(0, 0), 0.0)));
  if (n == 2 && known(0, 0) > 0.0) {
    const double mixed = known(1, 0) / std::sqrt(known(0, 0));
    job.fast_first[1][0] = static_cast<float>(mixed);
    job.fast_first[1][1] = static_cast<float>(std::sqrt(std::max(known(1, 1) - mixed * mixed, 0.0)));
  }
}

// Squared amplitudes: as floats, as bytes with a random last place, and as a product of row and column factors.
void ColumnReadNoise::Impl::set_squares(const Matrix& amplitude) {
  const Array square = amplitude.array().square();
  unit = square.mean();
  if (!(unit > 0.0)) unit = 1.0;
  const Array c = square / unit;
  row_pad = rounded_up(tile.rows, 64);
  col_pad = rounded_up(tile.cols, kNoisePanel);
  Eigen::ArrayXd r = c.rowwise().mean();
  if (r.maxCoeff() == 0.0) r.setOnes();
  const Eigen::ArrayXd s = (c.colwise() * r).colwise().sum().transpose() / r.square().sum();
  roughness = std::sqrt((c - (r.matrix() * s.matrix().transpose()).array()).square().mean());
  row = Floats::Zero(row_pad);
  row.head(tile.rows) = r.cast<float>();
  column = Floats::Zero(col_pad);
  column.head(tile.cols) = s.cast<float>();
  const double largest = std::max(c.maxCoeff(), 1e-30);
  step = static_cast<float>(largest / (kMostByte - 1));
  const Matrix dither = random_uniform_matrix({options.seed, Stream::subset, options.tile_number}, tile.rows, tile.cols);
  if (options.variances == Variances::exact)
    dense.assign(static_cast<std::size_t>(col_pad * tile.rows), 0.0f);
  else
    bytes.assign(static_cast<std::size_t>(col_pad * tile.rows), 0);
  for (Index i = 0; i < tile.rows; ++i)
    for (Index j = 0; j < tile.cols; ++j) {
      const auto begin = static_cast<std::size_t>((j / kPanel * tile.rows + i) * kPanel);
      const auto place = static_cast<int>(j % kPanel);
      if (options.variances == Variances::exact)
        dense[begin + static_cast<std::size_t>(place)] = static_cast<float>(c(i, j));
      else
        bytes[begin + static_cast<std::size_t>(table->byte_place(place))] =
            static_cast<unsigned char>(c(i, j) / largest * (kMostByte - 1) + dither(i, j));
    }
}

void ColumnReadNoise::Impl::set_pattern() {
  if (options.typical_codes.size() == 0) return;
  const Eigen::ArrayXd mean = options.typical_codes.cast<double>().colwise().mean().transpose();
  pattern = Floats::Zero(tile.rows);
  pattern = row.head(tile.rows) * mean.cast<float>();
  pattern_square = static_cast<float>((row.head(tile.rows).cast<double>() * mean.square()).sum());
}

// Cosine between an input and the mean input, and the input's sum of squares, weighted by rows.
double ColumnReadNoise::Impl::overlap_of(const Floats& times, float& squares) const {
  squares = (row.head(tile.rows) * times.square()).sum();
  if (pattern.size() == 0) return 1.0;
  const double norm = std::sqrt(static_cast<double>(squares) * pattern_square);
  return norm > 0.0 ? (pattern * times).sum() / norm : 0.0;
}

// How much of the noise of one product belongs to the parts that reach over products.
void ColumnReadNoise::Impl::shares(const IntMatrix& codes, Index vector, float weighted_squares, State::Impl& work) const {
  work.times = codes.row(vector).transpose().array().cast<float>();
  float slow = 0.0f;
  const double overlap = overlap_of(work.times, slow);
  double of_sum = weighted_squares > 0.0f ? overlap * std::sqrt(slow / static_cast<double>(weighted_squares)) : 0.0;
  const double share = of_sum * of_sum * held_variance;
  if (share > 1.0) of_sum /= std::sqrt(share);
  work.of_sum[static_cast<std::size_t>(vector)] = static_cast<float>(of_sum);
  work.of_fresh[static_cast<std::size_t>(vector)] = static_cast<float>(std::sqrt(std::max(0.0, 1.0 - share)));
}

// The rows of one vector whose own squares are summed: the rest may be off by `tolerance` of the variance. Returns the sum of
// row_i t_i^2 a^2(t_i).
float ColumnReadNoise::Impl::choose_rows(const IntMatrix& codes, Index vector, State::Impl& work) const {
  to_bytes(codes.data() + vector * codes.cols(), tile.rows, shift, work.bytes.data());
  alignas(64) float many[4][kByteCodes] = {};  // four, so that equal codes in a row do not wait for each other
  const float* row_factor = row.data();
  const unsigned char* byte = work.bytes.data();
  for (Index i = 0; i < row_pad; i += 4)
    for (int k = 0; k < 4; ++k) many[k][byte[i + k]] += row_factor[i + k];
  ByteTable count = Eigen::Map<ByteTable>(many[0]) + Eigen::Map<ByteTable>(many[1]) + Eigen::Map<ByteTable>(many[2]) + Eigen::Map<ByteTable>(many[3]);
  const ByteTable linear = count * by_byte, square = linear * by_byte;
  const float total = linear.sum();
  const float allowed = static_cast<float>(kReached * options.tolerance * total / std::max(roughness, 1e-9)), limit = allowed * allowed;
  constexpr int kGroup = 16;
  float left = 0.0f;
  int least = 0;
  for (; least < kByteCodes; least += kGroup) {
    const float more = square.segment<kGroup>(least).sum();
    if (left + more > limit) break;
    left += more;
  }
  for (; least < kByteCodes && left + square(least) <= limit; ++least) left += square(least);
  least = std::max(least, 1);

  const auto begin = static_cast<std::size_t>(work.row_begin[static_cast<std::size_t>(vector)]);
  unsigned short* rows = work.rows.data() + begin;
  int* pairs = work.row_weights.data() + begin / 2;
  int chosen = least < kByteCodes ? table->select_rows(byte, static_cast<int>(row_pad), static_cast<unsigned char>(least), rows) : 0;
  int largest = kByteCodes - 1;
  while (largest > 0 && count(largest) == 0.0f) --largest;
  ByteTable rounded = (by_byte * (kMostWeight / std::max(by_byte(largest), 1e-30f))).min(static_cast<float>(kMostWeight));
  const Eigen::Array<int, kByteCodes, 1> weight = (rounded + 0.5f).cast<int>();
  rounded = weight.cast<float>();
  for (int r = 0; r < chosen; r += 2) {
    const int first = weight(byte[rows[r]]), second = r + 1 < chosen ? weight(byte[rows[r + 1]]) : 0;
    pairs[r / 2] = (first | second << 8) * 0x10001;
  }
  const int behind = kByteCodes - least;
  const float exactly = linear.tail(behind).sum(), as_rounded = (count.tail(behind) * rounded.tail(behind)).sum();
  if (chosen % 2 == 1) rows[chosen++] = 0;
  const auto v = static_cast<std::size_t>(vector);
  work.row_begin[v + 1] = work.row_begin[v] + chosen;
  work.factor[v] = as_rounded > 0.0f ? step * exactly / as_rounded : 0.0f;
  work.rest[v] = total - exactly;
  return total;
}

void ColumnReadNoise::Impl::prepare(const IntMatrix& codes, State::Impl& work) const {
  const auto vectors = static_cast<std::size_t>(codes.rows());
  work.of_sum.resize(vectors);
  work.of_fresh.resize(vectors);
  work.variance.resize(vectors * kNoisePanel);
  if (options.variances == Variances::exact) {
    work.weights.resize(vectors * static_cast<std::size_t>(tile.rows));
    for (Index v = 0; v < codes.rows(); ++v) {
      float* weights = work.weights.data() + v * tile.rows;
      const int* code = codes.data() + v * codes.cols();
      for (Index i = 0; i < tile.rows; ++i) weights[i] = square_time(std::abs(code[i]));
      shares(codes, v, (Eigen::Map<Floats>(weights, tile.rows) * row.head(tile.rows)).sum(), work);
    }
    return;
  }
  work.bytes.assign(static_cast<std::size_t>(row_pad), 0);
  work.rows.resize(vectors * static_cast<std::size_t>(row_pad + 1));
  work.row_weights.resize(work.rows.size() / 2 + 1);
  work.row_begin.resize(vectors + 1);
  work.factor.resize(vectors);
  work.rest.resize(vectors);
  for (Index v = 0; v < codes.rows(); ++v) shares(codes, v, choose_rows(codes, v, work), work);
}

// Variances of one noise panel: vectors x kNoisePanel.
void ColumnReadNoise::Impl::variances(Index panel, Index vectors, State::Impl& work) const {
  for (int half = 0; half < kNoisePanel / kPanel; ++half) {
    const Index at = panel * (kNoisePanel / kPanel) + half;
    float* variance = work.variance.data() + half * kPanel;
    if (options.variances == Variances::exact) {
      table->dense_sums({static_cast<int>(vectors), static_cast<int>(tile.rows), work.weights.data(), tile.rows,
                         dense.data() + at * tile.rows * kPanel, variance, kNoisePanel});
      continue;
    }
    for (Index v = 0; v < vectors; ++v) {
      const auto n = static_cast<std::size_t>(v);
      const auto begin = work.row_begin[n];
      table->sparse_sums({bytes.data() + at * tile.rows * kPanel, work.rows.data() + begin, work.row_weights.data() + begin / 2,
                          work.row_begin[n + 1] - begin, work.factor[n], work.rest[n], column.data() + at * kPanel,
                          variance + v * kNoisePanel});
    }
  }
}

ColumnReadNoise::State::State() : impl_(std::make_unique<Impl>()) {}
ColumnReadNoise::State::~State() = default;
ColumnReadNoise::State::State(State&&) noexcept = default;
ColumnReadNoise::State& ColumnReadNoise::State::operator=(State&&) noexcept = default;

ColumnReadNoise::ColumnReadNoise(const data::TileSpec& tile, const Matrix& g_siemens, const ReadNoiseSpec& noise,
                                 const ColumnNoiseOptions& options)
    : impl_(std::make_unique<Impl>()) {
  impl_->tile = tile;
  impl_->options = options;
  impl_->table = noise_kernels::has_avx512() ? &noise_kernels::table_avx512() : &noise_kernels::table_base();
  const Matrix amplitude = noise_amplitude(tile, g_siemens, noise);
  if (tile.pulse.passes != data::Passes::conventional)
    throw Error(ErrorKind::usage, "read noise of columns: tile.pulse.passes must be \"conventional\", one pass a sign");
  require_in_range("read noise: tolerance", options.tolerance, 0.001, 1.0);
  require_in_range("read noise: rows", static_cast<double>(tile.rows), 1.0, 65472.0);
  if (options.typical_codes.size() > 0) require_codes(tile, options.typical_codes);
  impl_->period_s = options.period_s.value_or(product_time_s(tile));
  require_in_range("read noise: period_s", impl_->period_s, 1e-18, 1e18);
  impl_->set_time_structure(noise.relative);
  impl_->set_squares(amplitude);
  impl_->set_pattern();
  impl_->set_fast_process();
}
ColumnReadNoise::~ColumnReadNoise() = default;
ColumnReadNoise::ColumnReadNoise(ColumnReadNoise&&) noexcept = default;
ColumnReadNoise& ColumnReadNoise::operator=(ColumnReadNoise&&) noexcept = default;

const char* ColumnReadNoise::kernel() const { return impl_->table->name; }

void ColumnReadNoise::use_base_kernel() {
  const auto* before = impl_->table;
  impl_->table = &noise_kernels::table_base();
  std::vector<unsigned char> moved(impl_->bytes.size());
  for (std::size_t begin = 0; begin < moved.size(); begin += kPanel)  // the order of the columns within a panel
    for (int j = 0; j < kPanel; ++j)
      moved[begin + static_cast<std::size_t>(impl_->table->byte_place(j))] = impl_->bytes[begin + static_cast<std::size_t>(before->byte_place(j))];
  impl_->bytes = std::move(moved);
}

void ColumnReadNoise::add(const IntMatrix& codes, MatrixF& charge_coulomb, State& state) const {
  const Impl& m = *impl_;
  State::Impl& work = *state.impl_;
  require_codes(m.tile, codes);
  if (charge_coulomb.rows() != codes.rows() || charge_coulomb.cols() != m.tile.cols)
    throw Error(ErrorKind::usage, "read noise: charges differ in shape from vectors x columns");
  if (codes.rows() == 0) return;
  const Index panels = m.col_pad / kNoisePanel;
  const bool begin = work.values.empty();
  if (begin) {
    work.values.assign(static_cast<std::size_t>(panels) * kMostHeld * kNoisePanel, 0.0f);
    work.fast.assign(static_cast<std::size_t>(panels) * kMostFast * kNoisePanel, 0.0f);
    work.sum.assign(static_cast<std::size_t>(panels) * kNoisePanel, 0.0f);
  }
  if (work.sum.size() != static_cast<std::size_t>(panels) * kNoisePanel)
    throw Error(ErrorKind::usage, "read noise: the state belongs to another tile");
  m.prepare(codes, work);

  noise_kernels::ColumnNoise job = m.job;
  for (unsigned r = 0; r < noise_kernels::kRounds; ++r) {
    job.key.word[0][r] = static_cast<unsigned>(m.options.seed) + r * 0x9E3779B9u;
    job.key.word[1][r] = static_cast<unsigned>(m.options.seed >> 32) + r * 0xBB67AE85u;
  }
  job.tile = m.options.tile_number;
  job.first = work.products;
  job.products = static_cast<int>(codes.rows());
  job.held = static_cast<int>(m.held.size());
  job.begin = begin;
  job.weights = m.held_weights;
  job.renewals = m.renewals;
  job.of_sum = work.of_sum.data();
  job.of_fresh = work.of_fresh.data();
  job.variance = work.variance.data();
  job.variance_stride = kNoisePanel;
  job.scale = static_cast<float>(std::sqrt(m.unit) * m.tile.pulse.t_lsb_s);
  for (Index panel = 0; panel < panels; ++panel) {
    m.variances(panel, codes.rows(), work);
    job.panel = static_cast<unsigned>(panel);
    job.values = work.values.data() + panel * kMostHeld * kNoisePanel;
    job.fast_state = work.fast.data() + panel * kMostFast * kNoisePanel;
    job.sum = work.sum.data() + panel * kNoisePanel;
    const Index first = panel * kNoisePanel, cols = std::min<Index>(kNoisePanel, m.tile.cols - first);
    if (cols == kNoisePanel) {
      job.out = charge_coulomb.data() + first;
      job.out_stride = charge_coulomb.cols();
      m.table->column_noise(job);
      continue;
    }
    work.padded.assign(static_cast<std::size_t>(codes.rows()) * kNoisePanel, 0.0f);
    job.out = work.padded.data();
    job.out_stride = kNoisePanel;
    m.table->column_noise(job);
    charge_coulomb.middleCols(first, cols) += Eigen::Map<MatrixF>(work.padded.data(), codes.rows(), kNoisePanel).leftCols(cols);
  }
  work.products += static_cast<std::uint64_t>(codes.rows());
}

Matrix ColumnReadNoise::variance(const IntMatrix& codes) const {
  const Impl& m = *impl_;
  require_codes(m.tile, codes);
  State::Impl work;
  m.prepare(codes, work);
  Matrix out(codes.rows(), m.tile.cols);
  const double scale = m.unit * m.tile.pulse.t_lsb_s * m.tile.pulse.t_lsb_s;
  for (Index panel = 0; panel * kNoisePanel < m.tile.cols; ++panel) {
    m.variances(panel, codes.rows(), work);
    const Index first = panel * kNoisePanel, cols = std::min<Index>(kNoisePanel, m.tile.cols - first);
    out.middleCols(first, cols) =
        scale * Eigen::Map<MatrixF>(work.variance.data(), codes.rows(), kNoisePanel).leftCols(cols).cast<double>();
  }
  return out;
}

double ColumnReadNoise::correlation(const IntVector& codes, Index products) const {
  const Impl& m = *impl_;
  State::Impl work;
  const IntMatrix one = codes.transpose();
  require_codes(m.tile, one);
  m.prepare(one, work);
  if (products == 0) return 1.0;
  const auto apart = static_cast<double>(products);
  double slow = 0.0, fast = 0.0;
  for (const auto& part : m.held) slow += part.variance * std::exp(-apart * m.period_s * part.rate);
  for (std::size_t k = 0; k < m.fast.size(); ++k) fast += m.fast_share(static_cast<Index>(k)) * std::pow(m.fast[k].correlation, apart);
  return work.of_sum[0] * work.of_sum[0] * slow + work.of_fresh[0] * work.of_fresh[0] * fast;
}

}  // namespace crosstile::tilemodel
