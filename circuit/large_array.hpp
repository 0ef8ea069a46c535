// Memory for arrays of many megabytes: huge pages where the system has them (one page fault in place of 512), and no needless zeroing.
#pragma once

#include <cstddef>
#include <new>
#include <vector>

namespace crosstile::circuit {

void* allocate_large(std::size_t bytes);  // throws std::bad_alloc
void free_large(void* at) noexcept;

template <typename T>
struct LargeAllocator {
  using value_type = T;

  LargeAllocator() = default;
  template <typename U>
  LargeAllocator(const LargeAllocator<U>&) {}

  T* allocate(std::size_t count) { return static_cast<T*>(allocate_large(count * sizeof(T))); }
  void deallocate(T* at, std::size_t) noexcept { free_large(at); }
  // Elements without a value are left as they are.
  template <typename U>
  void construct(U* at) {
    ::new (static_cast<void*>(at)) U;
  }
  template <typename U>
  bool operator==(const LargeAllocator<U>&) const {
    return true;
  }
};

template <typename T>
using LargeVector = std::vector<T, LargeAllocator<T>>;

}  // namespace crosstile::circuit
