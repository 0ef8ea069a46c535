// The cheapest form that meets an error budget. docs/theory.md, "Choosing a form".
#pragma once

#include <string>
#include <vector>

#include "tilemodel/fit.hpp"

namespace crosstile::tilemodel {

/// Forms that fit a tile, cheapest first; every one with what it is called in a table.
struct Candidate {
  std::string name;
  ModelSpec spec;
};
std::vector<Candidate> candidates(const data::TileSpec& tile);

/// One fitted candidate.
struct Trial {
  std::string name;
  double error_lsb = 0.0;           ///< RMS; see judged_error
  double seconds_per_vector = 0.0;  ///< processor time of the fitted model, one thread
};

/// RMS error a form is judged by: the larger one of held-out vectors and of vectors on new weights; that of the fit
/// where nothing is held out.
double judged_error(const FitReport& report);

struct Choice {
  ModelSpec spec;
  FitReport report;
  bool met = false;           ///< false: no candidate meets the target; spec is the one with the smallest error
  std::vector<Trial> trials;  ///< in order, up to the chosen one
};

/// Fits one candidate after the other until one meets target_lsb (RMS, LSB of the reference set). Errors: as fit();
/// usage when the target is not above 0.
Choice fit_to_target(const data::ReferenceSet& set, double target_lsb, const EffectiveMatrices& w_eff_siemens,
                     const Progress& progress = {});

}  // namespace crosstile::tilemodel
