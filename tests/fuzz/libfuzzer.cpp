// One fuzz program a target: fuzz_<CROSSTILE_FUZZ_TARGET> CORPUS [-max_total_time=20]. Built with
// CROSSTILE_FUZZ=ON and clang.
#include "tests/fuzz/targets.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  static const crosstile::fuzz::Target kTarget = crosstile::fuzz::find_target(CROSSTILE_FUZZ_TARGET);
  kTarget(bytes, size);
  return 0;
}
