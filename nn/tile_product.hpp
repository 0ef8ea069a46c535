// Internal. One tile - the arrays G+ and G- of a block of weights - in training: charges of a batch and their
// gradient. The general product programs a TileModel anew for every step; the fast one (closure_product.cpp)
// walks the float32 closure straight from the weights. docs/theory.md, "Training through the tile model".
//
// Charges are normalised: coulomb / (v_read t_lsb), that is siemens times code steps.
#pragma once

#include <memory>

#include "core/types.hpp"
#include "data/tile.hpp"
#include "tilemodel/tilemodel.hpp"

namespace crosstile::nn {

/// A number for each vector and column of both arrays.
struct ArrayPair {
  MatrixF plus, minus;  ///< vectors x cols
  void resize(Index vectors, Index cols) {
    plus.resize(vectors, cols);
    minus.resize(vectors, cols);
  }
};

class TileProduct {
 public:
  virtual ~TileProduct() = default;
  /// G+ = g_min + s max(w, 0), G- = g_min + s max(-w, 0). weights: rows x cols of the tile; s in siemens.
  /// Column wires (and the sense resistance) count `wire_factor` times.
  virtual void program(const Eigen::Ref<const MatrixF>& weights, double siemens_per_weight,
                       double wire_factor, int threads) = 0;
  /// codes: vectors x rows, whole and signed. Keeps what `gradient` needs; `codes` must stay till then.
  virtual void charges(const Eigen::Ref<const MatrixF>& codes, ArrayPair& out, int threads) = 0;
  /// by_charge: derivatives of a loss by the charges of the last call. by_weight (rows x cols): by the weights
  /// with s held; the idle array of a weight has none. by_code (vectors x rows, resized): by the codes; null:
  /// not wanted. Reference columns are held (TileModel::gradient).
  virtual void gradient(const ArrayPair& by_charge, Eigen::Ref<MatrixF> by_weight, MatrixF* by_code,
                        int threads) = 0;
};

/// The product of a tile. by_codes: whether `gradient` will be asked for derivatives by codes. Takes the fast
/// way where there is one: closure in float32 with one reference, ideal supply, ohmic cells without selector,
/// one pass a sign. Errors: usage (tile, form).
std::unique_ptr<TileProduct> make_tile_product(const data::TileSpec& tile, const tilemodel::ModelSpec& model,
                                               bool by_codes);
/// The same, always by way of TileModel.
std::unique_ptr<TileProduct> make_model_product(const data::TileSpec& tile, const tilemodel::ModelSpec& model);

/// Whether the fast way exists, and the product that takes it.
bool has_closure_product(const data::TileSpec& tile, const tilemodel::ModelSpec& model);
std::unique_ptr<TileProduct> make_closure_product(const data::TileSpec& tile,
                                                  const tilemodel::ModelSpec& model, bool by_codes);

}  // namespace crosstile::nn
