// Internal. The plain product in float32, by the kernel of the closure: a product is a closure of one block without wires.
#pragma once

#include "core/types.hpp"
#include "tilemodel/closure_fast.hpp"

namespace crosstile::tilemodel {

class ProductFast {
 public:
  // charge = unit * codes * weights.
  ProductFast(const Matrix& weights, double unit);

  struct Scratch {
    AlignedFloats x, resistance, out;
  };
  // charge: vectors x cols, overwritten.
  void charge(const IntMatrix& codes, Scratch& scratch, MatrixF& charge) const;

 private:
  const kernels::Table* table_;
  Index rows_, cols_, panels_;
  AlignedFloats weights_;
};

}  // namespace crosstile::tilemodel
