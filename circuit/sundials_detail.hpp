// What the transient needs of SUNDIALS beside its integrator: owners of its objects, and a non-linear solver that knows the crossbar.
#pragma once

#include <ida/ida.h>
#include <sundials/sundials_context.h>
#include <sundials/sundials_nonlinearsolver.h>

#include <memory>
#include <type_traits>

#include "circuit/sundials_vector_detail.hpp"
#include "circuit/transient_system.hpp"

namespace crosstile::circuit {

struct SundialsDeleter {
  void operator()(SUNContext context) const { SUNContext_Free(&context); }
  void operator()(N_Vector vector) const { N_VDestroy(vector); }
  void operator()(SUNNonlinearSolver solver) const { SUNNonlinSolFree(solver); }
};
struct IdaDeleter {
  void operator()(void* memory) const { IDAFree(&memory); }
};
template <typename Pointer>
using SundialsOwner = std::unique_ptr<std::remove_pointer_t<Pointer>, SundialsDeleter>;
using IdaOwner = std::unique_ptr<void, IdaDeleter>;

// Throws when `flag` reports a failure of `call`.
void check_sundials(int flag, const char* call);

// Newton's iteration for IDA with the chain solve inside; one iteration where the system is linear. It asks the integrator for its
// prediction and evaluates and solves in place: SUNDIALS' own Newton solver would pass eight vectors more per step.
class CrossbarNewton {
 public:
  // linear_reduction: of the residual, by the one solve of a linear system; what is left is charge that nobody sees.
  CrossbarNewton(TransientSystem& system, void* ida, SUNContext context, double linear_reduction);
  CrossbarNewton(const CrossbarNewton&) = delete;
  CrossbarNewton& operator=(const CrossbarNewton&) = delete;

  SUNNonlinearSolver solver() { return solver_.get(); }

 private:
  static int solve_step(SUNNonlinearSolver self, N_Vector guess, N_Vector correction, N_Vector weights, realtype tolerance, booleantype,
                        void*);
  int iterate(N_Vector correction, N_Vector weights, double tolerance);

  TransientSystem& system_;
  void* ida_;
  double reduction_;
  SundialsOwner<SUNNonlinearSolver> solver_;
  Vector state_, rate_, change_;
};

}  // namespace crosstile::circuit
