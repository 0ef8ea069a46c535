#include "circuit/large_array.hpp"

#include <sys/mman.h>

#include <cstdlib>

namespace crosstile::circuit {

void* allocate_large(std::size_t bytes) {
  constexpr std::size_t kHugePage = std::size_t{1} << 21;
  const std::size_t unit = bytes >= kHugePage / 2 ? kHugePage : 64;
  const std::size_t rounded = (bytes + unit - 1) / unit * unit;
  void* const at = std::aligned_alloc(unit, rounded);
  if (at == nullptr) throw std::bad_alloc();
  if (unit == kHugePage) madvise(at, rounded, MADV_HUGEPAGE);  // advice: without it the memory is as good, only slower to come
  return at;
}

void free_large(void* at) noexcept { std::free(at); }

}  // namespace crosstile::circuit
