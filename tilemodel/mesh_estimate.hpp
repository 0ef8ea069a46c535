// Internal. First-order estimate of what the row-wire factor misses on the full two-wire mesh: p is exact
// when all columns have the same voltage along their wire, and the estimate follows from how the columns
// differ. docs/theory.md, "What the row-wire factor misses".
#pragma once

#include <array>
#include <vector>

#include "core/types.hpp"
#include "data/tile.hpp"
#include "tilemodel/ladder.hpp"
#include "tilemodel/panels.hpp"

namespace crosstile::tilemodel {

class MeshEstimate {
 public:
  // g: rows x cols, cell conductances; p: row-wire factor. groups: one or two sense ends.
  MeshEstimate(const data::TileSpec& tile, const std::vector<ColumnGroup>& groups, const Matrix& g,
               const Matrix& p);

  // By sense end; matrices have a capacity of vectors, of which the first ones are used.
  struct Side {
    std::array<Matrix, 2>
        reference;  // per source end: integral of c (1 - c) of the reference columns; vectors x positions
    Matrix drop;    // integral of c of this end's reference column
    std::array<Matrix, 2> injected;  // reference times g (1 - p); vectors x padded cols
    Matrix expected_loss;            // drop times g p
    Matrix ratio;                    // loss over expected loss; vectors x cols
    Matrix neighbours;               // mean ratio as a row wire sees it; vectors x padded cols
  };
  struct Scratch {
    std::array<Side, 2> side;
    std::array<Vector, 2> column;  // c of the reference columns at one instant, by rung
    Schedule schedule;
  };
  void prepare(Index capacity, Scratch& scratch) const;

  // lengths: pulse lengths in code steps, vectors x rows in row order, all >= 0. loss: per sense end, charge of g p without the column wire
  // minus the ladder's charge (normalised). out: per sense end, vectors x padded cols.
  void evaluate(const Matrix& lengths, Index vectors, const std::array<const Matrix*, 2>& loss,
                const std::array<Matrix*, 2>& out, Scratch& scratch) const;

 private:
  struct End {
    ColumnGroup group;
    Vector mean;                       // reference column, rows
    Panels used;                       // g p
    Panels row_lost;                   // g (1 - p)
    std::array<Panels, 2> neighbours;  // by source end
  };
  void reference_column(const End& end, const Rung* rungs, Index count, double* column) const;
  void integrate(const double* lengths, Index vector, Scratch& scratch) const;

  ColumnWire wire_;
  Index rows_;
  std::vector<End> ends_;
};

}  // namespace crosstile::tilemodel
