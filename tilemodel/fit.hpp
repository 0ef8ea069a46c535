// Fits the correction of a fast model to a reference set of the circuit, and says how good the model is and
// where it holds. docs/theory.md, "Least-squares correction".
#pragma once

#include <string>
#include <vector>

#include "core/progress.hpp"
#include "core/types.hpp"
#include "data/reference_set.hpp"
#include "data/tile.hpp"
#include "tilemodel/model.hpp"

namespace crosstile::tilemodel {

/// Model minus reference. 1 LSB = (99.9 % quantile of |single-bit-line charge| of the reference set) / 255.
struct ErrorFigures {
  double rms_lsb = 0.0;           ///< of single bit lines, plus and minus arrays alike
  double quantile_999_lsb = 0.0;  ///< 99.9 % quantile of |error|
  double max_lsb = 0.0;
  double rms_relative = 0.0;  ///< RMS of the error of G+ - G- over the RMS of G+ - G- (the single output
                              ///< where there is one array)
  Index samples = 0;  ///< single-bit-line charges; 0: no vectors of this kind, the figures mean nothing
};

/// One quantity of the reference set, as far as its values reached.
struct ParameterRange {
  std::string name;  ///< with its unit: "r_col_ohm"
  double low = 0.0;
  double high = 0.0;
};

struct FitReport {
  data::TileSpec tile;       ///< of the reference set
  double lsb_coulomb = 0.0;  ///< of one bit line
  Index fit_vectors = 0;
  Index held_out_vectors = 0;  ///< of both kinds
  /// "Before": without correction, all factors of a calibration 1. Held out: new vectors on weights that the fit has
  /// seen; new weights: vectors on weight matrices of which it has seen none.
  ErrorFigures fit_before, fit_after, held_out_before, held_out_after, new_weights_before, new_weights_after;
  std::vector<ParameterRange> validity;
};

/// Effective matrices for form effective: one per weight draw; minus is empty unless the layout is
/// pair-columns.
struct EffectiveMatrices {
  std::vector<Matrix> plus;
  std::vector<Matrix> minus;
};

/// Form calibrated: Gauss-Newton on spec.calibration (derivatives by central differences), factors that cannot be
/// told from 1 by three standard errors set to 1. Other forms:
/// In: spec.form and its settings. Out: spec.correction, fitted to the vectors with held_out = 0. Where the
/// form agrees with the reference to its rounding (RMS below 1e-9 of the RMS charge) there is nothing to fit
/// and the correction stays empty. Features whose coefficient is smaller than three standard errors are
/// dropped, the weakest first, and the rest fitted again; their coefficients are 0. Errors: bad_data from
/// set.validate(), or no vectors to fit; usage when the form does not fit the tile; interrupted.
FitReport fit(const data::ReferenceSet& set, ModelSpec& spec, const Progress& progress = {});
/// The same for form effective, whose matrices are not part of a reference set.
FitReport fit(const data::ReferenceSet& set, ModelSpec& spec, const EffectiveMatrices& w_eff_siemens,
              const Progress& progress = {});

/// What of a tile, an array of conductances or a batch of codes lies outside what the correction was fitted
/// to, one sentence each; empty when all is inside. A quantity is outside when it leaves its range by more
/// than 1 % of the range's far end.
std::vector<std::string> warnings(const FitReport& report, const data::TileSpec& tile);
std::vector<std::string> warnings(const FitReport& report, const Matrix& g_siemens);
std::vector<std::string> warnings(const FitReport& report, const IntMatrix& codes);

}  // namespace crosstile::tilemodel
