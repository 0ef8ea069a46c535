// Internal. Least squares of what a model misses on what could explain it, with standard errors that know that the columns of
// one vector err together. docs/theory.md, "Least-squares correction".
#pragma once

#include <vector>

#include "core/types.hpp"

namespace crosstile::tilemodel {

// Model and reference of one array ("plus" or "minus") on all vectors.
struct ArrayData {
  Matrix base;                  // vectors x cols
  Matrix reference;             // the same
  std::vector<Matrix> feature;  // each of the same shape
};

class Regression {
 public:
  // All arrays have the same features; `vectors` are those that take part.
  Regression(const std::vector<ArrayData>& arrays, const std::vector<Index>& vectors);

  struct Solution {
    Vector coefficients;     // of all features; 0 where left out
    Vector standard_errors;  // the same
    bool empty = true;       // no feature was left
  };
  // Coefficients of the given features.
  Solution solve(const std::vector<Index>& features) const;
  // Features that are not rounding noise.
  std::vector<Index> present() const;
  // Residual RMS over charge RMS below that of a form that is exact.
  bool nothing_to_explain() const;

 private:
  Eigen::MatrixXd x_;  // samples x features, each of unit RMS or zero; samples ordered by vector
  Vector y_;           // residual, coulomb
  Vector scale_;       // features; RMS, coulomb
  double charge_rms_;  // coulomb
  Index per_vector_;   // samples of one vector
};

// Standard errors below which a coefficient only adds noise to new vectors.
inline constexpr double kSignificant = 3.0;
// Backward elimination: the weakest of `features` is dropped while its |value| / standard error is below kSignificant;
// false when none is weak.
bool drop_weakest(const Vector& value, const Vector& standard_error, std::vector<Index>& features);

}  // namespace crosstile::tilemodel
