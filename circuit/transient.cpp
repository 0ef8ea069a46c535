#include <algorithm>
#include <cmath>
#include <optional>

#include "circuit/sundials_detail.hpp"
#include "core/error.hpp"

namespace crosstile::circuit {

namespace {

int residual(realtype t, N_Vector y, N_Vector y_prime, N_Vector f, void* user) {
  auto* const system = static_cast<TransientSystem*>(user);
  system->residual(t, N_VGetArrayPointer(y), N_VGetArrayPointer(y_prime));
  system->copy_residual(N_VGetArrayPointer(f));
  return 0;
}

int error_weights(N_Vector y, N_Vector weights, void* user) {
  static_cast<TransientSystem*>(user)->error_weights(N_VGetArrayPointer(y), N_VGetArrayPointer(weights));
  return 0;
}

TransientSystem::Tolerances tolerances(const Crossbar& crossbar, const TransientOptions& options, double full_charge) {
  const auto& tile = crossbar.tile;
  const double relative = options.relative_tolerance;
  const double volt = options.absolute_tolerance_volt > 0.0 ? options.absolute_tolerance_volt : 0.1 * relative * tile.v_read_volt;
  const double charge = options.charge_tolerance > 0.0 ? options.charge_tolerance : std::clamp(1e-4 * relative, 1e-12, 3e-9);
  return {relative, volt, charge * std::max(full_charge, tile.g_min_siemens * tile.v_read_volt * tile.pulse.t_lsb_s)};
}

// Samples of the chosen nodes, one after another; a table a quantity in the end.
class Recorder {
 public:
  Recorder(const Crossbar& crossbar, const TransientOptions& options) : crossbar_(crossbar), options_(options) {}

  bool wants(long step) const { return options_.record_every > 0 && step % options_.record_every == 0; }
  bool on() const { return options_.record_every > 0; }

  // The system's residual has been evaluated at y.
  void add(double t, double time_offset, const TransientSystem& system, const Vector& y) {
    if (!on()) return;
    time_.push_back(time_offset + t);
    for (const Index line : options_.record_rows) row_.push_back(system.row_voltage(t, y, line, crossbar_.cols() - 1));
    for (const Index column : options_.record_columns) {
      const Index far = crossbar_.tile.sensed_north(column) ? crossbar_.rows() - 1 : 0;
      column_.push_back(system.column_voltage(y, far, column));
      sense_.push_back(system.sense_current(y, column));
      front_.push_back(system.front_end_state(y, column));
    }
  }

  Waveforms waveforms() const {
    const auto rows = static_cast<Index>(time_.size());
    const auto table = [&](const std::vector<double>& samples, std::size_t width) {
      return Matrix(Eigen::Map<const Matrix>(samples.data(), rows, static_cast<Index>(width)));
    };
    Waveforms out;
    out.time_s = time_;
    out.row_volt = table(row_, options_.record_rows.size());
    out.column_volt = table(column_, options_.record_columns.size());
    out.sense_ampere = table(sense_, options_.record_columns.size());
    const auto kind = crossbar_.tile.front_end.kind;
    if (kind == data::FrontEndKind::integrator) out.front_end_volt = table(front_, options_.record_columns.size());
    if (kind == data::FrontEndKind::cco) out.front_end_counts = table(front_, options_.record_columns.size());
    return out;
  }

 private:
  const Crossbar& crossbar_;
  const TransientOptions& options_;
  std::vector<double> time_, row_, column_, sense_, front_;
};

class Integrator {
 public:
  Integrator(const Crossbar& crossbar, const TransientOptions& options)
      : crossbar_(crossbar), options_(options), system_(crossbar), recorder_(crossbar, options) {
    SUNContext context = nullptr;
    check_sundials(SUNContext_Create(nullptr, &context), "SUNContext_Create");
    context_.reset(context);
    ida_.reset(IDACreate(context));
    for (auto* vector : {&y_vector_, &rate_vector_, &id_vector_}) vector->reset(new_fast_vector(system_.size(), context));
    if (!ida_ || !y_vector_ || !rate_vector_ || !id_vector_) throw Error(ErrorKind::not_converged, "SUNDIALS: out of memory");
    y_ = system_.initial_state();
    rate_ = Vector::Zero(system_.size());
    const Vector differential = system_.differential();
    store(differential, id_vector_);
    store(y_, y_vector_);
    store(rate_, rate_vector_);
    void* const ida = ida_.get();
    check_sundials(IDAInit(ida, residual, 0.0, y_vector_.get(), rate_vector_.get()), "IDAInit");
    check_sundials(IDASetUserData(ida, &system_), "IDASetUserData");
    check_sundials(IDAWFtolerances(ida, error_weights), "IDAWFtolerances");
    check_sundials(IDASetId(ida, id_vector_.get()), "IDASetId");
    // The masked norms cost a fifth of a run; they are only needed where there are algebraic unknowns.
    if (differential.minCoeff() == 0.0) check_sundials(IDASetSuppressAlg(ida, SUNTRUE), "IDASetSuppressAlg");
    check_sundials(IDASetErrHandlerFn(ida, remember_message, this), "IDASetErrHandlerFn");
    // Behind an edge everything dies away within a thousandth of an interval; from there steps may grow faster than by doubling.
    check_sundials(IDASetEtaMax(ida, 10.0), "IDASetEtaMax");
    newton_.emplace(system_, ida, context, std::clamp(1e-2 * options.relative_tolerance, 1e-8, 1e-4));
    check_sundials(IDASetNonlinearSolver(ida, newton_->solver()), "IDASetNonlinearSolver");
  }

  void run(const data::Pass& pass, double time_offset, TransientResult& result) {
    const DrivePlan plan(crossbar_, pass, options_.trace, time_offset);
    system_.set_tolerances(tolerances(crossbar_, options_, plan.full_charge_coulomb()));
    y_ = system_.initial_state();
    Vector volt = Vector::Zero(crossbar_.lines());
    for (Index k = 0; k < plan.size(); ++k) {
      const DriveInterval interval = plan.interval(k);
      if (k == 0 && crossbar_.tile.drive == data::Drive::gated) volt = interval.volt_begin;
      follow_trace(interval.trace_step);
      if (!system_.enter(interval, volt, y_, rate_)) return fail(result, "no consistent state at a pulse edge");
      if (!integrate(interval, time_offset, result)) return;
      volt = interval.volt_end();
    }
    system_.note_pass_end(y_);
    result.charge_coulomb += pass.weight * system_.measured_charge(y_);
  }

  void finish(TransientResult& result) const {
    result.linear_iterations = system_.linear_iterations();
    result.saturated_columns = system_.limited_columns();
    if (recorder_.on()) result.waveforms = recorder_.waveforms();
  }

 private:
  static void remember_message(int, const char*, const char* function, char* message, void* self) {
    static_cast<Integrator*>(self)->message_ = std::string(function) + ": " + message;
  }
  static void store(const Vector& from, SundialsOwner<N_Vector>& to) { std::copy(from.begin(), from.end(), N_VGetArrayPointer(to.get())); }
  static void fail(TransientResult& result, const std::string& why) {
    result.status = Status::not_converged;
    result.failure = why;
  }

  void follow_trace(Index step) {
    if (!options_.trace || step == trace_step_) return;
    trace_step_ = step;
    trace_g_.resize(crossbar_.lines(), crossbar_.cols());
    options_.trace.mean(step, trace_g_);
    if (trace_g_.rows() != crossbar_.lines() || trace_g_.cols() != crossbar_.cols() || !trace_g_.allFinite() || trace_g_.minCoeff() < 0.0)
      throw Error(ErrorKind::usage, "conductance trace, step " + std::to_string(step) + ": allowed: " + std::to_string(crossbar_.lines()) +
                                        " x " + std::to_string(crossbar_.cols()) + " finite values of at least 0");
    system_.set_conductances(trace_g_);
  }

  // IDA step by step where somebody looks at every step, else at once to the interval's end.
  bool integrate(const DriveInterval& interval, double time_offset, TransientResult& result) {
    store(y_, y_vector_);
    store(rate_, rate_vector_);
    void* const ida = ida_.get();
    check_sundials(IDAReInit(ida, interval.begin_s, y_vector_.get(), rate_vector_.get()), "IDAReInit");
    check_sundials(IDASetStopTime(ida, interval.end_s), "IDASetStopTime");
    check_sundials(IDASetMaxNumSteps(ida, std::max(options_.max_steps - result.steps, 1L)), "IDASetMaxNumSteps");
    check_sundials(IDASetInitStep(ida, system_.first_step(y_, rate_, interval.end_s - interval.begin_s)), "IDASetInitStep");
    recorder_.add(interval.begin_s, time_offset, system_, y_);
    const bool watched = recorder_.on() || crossbar_.tile.front_end.kind != data::FrontEndKind::ideal;
    realtype t = interval.begin_s;
    long steps = 0;
    for (int flag = IDA_SUCCESS; flag != IDA_TSTOP_RETURN;) {
      flag = IDASolve(ida, interval.end_s, &t, y_vector_.get(), rate_vector_.get(), watched ? IDA_ONE_STEP : IDA_NORMAL);
      IDAGetNumSteps(ida, &steps);
      const long total = result.steps + steps;
      if (flag == IDA_TOO_MUCH_WORK || total > options_.max_steps) {
        fail(result, "more than " + std::to_string(options_.max_steps) + " steps");
        return false;
      }
      if (flag < 0) {
        fail(result, message_.empty() ? "IDASolve failed with " + std::to_string(flag) : message_);
        return false;
      }
      const double* const y = N_VGetArrayPointer(y_vector_.get());
      std::copy(y, y + y_.size(), y_.begin());
      if (!watched) break;
      system_.residual(t, y_.data(), N_VGetArrayPointer(rate_vector_.get()));
      system_.note_limits(y_.data());
      if (recorder_.wants(total) || (flag == IDA_TSTOP_RETURN && recorder_.on())) recorder_.add(t, time_offset, system_, y_);
    }
    result.steps += steps;
    return true;
  }

  const Crossbar& crossbar_;
  const TransientOptions& options_;
  TransientSystem system_;
  Recorder recorder_;
  SundialsOwner<SUNContext> context_;
  SundialsOwner<N_Vector> y_vector_, rate_vector_, id_vector_;
  IdaOwner ida_;
  std::optional<CrossbarNewton> newton_;
  Vector y_, rate_;
  Array trace_g_;
  Index trace_step_ = -1;
  std::string message_;
};

void check_options(const Crossbar& crossbar, const IntVector& codes, const TransientOptions& options) {
  if (codes.size() != crossbar.rows())
    throw Error(ErrorKind::usage, std::to_string(codes.size()) + " codes for " + std::to_string(crossbar.rows()) + " rows");
  const auto check_each = [](const char* field, const std::vector<Index>& chosen, Index count) {
    for (const Index k : chosen)
      if (k < 0 || k >= count) throw_out_of_range(field, static_cast<double>(k), "allowed: 0 to " + std::to_string(count - 1));
  };
  check_each("record_rows", options.record_rows, crossbar.lines());
  check_each("record_columns", options.record_columns, crossbar.cols());
  require_in_range("relative_tolerance", options.relative_tolerance, 1e-15, 1.0);
  require_in_range("absolute_tolerance_volt", options.absolute_tolerance_volt, 0.0, 1e3);
  require_in_range("charge_tolerance", options.charge_tolerance, 0.0, 1.0);
  require_in_range("trace.step_s", options.trace.step_s, 0.0, 1e9);
  if (options.trace && !options.trace.mean) throw Error(ErrorKind::usage, "trace.step_s is set, but trace.mean is not");
}

}  // namespace

TransientResult solve_transient(const Crossbar& crossbar, const IntVector& codes, const TransientOptions& options) {
  check_options(crossbar, codes, options);
  TransientResult result;
  result.charge_coulomb = Vector::Zero(crossbar.cols());
  Integrator integrator(crossbar, options);
  double offset = 0.0;
  for (const auto& pass : data::make_passes(codes, crossbar.tile)) {
    integrator.run(pass, offset, result);
    offset += pass.window_s;
    if (result.status != Status::ok) break;
  }
  integrator.finish(result);
  return result;
}

}  // namespace crosstile::circuit
