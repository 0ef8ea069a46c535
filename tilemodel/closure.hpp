// Internal. The closure: the exact ladder written around a reference column that is followed block by block and
// level by level, with each column's difference to it joined to blocks and few bins of time. This is the reference
// kernel, in double precision and with obvious loops; the fast one is closure_fast.hpp. Conventions as in ladder.hpp;
// docs/theory.md, "Closure", whose symbols are used here.
#pragma once

#include <vector>

#include "core/types.hpp"
#include "tilemodel/clusters.hpp"
#include "tilemodel/ladder.hpp"
#include "tilemodel/ladder_gradient.hpp"
#include "tilemodel/mesh_load.hpp"
#include "tilemodel/panels.hpp"

namespace crosstile::tilemodel {

// Levels of time in which a pass follows its reference column.
inline constexpr int kClosureLevels = 32;

struct ClosureShape {
  ClosureShape(const ColumnWire& wire, Index tile_rows, Index block_rows, int time_bins);

  Index rows;
  Index length;   // L: rows a block
  Index blocks;
  Index padding;  // positions without a row in front of the first block (far end)
  int bins;       // T'
  double cell_ohm;   // r
  double end_cells;  // wire behind the last cell, in cells
  double block_ohm;   // w_b between the centres of two blocks
  double end_ohm;     // w_b behind the centre of the last block
  double spread_ohm;  // c: a block's own current flows through a third, not a half, of its wire

  Index positions() const { return blocks * length; }
  double offset(Index in_block) const {  // p_i: from the block's centre, in cells
    return static_cast<double>(in_block) - 0.5 * static_cast<double>(length - 1);
  }
  double wire_ohm(Index block) const { return block + 1 < blocks ? block_ohm : end_ohm; }
};

// Levels of a pass of `longest_code` slots. The longest pulse ends with the last level, so that saturated inputs are
// on in every level; what does not divide evenly shortens the first one.
struct Levels {
  explicit Levels(int longest_code);
  int width;  // h: code steps
  int count;
  int first;  // code steps of level 0
  double duration(Index m) const { return m == 0 ? first : width; }
  // Pulse length in levels, of one in code steps.
  double place(double length) const {
    return length < first ? length / first : 1.0 + (length - first) / width;
  }
  // (1 - 1 / h^2) / 12: variance over a level of a current that falls by 1 in h equal steps.
  double variance() const { return (1.0 - 1.0 / (static_cast<double>(width) * width)) / 12.0; }
};

// What a column needs to know of its reference column, and the reference itself (by block x level).
struct ReferenceColumn {
  Matrix x;           // positions x bins: integral of the tangent over a row's pulse
  Matrix resistance;  // blocks x bins: R_b
  double charge = 0.0;
  Eigen::VectorXi bin;  // levels: bin of a level
  Matrix a, u, current, d;  // A_b; v_b (blocks + 1); I_b; D_b
  Vector ideal;             // levels: sum of A_b
  Matrix n, z;              // blocks x bins: numerator and denominator of R_b
  Matrix load, own;         // blocks x bins: K_b, integral of A_b m_b^2 (own current)
};

// Gradient of a loss by the results of a reference column, and what follows from it.
struct ReferenceGradient {
  Matrix x;           // positions x bins
  Matrix resistance;  // blocks x bins
  Matrix load, own;   // blocks x bins
  double charge = 0.0;
};

class Closure {
 public:
  // g: conductances of the tile, rows x cols; references: number of reference columns, 0 chooses.
  struct Settings {
    Index block_rows;
    int bins;
    int references;
    double mesh_factor = 1.0;  // times what row wires make of columns that differ
  };
  // mesh: null where row wires do not couple the columns.
  Closure(const ColumnWire& wire, const Matrix& g, const ColumnGroup& group, const MeshLoad* mesh,
          const Settings& settings);

  struct Scratch {
    ReferenceColumn reference;
    ReferenceGradient gradient;
    Matrix y, d, sum;  // blocks x bins: of one column
  };
  // lengths: pulse lengths in code steps, >= 0, rows by position; longest_code: slots of the pass; out: columns
  // of the group, overwritten.
  void charge(const double* lengths, int longest_code, double* out, Scratch& scratch) const;

  // Adds what a gradient of a loss by the charges (columns of the group) implies. Reference columns are constants.
  void gradient(const double* lengths, int longest_code, const double* charge_gradient, Scratch& scratch,
                const GradientTargets& out) const;

  const ClosureShape& shape() const { return shape_; }
  const Clusters& clusters() const { return clusters_; }
  // Largest 1 / v of any input: how far the tangent can fall towards the far end.
  double largest_ratio() const;
  // positions x columns of the group: g minus the reference column of its cluster; padded positions are 0.
  const Matrix& delta() const { return delta_; }
  // blocks x columns of the group: q_bj; empty where row wires do not couple the columns.
  const Matrix& mesh() const { return mesh_; }
  // By cluster: the reference column by position, padded.
  const Vector& reference(std::size_t cluster) const { return reference_[cluster]; }

 private:
  void follow_reference(const double* lengths, const Levels& levels, std::size_t cluster,
                        ReferenceColumn& out) const;
  void follow_load(const Levels& levels, ReferenceColumn& out) const;
  double fall(const ReferenceColumn& column, Index block, Index level) const;
  void reference_gradient(const double* lengths, const Levels& levels, std::size_t cluster,
                          const ReferenceColumn& column, Scratch& scratch, const GradientTargets& out) const;
  // Of one column, before and behind every block.
  struct ColumnTrace {
    Matrix *y, *d, *sum;
  };
  double column_charge(Index column, const ReferenceColumn& reference, const ColumnTrace* trace) const;
  void choose_mesh(const MeshLoad& load, const Matrix& own, const ColumnGroup& group, double factor);

  ClosureShape shape_;
  Clusters clusters_;
  std::vector<Vector> reference_;
  Matrix delta_, mesh_;
};

}  // namespace crosstile::tilemodel
