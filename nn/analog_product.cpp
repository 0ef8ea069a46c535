#include "nn/analog_product.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/parallel.hpp"

namespace crosstile::nn {

namespace {

constexpr Index kBlockSamples = 8;  // of one parallel piece
constexpr float kRounder =
    0x1.8p23F;  // x + kRounder - kRounder rounds |x| < 2^22 to the nearest whole number

// 2^bits - 1 levels, symmetric about 0; 0 when nothing is rounded.
float level_step(int bits, double bound) {
  return bits == 0 ? 0.0F : static_cast<float>(bound / static_cast<double>((1 << (bits - 1)) - 1));
}

// Clips and rounds; NaN stays NaN. Returns whether anything was beyond the bound.
bool convert(float* values, Index count, float bound, float step) {
  int beyond = 0;
  for (Index k = 0; k < count; ++k) {
    const float v = values[k];
    beyond |= (v > bound) | (v < -bound);
    values[k] = v > bound ? bound : v < -bound ? -bound : v;
  }
  if (step == 0.0F) return beyond != 0;
  const float levels = 1.0F / step;
  for (Index k = 0; k < count; ++k) values[k] = ((values[k] * levels + kRounder) - kRounder) * step;
  return beyond != 0;
}

}  // namespace

AnalogProduct::AnalogProduct(const AnalogIo& io, const BulkKey& key) : io_(io), key_(key) {}

void AnalogProduct::convert_input(const float* x, float scale, float* to, Index count) const {
  const float factor = 1.0F / scale;
  if (!std::isfinite(factor)) {  // scale below 2.9e-39
    for (Index k = 0; k < count; ++k) to[k] = x[k] / scale;
    convert(to, count, static_cast<float>(io_.dac_bound), level_step(io_.dac_bits, io_.dac_bound));
    return;
  }
  for (Index k = 0; k < count; ++k) to[k] = x[k] * factor;
  convert(to, count, static_cast<float>(io_.dac_bound), level_step(io_.dac_bits, io_.dac_bound));
}

bool AnalogProduct::convert_output(const float* noise, float deviation, float* y, Index count) const {
  if (deviation > 0.0F)
    for (Index k = 0; k < count; ++k) y[k] += deviation * noise[k];
  return convert(y, count, static_cast<float>(io_.adc_bound), level_step(io_.adc_bits, io_.adc_bound));
}

// One product of the samples at work: converts, multiplies, adds noise, converts.
void AnalogProduct::attempt(const BatchIn& x, const MatrixF& w, std::uint64_t step, int number, int threads) {
  const auto count = static_cast<Index>(sample_.size());
  input_.resize(count, x.cols());
  output_.resize(count, w.cols());
  const auto blocks = (count + kBlockSamples - 1) / kBlockSamples;
  const auto for_samples = [&](const auto& body) {
    parallel_for(blocks, threads, [&](Index block, int) {
      for (Index r = block * kBlockSamples; r < std::min(count, (block + 1) * kBlockSamples); ++r)
        body(r, sample_[static_cast<std::size_t>(r)]);
    });
  };
  for_samples([&](Index r, Index s) {
    const float scale = scale_[static_cast<std::size_t>(s)];
    if (scale > 0.0F || std::isnan(scale))
      convert_input(x.data() + s * x.outerStride(), scale, input_.row(r).data(), x.cols());
    else
      input_.row(r).setZero();
  });
  product(input_, w, nullptr, output_, threads);
  const int groups = bulk_groups(w.cols());
  for_samples([&](Index r, Index s) {
    const float norm = io_.noise_kind == OutputNoise::input_norm ? input_.row(r).norm() : 1.0F;
    const float deviation = static_cast<float>(io_.output_noise) * norm;
    std::vector<float> noise(deviation > 0.0F ? static_cast<std::size_t>(groups * kBulkGroup) : 0);
    if (!noise.empty())
      bulk_normals(key_, {step, static_cast<std::uint32_t>(s), static_cast<std::uint32_t>(number)}, 0, groups,
                   noise.data());
    clipped_[static_cast<std::size_t>(r)] =
        convert_output(noise.data(), deviation, output_.row(r).data(), w.cols()) ? 1 : 0;
  });
}

void AnalogProduct::run(const BatchIn& x, const MatrixF& w, std::uint64_t step, int threads, BatchOut y) {
  if (io_.is_exact) return product(x, w, nullptr, y, threads);
  const auto samples = static_cast<std::size_t>(x.rows());
  scale_.assign(samples, 1.0F);
  clipped_.resize(samples);
  sample_.resize(samples);
  std::iota(sample_.begin(), sample_.end(), Index{0});
  if (io_.noise_management)
    for (const Index s : sample_)
      scale_[static_cast<std::size_t>(s)] = x.row(s).cwiseAbs().maxCoeff<Eigen::PropagateNaN>();
  for (int number = 0; !sample_.empty(); ++number) {
    attempt(x, w, step, number, threads);
    const bool again = io_.bound_management && number < io_.most_halvings;
    std::size_t kept = 0;
    for (std::size_t r = 0; r < sample_.size(); ++r) {
      const Index s = sample_[r];
      y.row(s) = output_.row(static_cast<Index>(r)) * scale_[static_cast<std::size_t>(s)];
      if (!again || clipped_[r] == 0) continue;
      scale_[static_cast<std::size_t>(s)] *= 2.0F;
      sample_[kept++] = s;
    }
    sample_.resize(kept);
  }
}

void AnalogProduct::run_transposed(const BatchIn& d, const MatrixF& w, std::uint64_t step, int threads,
                                   BatchOut y) {
  if (io_.is_exact) return product_transposed(d, w, y, transposed_, threads);
  transposed_ = w.transpose();
  run(d, transposed_, step, threads, y);
}

}  // namespace crosstile::nn
