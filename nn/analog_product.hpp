// Internal. A product through DAC, noise and ADC with noise and bound management. docs/theory.md, "Analog
// product".
#pragma once

#include <vector>

#include "nn/analog.hpp"
#include "nn/bulk_random.hpp"
#include "nn/products.hpp"

namespace crosstile::nn {

class AnalogProduct {
 public:
  AnalogProduct(const AnalogIo& io, const BulkKey& key);
  /// y = x w. step: tells products apart, for the noise.
  void run(const BatchIn& x, const MatrixF& w, std::uint64_t step, int threads, BatchOut y);
  /// y = d w^T.
  void run_transposed(const BatchIn& d, const MatrixF& w, std::uint64_t step, int threads, BatchOut y);

 private:
  void convert_input(const float* x, float scale, float* to, Index count) const;
  bool convert_output(const float* noise, float deviation, float* y, Index count) const;
  void attempt(const BatchIn& x, const MatrixF& w, std::uint64_t step, int number, int threads);

  AnalogIo io_;
  BulkKey key_;
  MatrixF input_, output_, transposed_;  // normalised, of the samples at work
  std::vector<Index> sample_;            // at work
  std::vector<float> scale_;             // of every sample
  std::vector<char> clipped_;            // of the samples at work
};

}  // namespace crosstile::nn
