// The study "where does the error come from?": a network on tiles; every effect alone and removed; the factor
// by which each may grow; the largest wire resistance and the largest tile that meet a target, confirmed with
// the full circuit; accuracy, energy and latency over wires, pulse modes and converters.
// docs/theory.md, "Error budget".
#pragma once

#include <array>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/progress.hpp"
#include "data/config.hpp"
#include "device/pcm.hpp"
#include "nn/evaluate.hpp"
#include "validation/pipeline.hpp"
#include "validation/results.hpp"
#include "validation/study_base.hpp"

namespace crosstile::validation {

enum class Effect {
  column_wire,  ///< r_col_ohm
  row_wire,     ///< r_row_ohm, r_driver_ohm
  selector,     ///< selector.r_on_ohm
  front_end,    ///< r_sense_ohm, and gain and offset of the converters from column to column
  pwm,          ///< rounding of inputs to pulse lengths
  adc,          ///< rounding and clipping of charges
  read_noise,   ///< accumulated since programming
  programming,  ///< error of programming, devices that are stuck
  drift
};
inline constexpr std::size_t kEffects = 9;
/// "column wire", ...
std::string effect_name(std::size_t effect);

/// Of every effect: 0 absent, 1 as configured, f: f times as strong. pwm and adc: f times the step of the
/// converter, rounded to whole bits.
using Strengths = std::array<double, kEffects>;
Strengths all_effects(double strength);
Strengths only_effect(std::size_t effect, double strength = 1.0);
Strengths without_effect(std::size_t effect, double strength = 0.0);  ///< the others as configured

struct BudgetStudy {
  std::string title = "Where the error comes from";
  DataFiles data;
  std::filesystem::path network_file;  ///< empty: trained here
  nn::NetworkSpec network;
  nn::TrainOptions training;
  double clip_sigma = 0.0;
  data::TileSpec tile;         ///< gated, pairs of columns, two-phase signs
  tilemodel::ModelSpec model;  ///< where there are wires
  device::PcmModel device = device::pcm_default();
  double time_s = 3600.0;  ///< after the first read
  nn::DriftCompensation compensation = nn::DriftCompensation::global;
  Index draws = 3;           ///< chips
  Index images = 1000;       ///< test images of accuracies; 0: all
  Index layer_images = 100;  ///< of these, for errors of the first layer
  Index calibration_images = 200;
  bool others_absent = true;  ///< while one effect grows; false: as configured
  double a_star = 0.99;       ///< what must be kept
  double most_factor = 1e3;   ///< growth is looked for up to here, and down to its inverse
  double error_lsb = 1.0;     ///< RMS error of the first layer that wires may cause
  Index confirm_images = 4;   ///< through the full circuit at the limits; 0: none
  std::vector<double> table_r_ohm{0.15, 1.0, 5.0};
  std::vector<data::Passes> table_passes{data::Passes::conventional, data::Passes::split,
                                         data::Passes::bit_serial};
  std::vector<std::int64_t> table_adc_bits{6, 8};
  Index energy_images = 20;
  std::string toml;  ///< as read
};

/// Reads [study], [tile], [data], [network], [training]; calls config.finish(). Errors: usage.
BudgetStudy read_budget_study(data::Config& config);

/// Tile and devices with effects of the given strengths. An absent pwm has 12 bits, an absent adc 16.
data::TileSpec tile_with(const BudgetStudy& study, const Strengths& strengths);
device::PcmModel devices_with(const BudgetStudy& study, const Strengths& strengths);
/// False where the configuration leaves nothing to grow (no resistance, no spread).
bool is_configured(const BudgetStudy& study, std::size_t effect);

/// A value that falls with a factor, and its standard error.
struct FactorSample {
  double value = 0.0, error = 0.0;
};
struct FactorRoot {
  enum class Verdict { found, above, below } verdict = Verdict::found;  ///< above: not even `most` is enough
  double factor = 1.0;     ///< where the value passes the level; the end of the range for above, below
  double log_error = 0.0;  ///< standard error of ln factor: that of the value over its slope
  std::vector<std::pair<double, FactorSample>> samples;  ///< by factor
};
/// The largest factor whose value is at least `level`: brackets by steps of four from 1 on, between 1 / most
/// and most, then halves the interval of ln factor until its ends are within `precision` (a ratio) of each
/// other; the root is interpolated between them.
FactorRoot largest_factor(const std::function<FactorSample(double)>& value_at, double level, double most,
                          double precision);
/// The same over given factors, ascending, from the one nearest to 1; each is asked at most once.
FactorRoot largest_factor_of(const std::vector<double>& factors,
                             const std::function<FactorSample(double)>& value_at, double level);

/// A network under one set of strengths.
struct BudgetPoint {
  std::string name;           ///< "all", "none", "only adc", "no adc"
  double rms_lsb = 0.0;       ///< error of the first layer against the exact product of pixels and weights
  double rms_relative = 0.0;  ///< the same over the RMS of that product
  double accuracy = 0.0, accuracy_error = 0.0;  ///< mean over chips, standard error over chips
  double a_star = 0.0;
};
struct Growth {
  std::size_t effect = 0;
  FactorRoot root;
};
/// One root of the fast model, and the circuit there.
struct Limit {
  std::string what;                             ///< "wire resistance", "tile size"
  std::string target;                           ///< "1 LSB RMS", "A* 0.99"
  double value = 0.0;                           ///< ohm per cell of a column; rows of a tile
  std::string verdict;                          ///< "", or why it is not a root
  std::optional<double> fast_lsb, circuit_lsb;  ///< of the confirmed images, RMS over the first layer
  std::optional<double> difference_lsb;         ///< between fast model and circuit
};
struct TradePoint {
  double r_col_ohm = 0.0;
  data::Passes passes = data::Passes::conventional;
  Index adc_bits = 8;
  double accuracy = 0.0, accuracy_error = 0.0, a_star = 0.0;
  double joule = 0.0, latency_s = 0.0;  ///< per inference
};
struct BudgetOutcome {
  double digital_accuracy = 0.0;
  std::vector<BudgetPoint> budget;
  std::vector<Growth> growth;  ///< the smallest factor first
  std::vector<Limit> limits;
  std::vector<TradePoint> trade;
  Index made = 0, kept = 0;  ///< pieces of this call, and found finished
};

/// Errors: usage, also for a folder of another study; io, bad_data; not_converged; interrupted by the
/// callback.
BudgetOutcome run_budget_study(const BudgetStudy& study, const StudyOptions& options);

/// results.json, budget.csv, budget.h5 and budget.svg in `folder`. Errors: io.
Results write_budget_study(const BudgetStudy& study, const BudgetOutcome& outcome,
                           const std::filesystem::path& folder);

}  // namespace crosstile::validation
