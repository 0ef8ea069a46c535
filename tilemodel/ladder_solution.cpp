#include "tilemodel/ladder_solution.hpp"

#include <cmath>

namespace crosstile::tilemodel {

void LadderSolution::resize(Index rungs) {
  for (Vector* v : {&column, &share, &resist, &current, &response}) v->resize(rungs);
}

void LadderSolution::solve(const double* conductance, const double* source, const double* after_ohm,
                           Index rungs) {
  // Norton pair of the far side, rung included; kept in response and current for a moment.
  double g = 0.0, i = 0.0;
  for (Index k = 0; k < rungs; ++k) {
    const double wire = k > 0 ? after_ohm[k - 1] : 0.0;
    const double pass = 1.0 / (1.0 + wire * g);
    g = g * pass + conductance[k];
    i = i * pass + source[k];
    response[k] = g;
    current[k] = i;
  }
  double next_column = 0.0, next_share = 1.0, to_ground = 0.0;
  for (Index k = rungs - 1; k >= 0; --k) {
    const double pass = 1.0 / (1.0 + after_ohm[k] * response[k]);
    column[k] = next_column = (next_column + after_ohm[k] * current[k]) * pass;
    share[k] = next_share = next_share * pass;
    to_ground += after_ohm[k];
    resist[k] = to_ground / (1.0 + response[k] * to_ground);
    to_ground /= 1.0 + conductance[k] * to_ground;
    current[k] -= response[k] * column[k];
    response[k] *= share[k];
  }
}

PulseEnd::PulseEnd(double length, Index pieces) {
  const double low = std::floor(length);
  const auto after = static_cast<Index>(low);
  if (low == length && after > 0) piece[parts++] = after - 1;
  if (after < pieces) piece[parts++] = after;
}

}  // namespace crosstile::tilemodel
