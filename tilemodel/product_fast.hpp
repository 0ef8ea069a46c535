// Internal. The plain product in float32, by the kernel of the closure: a product is a closure of one block without wires.
#pragma once

#include "core/types.hpp"
#include "tilemodel/closure_fast.hpp"

namespace crosstile::tilemodel {

class ProductFast {
 public:
  explicit ProductFast(const Matrix& weights);

  struct Scratch {
    AlignedFloats x, resistance, out;
  };
  // charge = unit * codes * weights; charge: vectors x cols, overwritten.
  void charge(const IntMatrix& codes, double unit, Scratch& scratch, MatrixF& charge) const;

 private:
  const kernels::Table* table_;
  Index rows_, cols_, panels_;
  double scale_;  // of the panels, so that numbers stay near 1
  AlignedFloats weights_;
};

}  // namespace crosstile::tilemodel
