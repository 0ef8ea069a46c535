// Arrays of many megabytes that are not zeroed before they are filled.
#pragma once

#include <memory>
#include <new>
#include <utility>
#include <vector>

namespace crosstile::circuit {

template <typename T>
struct UnfilledAllocator : std::allocator<T> {
  template <typename U>
  struct rebind {
    using other = UnfilledAllocator<U>;
  };
  UnfilledAllocator() = default;
  template <typename U>
  UnfilledAllocator(const UnfilledAllocator<U>&) {}

  // Elements without a value are left as they are.
  template <typename U>
  void construct(U* at) {
    ::new (static_cast<void*>(at)) U;
  }
  template <typename U, typename... Arguments>
  void construct(U* at, Arguments&&... arguments) {
    ::new (static_cast<void*>(at)) U(std::forward<Arguments>(arguments)...);
  }
};

template <typename T>
using LargeVector = std::vector<T, UnfilledAllocator<T>>;

}  // namespace crosstile::circuit
