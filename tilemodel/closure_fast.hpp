// Internal. The closure in float32: a batch of vectors through the kernels of closure_kernels.hpp. Same definition as
// Closure, which stays the reference for it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "core/types.hpp"
#include "tilemodel/closure.hpp"
#include "tilemodel/closure_kernels.hpp"
#include "tilemodel/reference_column.hpp"

namespace crosstile::tilemodel {

class ClosureFast {
 public:
  explicit ClosureFast(const Closure& closure);

  struct Scratch {
    AlignedFloats lengths;             // positions of one vector, in levels
    std::vector<std::uint16_t> codes;  // the same as codes
    PassTables tables;
    AlignedFloats x, resistance, load, own, kernel, out;
  };

  struct GradientScratch {
    AlignedFloats charge, share, behind, sum, by_x, by_resistance, by_load, by_own, g;
    AlignedFloats value, kernel, lengths;  // of one vector
  };

  // Where the pulse lengths of one vector go, rows by position.
  struct Input {
    float* lengths;
    std::uint16_t* codes;              // null: not used
    float first, per_first, per_width;  // of Levels
    float place(float length) const {  // Levels::place
      return std::min(length * per_first, 1.0f + (length - first) * per_width);
    }
  };
  // One pass of a batch. start; then for each vector in turn fill `input` and call follow, or skip when it has no
  // pulse; charges then gives vectors x padded_cols (normalised as in ladder.hpp), columns in the order of columns(),
  // valid until the next start. whole_codes: all pulse lengths are.
  Input start(Index vectors, int longest_code, bool whole_codes, Scratch& scratch) const;
  void follow(Index vector, Index vectors, const Input& input, Scratch& scratch) const;
  void skip(Index vector, Index vectors, Scratch& scratch) const;
  const float* charges(Index vectors, Scratch& scratch) const;

  // Gradients of the pass that start and follow have prepared. gradient_start gives room for the loss's derivatives by
  // the charges, vectors x padded_cols, 0 where there is no column; gradient_columns leaves those by x, R_b and
  // conductances; gradient_vector then takes one vector's pulse lengths again (in `input`) to those by its pulse
  // lengths, by position and code step, and adds to wire.
  float* gradient_start(Index vectors, GradientScratch& gradient) const;
  // Where the derivatives by a panel's conductances go: row 0 by position, first column; null: to gradient_by_g.
  struct PanelTarget {
    float* first = nullptr;
    Index row_step = 0;
  };
  struct Wanted {
    bool by_x, by_g;  // derivatives by x (for gradient_vector), by the conductances
    bool fresh;       // targets are written, not added to
  };
  void gradient_columns(Index vectors, Scratch& scratch, const Wanted& wanted,
                        const std::vector<PanelTarget>& targets, GradientScratch& gradient) const;
  const float* gradient_vector(Index vector, Index vectors, const Input& input, Scratch& scratch,
                               GradientScratch& gradient, WireGradient& wire) const;
  // The same two where no vector of the pass has a pulse: nothing loads the wire, a growing pulse sees all of V.
  void gradient_columns_idle(Index vectors, GradientScratch& gradient) const;
  const float* gradient_vector_idle(Index vector, Index vectors, GradientScratch& gradient) const;
  // By the conductances of a row (by position) in the panel that begins at `place` and has no target of its own, after
  // gradient_columns.
  const float* gradient_by_g(Index position, Index place, const GradientScratch& gradient) const {
    return gradient.g.data() + place * shape_.positions() + (position + shape_.padding) * table_->panel_cols;
  }
  Index panel_cols() const { return table_->panel_cols; }
  Index panels() const { return padded_cols() / panel_cols(); }

  Index padded_cols() const { return static_cast<Index>(order_.size()); }
  // Column of the group in each place; -1 where there is none.
  const std::vector<Index>& columns() const { return order_; }

 private:
  Index resistance_stride() const { return kernels::rounded_blocks(static_cast<int>(shape_.blocks)); }
  struct Cluster {
    AlignedFloats reference;
    AlignedFloats delta;            // panels
    AlignedFloats delta_by_column;  // panel x block x column x padded_length
    AlignedFloats mesh;             // panel x block x column; empty where row wires do not couple the columns
    Index panels, first_place;
  };
  Index padded_length() const { return (shape_.length + table_->lanes - 1) / table_->lanes * table_->lanes; }
  kernels::Pass kernel_pass(const Input& input, const Scratch& scratch) const {
    return scratch.tables.pass(input.lengths - shape_.padding, input.codes ? input.codes - shape_.padding : nullptr);
  }
  kernels::Reference reference_of(const Cluster& cluster) const {
    return kernel_reference(shape_, cluster.reference.data(), offset_.data());
  }
  float follow_cluster(std::size_t k, Index vector, Index vectors, const kernels::Pass& pass,
                       Scratch& scratch) const;
  Index kernel_floats() const {
    return kernels::reference_scratch(static_cast<int>(shape_.blocks), static_cast<int>(shape_.bins));
  }
  // Derivatives by x of one row of x_row plus those by the charge: value, positions.
  float join_by_x(std::size_t k, Index vector, Index vectors, Index bin, GradientScratch& gradient,
                  float* value) const;
  void panel_gradient(std::size_t k, Index panel, Index bin, Index vectors, Scratch& scratch,
                      const Wanted& wanted, const PanelTarget& target, GradientScratch& gradient) const;
  void panel_by_g(Index place, Index block, Index bin, Index vectors, const float* x, bool fresh,
                  const PanelTarget& target, GradientScratch& gradient) const;
  kernels::Columns kernel_columns(std::size_t k, Index panel, Index bin, Index vectors, Scratch& scratch) const;
  // Of one cluster and vector; bins are `vectors` rows apart.
  Index x_row(std::size_t cluster, Index vector, Index vectors) const {
    return static_cast<Index>(cluster) * shape_.bins * vectors + vector;
  }

  const kernels::Table* table_;
  ClosureShape shape_;
  Index stride_;
  bool coupled_;
  bool has_gaps_ = false;  // places without a column
  AlignedFloats offset_;
  std::vector<Cluster> clusters_;
  std::vector<Index> order_;
};

}  // namespace crosstile::tilemodel
