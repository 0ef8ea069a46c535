#include <ida/ida.h>
#include <sundials/sundials_context.h>
#include <sundials/sundials_linearsolver.h>

#include <algorithm>
#include <cmath>
#include <memory>

#include "circuit/sundials_vector_detail.hpp"
#include "circuit/transient_system.hpp"
#include "core/error.hpp"

namespace crosstile::circuit {

namespace {

struct ContextDeleter {
  void operator()(SUNContext context) const { SUNContext_Free(&context); }
};
struct VectorDeleter {
  void operator()(N_Vector vector) const { N_VDestroy(vector); }
};
struct IdaDeleter {
  void operator()(void* memory) const { IDAFree(&memory); }
};
struct SolverDeleter {
  void operator()(SUNLinearSolver solver) const { SUNLinSolFree(solver); }
};
using Context = std::unique_ptr<std::remove_pointer_t<SUNContext>, ContextDeleter>;
using SunVector = std::unique_ptr<std::remove_pointer_t<N_Vector>, VectorDeleter>;
using Ida = std::unique_ptr<void, IdaDeleter>;
using LinearSolver = std::unique_ptr<std::remove_pointer_t<SUNLinearSolver>, SolverDeleter>;

void check(int flag, const char* call) {
  if (flag < 0) throw Error(ErrorKind::not_converged, std::string("SUNDIALS: ") + call + " failed with " + std::to_string(flag));
}

int residual(realtype t, N_Vector y, N_Vector y_prime, N_Vector f, void* user) {
  static_cast<TransientSystem*>(user)->residual(t, N_VGetArrayPointer(y), N_VGetArrayPointer(y_prime), N_VGetArrayPointer(f));
  return 0;
}

// The structured chain solve as a SUNDIALS linear solver of the "matrix embedded" kind: it asks the integrator for the state.
struct EmbeddedSolver {
  TransientSystem* system;
  void* ida;
};

int solve_embedded(SUNLinearSolver solver, SUNMatrix, N_Vector x, N_Vector b, realtype) {
  auto* const content = static_cast<EmbeddedSolver*>(solver->content);
  realtype t = 0.0, cj = 0.0;
  N_Vector y_predicted, rate_predicted, y, rate, f;
  void* user = nullptr;
  if (IDAGetNonlinearSystemData(content->ida, &t, &y_predicted, &rate_predicted, &y, &rate, &f, &cj, &user) != IDA_SUCCESS) return -1;
  const bool solved =
      content->system->solve_newton_system(cj, t, N_VGetArrayPointer(y), N_VGetArrayPointer(b), N_VGetArrayPointer(x));
  return solved ? 0 : 1;  // 1: recoverable, the integrator shortens its step
}

SUNLinearSolver_Type embedded_type(SUNLinearSolver) { return SUNLINEARSOLVER_MATRIX_EMBEDDED; }
int free_embedded(SUNLinearSolver solver) {
  SUNLinSolFreeEmpty(solver);
  return 0;
}

// Drive intervals of one pass: every edge of a pulse, and both ends of its ramps, start a new one.
std::vector<DriveInterval> drive_intervals(const Crossbar& crossbar, const data::Pass& pass) {
  const auto& tile = crossbar.tile;
  const bool gated = tile.drive == data::Drive::gated;
  const double ramp = gated ? 0.0 : tile.pulse.t_edge_s;
  const auto times = data::pulse_times(pass, tile.pulse);
  std::vector<double> edges{0.0, pass.window_s};
  for (Index i = 0; i < crossbar.rows(); ++i)
    if (pass.codes[i] != 0)
      for (const double t : {times.start_s[i], times.end_s[i]}) {
        edges.push_back(t);
        if (ramp > 0.0) edges.push_back(t + ramp);
      }
  std::sort(edges.begin(), edges.end());
  std::vector<DriveInterval> intervals;
  for (std::size_t k = 0; k + 1 < edges.size(); ++k) {
    if (edges[k + 1] - edges[k] <= 1e-6 * tile.pulse.t_lsb_s || edges[k] >= pass.window_s) continue;
    DriveInterval interval;
    interval.begin_s = edges[k];
    interval.end_s = std::min(edges[k + 1], pass.window_s);
    const double middle = 0.5 * (interval.begin_s + interval.end_s);
    interval.volt_begin = interval.volt_slope = Vector::Zero(crossbar.lines());
    interval.conducting.assign(static_cast<std::size_t>(crossbar.lines()), !gated);
    for (Index l = 0; l < crossbar.lines(); ++l) {
      const Index row = crossbar.row_of_line(l);
      const double volt = crossbar.polarity(l) * (pass.codes[row] < 0 ? -1.0 : 1.0) * tile.v_read_volt;
      const bool pulsed = pass.codes[row] != 0;
      if (gated) {
        interval.volt_begin[l] = volt;
        interval.conducting[static_cast<std::size_t>(l)] = pulsed && middle > times.start_s[row] && middle < times.end_s[row];
      } else if (pulsed && ramp == 0.0) {
        interval.volt_begin[l] = middle > times.start_s[row] && middle < times.end_s[row] ? volt : 0.0;
      } else if (pulsed) {
        // Rise over [start, start + ramp], fall over [end, end + ramp]; a pulse shorter than its ramp overlaps both (area kept).
        const auto level = [&](double t) {
          const double rise = std::clamp((t - times.start_s[row]) / ramp, 0.0, 1.0);
          const double fall = std::clamp((t - times.end_s[row]) / ramp, 0.0, 1.0);
          return volt * (rise - fall);
        };
        interval.volt_begin[l] = level(interval.begin_s);
        interval.volt_slope[l] = (level(interval.end_s) - level(interval.begin_s)) / (interval.end_s - interval.begin_s);
      }
    }
    intervals.push_back(std::move(interval));
  }
  return intervals;
}

class Integrator {
 public:
  Integrator(const Crossbar& crossbar, const TransientOptions& options)
      : crossbar_(crossbar), options_(options), system_(crossbar) {
    SUNContext context = nullptr;
    check(SUNContext_Create(nullptr, &context), "SUNContext_Create");
    context_.reset(context);
    ida_.reset(IDACreate(context));
    y_vector_.reset(new_fast_vector(system_.size(), context));
    rate_vector_.reset(new_fast_vector(system_.size(), context));
    tolerance_vector_.reset(new_fast_vector(system_.size(), context));
    id_vector_.reset(new_fast_vector(system_.size(), context));
    if (!ida_ || !y_vector_ || !rate_vector_ || !tolerance_vector_ || !id_vector_)
      throw Error(ErrorKind::not_converged, "SUNDIALS: out of memory");
    y_ = system_.initial_state();
    rate_ = Vector::Zero(system_.size());
    const double volt = options.absolute_tolerance_volt > 0.0 ? options.absolute_tolerance_volt
                                                              : options.relative_tolerance * 1e-3 * crossbar.tile.v_read_volt;
    store(system_.absolute_tolerance(volt), tolerance_vector_);
    store(system_.differential(), id_vector_);
    store(y_, y_vector_);
    store(rate_, rate_vector_);
    check(IDAInit(ida_.get(), residual, 0.0, y_vector_.get(), rate_vector_.get()), "IDAInit");
    check(IDASetUserData(ida_.get(), &system_), "IDASetUserData");
    check(IDASVtolerances(ida_.get(), options.relative_tolerance, tolerance_vector_.get()), "IDASVtolerances");
    check(IDASetId(ida_.get(), id_vector_.get()), "IDASetId");
    // The masked norms cost a fifth of a run; they are only needed where there are algebraic unknowns.
    if (system_.differential().minCoeff() == 0.0) check(IDASetSuppressAlg(ida_.get(), SUNTRUE), "IDASetSuppressAlg");
    check(IDASetErrHandlerFn(ida_.get(), remember_message, this), "IDASetErrHandlerFn");
    check(IDASetMaxNumSteps(ida_.get(), options.max_steps), "IDASetMaxNumSteps");
    embedded_ = {&system_, ida_.get()};
    solver_.reset(SUNLinSolNewEmpty(context));
    solver_->content = &embedded_;
    solver_->ops->gettype = embedded_type;
    solver_->ops->solve = solve_embedded;
    solver_->ops->free = free_embedded;
    check(IDASetLinearSolver(ida_.get(), solver_.get(), nullptr), "IDASetLinearSolver");
  }

  void run(const data::Pass& pass, double time_offset, TransientResult& result) {
    y_ = system_.initial_state();
    const bool gated = crossbar_.tile.drive == data::Drive::gated;
    const auto intervals = drive_intervals(crossbar_, pass);
    Vector volt = Vector::Zero(crossbar_.lines());
    if (gated && !intervals.empty()) volt = intervals.front().volt_begin;
    for (const auto& interval : intervals) {
      if (!system_.enter(interval, volt, y_, rate_)) return fail(result, "no consistent state at a pulse edge");
      if (!integrate(interval, time_offset, result)) return;
      volt = interval.volt_begin + interval.volt_slope * (interval.end_s - interval.begin_s);
    }
    result.charge_coulomb += pass.weight * system_.measured_charge(y_);
  }

  long linear_iterations() const { return system_.linear_iterations(); }

 private:
  static void remember_message(int, const char*, const char* function, char* message, void* self) {
    static_cast<Integrator*>(self)->message_ = std::string(function) + ": " + message;
  }
  static void store(const Vector& from, SunVector& to) { std::copy(from.begin(), from.end(), N_VGetArrayPointer(to.get())); }
  void fail(TransientResult& result, const std::string& why) const {
    result.status = Status::not_converged;
    result.failure = why;
  }

  bool integrate(const DriveInterval& interval, double time_offset, TransientResult& result) {
    store(y_, y_vector_);
    store(rate_, rate_vector_);
    check(IDAReInit(ida_.get(), interval.begin_s, y_vector_.get(), rate_vector_.get()), "IDAReInit");
    check(IDASetStopTime(ida_.get(), interval.end_s), "IDASetStopTime");
    record(interval.begin_s, time_offset, result);
    realtype t = interval.begin_s;
    while (t < interval.end_s) {
      const int flag = IDASolve(ida_.get(), interval.end_s, &t, y_vector_.get(), rate_vector_.get(), IDA_ONE_STEP);
      if (flag < 0) {
        fail(result, message_.empty() ? "IDASolve failed with " + std::to_string(flag) : message_);
        return false;
      }
      ++result.steps;
      if (result.steps > options_.max_steps) {
        fail(result, "more than " + std::to_string(options_.max_steps) + " steps");
        return false;
      }
      const double* const y = N_VGetArrayPointer(y_vector_.get());
      std::copy(y, y + y_.size(), y_.begin());
      if (options_.record_every > 0 && result.steps % options_.record_every == 0 && t < interval.end_s) {
        system_.residual(t, y_.data(), N_VGetArrayPointer(rate_vector_.get()), scratch(y_.size()));
        record(t, time_offset, result);
      }
      if (flag == IDA_TSTOP_RETURN) break;
    }
    return true;
  }

  double* scratch(Index size) {
    scratch_.resize(size);
    return scratch_.data();
  }

  void record(double t, double time_offset, TransientResult& result) {
    if (options_.record_every == 0) return;
    result.waveforms.time_s.push_back(time_offset + t);
    for (const Index line : options_.record_rows) samples_row_.push_back(system_.row_voltage(t, y_, line, crossbar_.cols() - 1));
    for (const Index column : options_.record_columns) {
      const Index far = crossbar_.tile.sensed_north(column) ? crossbar_.rows() - 1 : 0;
      samples_column_.push_back(system_.column_voltage(y_, far, column));
      samples_sense_.push_back(system_.sense_current(t, y_, column));
    }
  }

 public:
  void hand_over(Waveforms& waveforms) const {
    const auto table = [&](const std::vector<double>& samples, std::size_t width) {
      const Index rows = static_cast<Index>(waveforms.time_s.size());
      return Matrix(Eigen::Map<const Matrix>(samples.data(), rows, static_cast<Index>(width)));
    };
    waveforms.row_volt = table(samples_row_, options_.record_rows.size());
    waveforms.column_volt = table(samples_column_, options_.record_columns.size());
    waveforms.sense_ampere = table(samples_sense_, options_.record_columns.size());
  }

 private:
  const Crossbar& crossbar_;
  TransientOptions options_;
  TransientSystem system_;
  Context context_;
  SunVector y_vector_, rate_vector_, tolerance_vector_, id_vector_;
  EmbeddedSolver embedded_{};
  LinearSolver solver_;
  Ida ida_;
  Vector y_, rate_, scratch_;
  std::string message_;
  std::vector<double> samples_row_, samples_column_, samples_sense_;
};

}  // namespace

TransientResult solve_transient(const Crossbar& crossbar, const IntVector& codes, const TransientOptions& options) {
  if (codes.size() != crossbar.rows())
    throw Error(ErrorKind::usage, std::to_string(codes.size()) + " codes for " + std::to_string(crossbar.rows()) + " rows");
  for (const Index line : options.record_rows)
    if (line < 0 || line >= crossbar.lines()) throw_out_of_range("record_rows", static_cast<double>(line), "allowed: 0 to " + std::to_string(crossbar.lines() - 1));
  for (const Index column : options.record_columns)
    if (column < 0 || column >= crossbar.cols()) throw_out_of_range("record_columns", static_cast<double>(column), "allowed: 0 to " + std::to_string(crossbar.cols() - 1));

  TransientResult result;
  result.charge_coulomb = Vector::Zero(crossbar.cols());
  Integrator integrator(crossbar, options);
  double offset = 0.0;
  for (const auto& pass : data::make_passes(codes, crossbar.tile)) {
    integrator.run(pass, offset, result);
    offset += pass.window_s;
    if (result.status != Status::ok) break;
  }
  result.linear_iterations = integrator.linear_iterations();
  integrator.hand_over(result.waveforms);
  return result;
}

}  // namespace crosstile::circuit
