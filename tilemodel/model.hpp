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
  binned      ///< the ladder with rows joined to segments and pulse ends to time bins
};

}  // namespace crosstile::tilemodel

/// Lets data::Config read a form by name (choice_of).
template <>
struct crosstile::data::EnumNames<crosstile::tilemodel::Form> {
  static constexpr std::array<EnumName<tilemodel::Form>, 4> value{{{tilemodel::Form::ideal, "ideal"},
                                                                   {tilemodel::Form::effective, "effective"},
                                                                   {tilemodel::Form::ladder, "ladder"},
                                                                   {tilemodel::Form::binned, "binned"}}};
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

struct ModelSpec {
  Form form = Form::ladder;
  /// binned: at most so many row segments, of ceil(rows / segments) rows each; 1 .. kMostSegments
  int segments = 8;
  /// binned: at most so many time bins a pass, of ceil(slots / time_bins) codes each; 1 .. kMostTimeBins
  int time_bins = 8;
  /// ladder, binned: multiply G by the ohmic drop along the row wire with columns grounded ("ladder p")
  bool row_wire_factor = true;
  Correction correction;
};

/// Scratch memory of TileModel::charge. Grows to what the largest batch needs and is then reused without
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
  /// may be negative. Forms ladder and binned take a gated tile. A sinh cell enters with its conductance at
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

  /// Charge without the correction, and the correction's features: kFeatureCount matrices, vectors x cols,
  /// coulomb, all passes combined. A feature that does not apply to the form or tile is zero.
  void base_and_features(const IntMatrix& codes, Matrix& base_coulomb,
                         std::vector<Matrix>& features_coulomb) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace crosstile::tilemodel
