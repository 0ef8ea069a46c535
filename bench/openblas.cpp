#include "bench/openblas.hpp"

#include <cblas.h>
#include <stdlib.h>
#include <unistd.h>

namespace crosstile::bench {

void prepare_openblas(char** argv) {
  openblas_set_num_threads(1);
  const bool fallen_back = std::string(openblas_get_corename()) == "Prescott" && __builtin_cpu_supports("avx2");
  if (!fallen_back || getenv("OPENBLAS_CORETYPE") != nullptr) return;
  setenv("OPENBLAS_CORETYPE", __builtin_cpu_supports("avx512bw") ? "SkylakeX" : "Haswell", 1);
  execv("/proc/self/exe", argv);  // returns only when it fails; then the slower kernels are named in the table
}

std::string openblas_text() { return openblas_get_config(); }

}  // namespace crosstile::bench
