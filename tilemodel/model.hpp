// The fast model of one conductance array: its forms, and pulse codes to charges.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "core/types.hpp"
#include "data/tile.hpp"

namespace crosstile::tilemodel {

enum class Form {
  ideal,      ///< Q = V_read t_lsb G^T k: no wires, no selector
  effective,  ///< Q = W_eff^T t: exact for linear drives, W_eff given by the circuit
  ladder,     ///< exact column ladder per row and pulse end (gated drive, ideal supply)
  binned,     ///< the ladder with rows joined to segments and pulse ends to time bins
  closure,    ///< the ladder around reference columns, coarsened in each column's difference to them
  calibrated  ///< the closure with factors fitted to the circuit on its wires, its mesh load and its charge
};
/// Forms whose kernel is the closure.
constexpr bool is_closure(Form form) {
  return form == Form::closure || form == Form::calibrated;
}

/// Number type of the kernel of forms ladder, closure and calibrated: float32 is the fast one, float64 the reference for it (and stands
/// in where float32 would overflow because a column is dead at its far end, and for a ladder with signed drive). Form binned computes in
/// double precision; so do ideal and effective, unless charges are asked for in float32 and arithmetic is not float64. Automatic: float32
/// for closure and calibrated, float64 for ladder, which is what the others are measured against.
enum class Arithmetic { automatic, float32, float64 };

}  // namespace crosstile::tilemodel

/// Lets data::Config read a form by name (choice_of).
template <>
struct crosstile::data::EnumNames<crosstile::tilemodel::Form> {
  static constexpr std::array<EnumName<tilemodel::Form>, 6> value{{{tilemodel::Form::ideal, "ideal"},
                                                                   {tilemodel::Form::effective, "effective"},
                                                                   {tilemodel::Form::ladder, "ladder"},
                                                                   {tilemodel::Form::binned, "binned"},
                                                                   {tilemodel::Form::closure, "closure"},
                                                                   {tilemodel::Form::calibrated, "calibrated"}}};
};
template <>
struct crosstile::data::EnumNames<crosstile::tilemodel::Arithmetic> {
  static constexpr std::array<EnumName<tilemodel::Arithmetic>, 3> value{{{tilemodel::Arithmetic::automatic, "auto"},
                                                                         {tilemodel::Arithmetic::float32, "float32"},
                                                                         {tilemodel::Arithmetic::float64, "float64"}}};
};

namespace crosstile::tilemodel {

/// Name as it stands in files and flags ("ladder"), and back; nothing for an unknown name.
inline std::string_view form_name(Form form) {
  return data::to_name(form);
}
inline std::optional<Form> form_from_name(std::string_view name) {
  return data::from_name<Form>(name);
}

/// Coefficients fitted to a reference set: charge = base + sum_f coefficient_f * feature_f (docs/theory.md,
/// "Least-squares correction"). Empty: no correction.
struct Correction {
  Vector coefficients;     ///< kFeatureNames.size(), no unit: every feature is a charge
  Vector standard_errors;  ///< the same length
};

/// Form calibrated: factors on the closure's own quantities, for what its equations leave out (non-linear cells, front end,
/// RC, the rest of the mesh). In the order of kCalibrationNames; 1: not fitted. docs/theory.md, "Calibration".
inline constexpr std::array<std::string_view, 4> kCalibrationNames{
    "column_wire",  // on r_col and r_sense
    "row_wire",     // on r_row and r_driver
    "mesh",         // on q_bj
    "gain"};        // on the charge
struct Calibration {
  std::array<double, 4> factor{1.0, 1.0, 1.0, 1.0};
  std::array<double, 4> standard_error{};  ///< 0 where not fitted
};

/// The features of the correction, in the order of the coefficients. All are charges built from one pass of
/// one vector; their definitions: docs/theory.md, "Least-squares correction".
inline constexpr std::array<std::string_view, 8> kFeatureNames{"charge",
                                                               "charge*activity",
                                                               "charge*position",
                                                               "column_loss",
                                                               "column_loss*activity",
                                                               "column_loss^2/charge",
                                                               "row_loss",
                                                               "mesh"};
inline constexpr Index kFeatureCount = static_cast<Index>(kFeatureNames.size());

inline constexpr int kMostSegments = 16384;
inline constexpr int kMostTimeBins = 65536;
inline constexpr int kMostBlockRows = 1024;
inline constexpr int kMostClosureBins = 8;
inline constexpr int kMostReferences = 64;

struct ModelSpec {
  Form form = Form::ladder;
  /// binned: at most so many row segments, of ceil(rows / segments) rows each; 1 .. kMostSegments
  int segments = 8;
  /// binned: at most so many time bins a pass, of ceil(slots / time_bins) codes each; 1 .. kMostTimeBins
  int time_bins = 8;
  /// closure, calibrated: rows a block; 1 .. kMostBlockRows
  int block_rows = 32;
  /// closure: bins of time a pass for the difference to the reference columns; 1 .. kMostClosureBins
  int closure_bins = 1;
  /// closure: reference columns of one sense end, found by clustering; 0 chooses, .. kMostReferences
  int references = 0;
  /// ladder, closure, calibrated: kernel
  Arithmetic arithmetic = Arithmetic::automatic;
  /// every form with wires: multiply G by the ohmic drop along the row wire with columns grounded ("ladder p")
  bool row_wire_factor = true;
  /// closure: also follow what columns with different voltages do to one another through the row wires
  bool mesh_load = true;
  Correction correction;    ///< every form but calibrated
  Calibration calibration;  ///< form calibrated

  /// The form's kernel computes in float32 where it can (Arithmetic says where it cannot).
  bool in_float32() const {
    return arithmetic == Arithmetic::automatic ? is_closure(form) : arithmetic == Arithmetic::float32;
  }
};

/// Derivatives of a loss; what it means by shape and unit: TileModel::gradient.
template <typename Dense>
struct BasicGradient {
  Dense codes;        ///< vectors x rows; by the pulse lengths, per code step
  Dense g_siemens;    ///< rows x cols, summed over the batch; form effective: by the effective matrix
  double r_col_ohm = 0.0;    ///< by the column wire, with the wire behind the last cell; 0 for products
  double r_sense_ohm = 0.0;  ///< by the sense resistance; 0 for products
};

using Gradient = BasicGradient<Matrix>;
using GradientF = BasicGradient<MatrixF>;

/// What is wanted of a gradient. What is not wanted stays as it is.
struct GradientOptions {
  bool codes = true;
  bool g_siemens = true;
  bool wire = true;  ///< r_col_ohm and r_sense_ohm; without these and `codes` the reference is not walked backwards
  /// Inputs are never negative (pixels, activations behind a relu): at code 0 take the derivative of a pulse that
  /// begins to grow instead of the mean of both signs; saves the pass of the other sign.
  bool rising_zero = false;
  /// The workspace was last used for charge() of this model with the same codes: form closure in float32 then does not
  /// follow its reference columns again (batches of up to 128 vectors of one sign and sense end).
  bool after_charge = false;
};

/// Scratch memory of TileModel. Grows to what the largest batch needs and is then reused without
/// allocation. One per thread.
class Workspace {
 public:
  Workspace();
  ~Workspace();
  Workspace(Workspace&&) noexcept;
  Workspace& operator=(Workspace&&) noexcept;

 private:
  friend class TileModel;
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// A model programmed with one conductance array; immutable, safe to share between threads. The charge of a
/// vector does not depend on the other vectors of its batch, bit for bit.
class TileModel {
 public:
  /// g_siemens: rows x cols of the tile, finite and >= 0; with drive bipolar (form ideal) it is G+ - G- and
  /// may be negative. Forms with wires take a gated tile, closure and calibrated with two-phase signs. A sinh cell enters with its conductance at
  /// V_read, a selector in series with it. Errors: usage (shape, range, form that does not fit the drive).
  TileModel(const ModelSpec& spec, const data::TileSpec& tile, const Matrix& g_siemens);
  /// Form effective. w_eff_siemens: rows x cols; charge_j = v_read sum_i w_ij t_i with signed pulse lengths
  /// t. With drive bipolar one matrix stands for the pair. g_siemens is only checked.
  TileModel(const ModelSpec& spec, const data::TileSpec& tile, const Matrix& g_siemens,
            const Matrix& w_eff_siemens);
  ~TileModel();
  TileModel(TileModel&&) noexcept;
  TileModel& operator=(TileModel&&) noexcept;

  Index rows() const;
  Index cols() const;
  /// codes: vectors x rows, signed pulse codes; charge_coulomb: vectors x cols (resized), all passes and
  /// signs combined. Errors: usage (shape, |code| above the DAC's largest code).
  void charge(const IntMatrix& codes, Matrix& charge_coulomb) const;
  /// The same with the caller's scratch memory: no allocation once the workspace has seen a batch of this
  /// size.
  void charge(const IntMatrix& codes, Matrix& charge_coulomb, Workspace& workspace) const;
  /// The same, rounded to float32; form closure with arithmetic float32 gets there without a detour.
  void charge(const IntMatrix& codes, MatrixF& charge_coulomb, Workspace& workspace) const;

  /// The same for pulse lengths that need not be whole codes: signed, in code steps, |code| up to the DAC's largest
  /// code. Errors: also usage when a code is not whole and one product takes several passes a sign.
  void charge_continuous(const Matrix& codes, Matrix& charge_coulomb, Workspace& workspace) const;

  /// Vector-Jacobian product: charge_gradient (vectors x cols) is the derivative of a loss by the charges (per
  /// coulomb); out is resized and overwritten. Exact for the model's own charge, with two things held: reference
  /// columns (closure) and the row-wire factor. At a pulse length where the charge has a kink (pulses that end
  /// together, bin edges, 0) the mean of both one-sided derivatives. Where one product takes several passes a sign,
  /// each pass takes the share of a code's change that it has of the largest code (straight through).
  /// Errors: usage (shape, range; a model with a correction).
  void gradient(const Matrix& codes, const Matrix& charge_gradient, Gradient& out, Workspace& workspace,
                const GradientOptions& options = {}) const;
  /// The same in float32; forms closure and calibrated with arithmetic float32 get there without a detour.
  void gradient(const MatrixF& codes, const MatrixF& charge_gradient, GradientF& out, Workspace& workspace,
                const GradientOptions& options = {}) const;

  /// Charge without the correction, and the correction's features: kFeatureCount matrices, vectors x cols,
  /// coulomb, all passes combined. A feature that does not apply to the form or tile is zero.
  void base_and_features(const IntMatrix& codes, Matrix& base_coulomb,
                         std::vector<Matrix>& features_coulomb) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace crosstile::tilemodel
