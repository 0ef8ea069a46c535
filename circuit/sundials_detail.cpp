#include "circuit/sundials_detail.hpp"

#include <cmath>

#include "core/error.hpp"

namespace crosstile::circuit {

namespace {

using Map = Eigen::Map<Eigen::ArrayXd>;

constexpr double kNewtonReduction = 1e-3;  // of the residual by one linear solve within Newton's iteration
constexpr int kMaxIterations = 12;
constexpr double kSlowest = 0.7;  // ratio of two changes above which the step is given up

SUNNonlinearSolver_Type root_find(SUNNonlinearSolver) { return SUNNONLINEARSOLVER_ROOTFIND; }
int ignore_system(SUNNonlinearSolver, SUNNonlinSolSysFn) { return SUN_NLS_SUCCESS; }
int free_solver(SUNNonlinearSolver solver) {
  SUNNonlinSolFreeEmpty(solver);
  return SUN_NLS_SUCCESS;
}

}  // namespace

void check_sundials(int flag, const char* call) {
  if (flag < 0) throw Error(ErrorKind::not_converged, std::string("SUNDIALS: ") + call + " failed with " + std::to_string(flag));
}

CrossbarNewton::CrossbarNewton(TransientSystem& system, void* ida, SUNContext context, double linear_reduction)
    : system_(system),
      ida_(ida),
      reduction_(system.linear() ? linear_reduction : kNewtonReduction),
      solver_(SUNNonlinSolNewEmpty(context)),
      state_(system.size()),
      rate_(system.size()),
      change_(system.size()) {
  if (!solver_) throw Error(ErrorKind::not_converged, "SUNDIALS: out of memory");
  solver_->content = this;
  solver_->ops->gettype = root_find;
  solver_->ops->setsysfn = ignore_system;
  solver_->ops->solve = solve_step;
  solver_->ops->free = free_solver;
}

int CrossbarNewton::solve_step(SUNNonlinearSolver self, N_Vector, N_Vector correction, N_Vector weights, realtype tolerance, booleantype,
                               void*) {
  return static_cast<CrossbarNewton*>(self->content)->iterate(correction, weights, tolerance);
}

int CrossbarNewton::iterate(N_Vector correction, N_Vector weights, double tolerance) {
  realtype t = 0.0, cj = 0.0;
  N_Vector predicted, predicted_rate, y, rate, f;
  void* user = nullptr;
  if (IDAGetNonlinearSystemData(ida_, &t, &predicted, &predicted_rate, &y, &rate, &f, &cj, &user) != IDA_SUCCESS) return SUN_NLS_MEM_FAIL;
  const Index size = system_.size();
  Map sum(N_VGetArrayPointer(correction), size);
  const Map weight(N_VGetArrayPointer(weights), size);
  const Map y_0(N_VGetArrayPointer(predicted), size), rate_0(N_VGetArrayPointer(predicted_rate), size);
  system_.residual(t, y_0.data(), rate_0.data());
  double before = 0.0;
  for (int step = 0; step < kMaxIterations; ++step) {
    if (!system_.solve(cj, step == 0, reduction_, change_.data())) return SUN_NLS_CONV_RECVR;
    if (step == 0) sum = -change_.array();
    else sum -= change_.array();
    if (system_.linear()) return SUN_NLS_SUCCESS;
    const double change = std::sqrt((change_.array() * weight).square().sum() / static_cast<double>(size));
    if (!std::isfinite(change)) return SUN_NLS_CONV_RECVR;
    // What is left after this change, from the ratio of the last two; a first change has to be next to nothing.
    const double ratio = step == 0 ? 0.0 : change / before;
    if (step == 0 ? change <= 1e-4 * tolerance : ratio / (1.0 - std::min(ratio, kSlowest)) * change <= tolerance) return SUN_NLS_SUCCESS;
    if (ratio > kSlowest) return SUN_NLS_CONV_RECVR;
    before = change;
    state_ = (y_0 + sum).matrix();
    rate_ = (rate_0 + cj * sum).matrix();
    system_.residual(t, state_.data(), rate_.data());
  }
  return SUN_NLS_CONV_RECVR;
}

}  // namespace crosstile::circuit
