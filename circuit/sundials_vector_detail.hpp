// A SUNDIALS vector whose operations are vectorised. SUNDIALS' own serial vector is scalar code, and with the structured linear solver its
// sums and norms were four fifths of a transient.
#pragma once

#include <nvector/nvector_serial.h>

#include "core/types.hpp"

namespace crosstile::circuit {

// Like N_VNew_Serial; clones inherit the operations. Null when memory is short.
N_Vector new_fast_vector(Index size, SUNContext context);

}  // namespace crosstile::circuit
