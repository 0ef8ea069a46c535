#include "tilemodel/reference_column.hpp"

#include <algorithm>

namespace crosstile::tilemodel {

float* AlignedFloats::reserve(Index count) {
  constexpr std::size_t kAlignment = 64;
  const std::size_t needed = static_cast<std::size_t>(count) + kAlignment / sizeof(float);
  if (storage_.size() < needed || data_ == nullptr) {
    storage_.assign(needed, 0.0f);
    const auto address = reinterpret_cast<std::uintptr_t>(storage_.data());
    data_ = storage_.data() + (kAlignment - address % kAlignment) % kAlignment / sizeof(float);
  }
  return data_;
}

void PassTables::fill(int longest_code) {
  if (longest_code == longest_code_) return;
  longest_code_ = longest_code;
  const Levels levels(longest_code);
  levels_ = static_cast<int>(levels.count);
  variance_ = levels.count == kernels::kLevels ? static_cast<float>(levels.variance()) : 0.0f;
  float* durations = durations_.reserve(2 * kernels::kLevels);
  for (Index m = 0; m < kernels::kLevels; ++m) {
    const bool used = m < levels.count;
    durations[m] = used ? static_cast<float>(levels.duration(m)) : 0.0f;
    durations[kernels::kLevels + m] = used ? 1.0f / durations[m] : 0.0f;
  }
  const Index codes = std::min<Index>(longest_code, kLongestTable);
  float* shares = shares_.reserve(codes * kernels::kLevels);
  for (Index code = 0; code < codes; ++code)
    for (Index m = 0; m < kernels::kLevels; ++m)
      shares[code * kernels::kLevels + m] = static_cast<float>(
          std::clamp(levels.place(static_cast<double>(code)) - static_cast<double>(m), 0.0, 1.0));
}

kernels::Pass PassTables::pass(const float* lengths, const std::uint16_t* codes) const {
  return {lengths, codes, shares_.data(), durations_.data(), durations_.data() + kernels::kLevels, variance_};
}

kernels::Reference kernel_reference(const ClosureShape& shape, const float* conductance, const float* offset) {
  return {static_cast<int>(shape.blocks),
          static_cast<int>(shape.length),
          static_cast<int>(shape.bins),
          static_cast<float>(shape.block_ohm),
          static_cast<float>(shape.end_ohm),
          static_cast<float>(shape.spread_ohm),
          static_cast<float>(shape.cell_ohm),
          conductance,
          offset};
}

}  // namespace crosstile::tilemodel
