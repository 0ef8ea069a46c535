// OpenBLAS as a fair baseline: one thread, and the kernels of the machine's own vector instructions.
#pragma once

#include <string>

namespace crosstile::bench {

/// Call first in main. OpenBLAS chooses its kernels when it is loaded, and old versions fall back to those of a 2004 processor when they do
/// not know the one they run on; then the program starts itself again with the right choice in its environment.
void prepare_openblas(char** argv);

/// Version and kernels: "OpenBLAS 0.3.21 ... SkylakeX ...".
std::string openblas_text();

}  // namespace crosstile::bench
