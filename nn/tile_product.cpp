#include "nn/tile_product.hpp"

#include <algorithm>
#include <limits>
#include <optional>

namespace crosstile::nn {

namespace {

// By way of the public model: any form and tile, programmed anew for every step.
class ModelProduct final : public TileProduct {
 public:
  ModelProduct(const data::TileSpec& tile, const tilemodel::ModelSpec& model) : tile_(tile), model_(model) {
    tile_.validate();
  }

  void program(const Eigen::Ref<const MatrixF>& weights, double siemens_per_weight, double wire_factor,
               int) override {
    weights_ = weights;
    siemens_ = siemens_per_weight;
    is_finite_ = weights.allFinite();
    if (!is_finite_) return;
    data::TileSpec tile = tile_;
    tile.r_col_ohm *= wire_factor;
    tile.r_sense_ohm *= wire_factor;
    const auto array = [&](double sign) {
      return Matrix((sign * siemens_per_weight * weights.cast<double>()).cwiseMax(0.0).array() +
                    tile.g_min_siemens);
    };
    plus_.emplace(model_, tile, array(1.0));
    minus_.emplace(model_, tile, array(-1.0));
  }

  void charges(const Eigen::Ref<const MatrixF>& codes, ArrayPair& out, int) override {
    if (!is_finite_) {
      out.resize(codes.rows(), tile_.cols);
      out.plus.setConstant(std::numeric_limits<float>::quiet_NaN());
      out.minus = out.plus;
      return;
    }
    codes_ = codes.cast<double>();
    const IntMatrix whole = codes.cast<int>();
    const auto scale = static_cast<float>(1.0 / unit());
    plus_->charge(whole, out.plus, workspace_);
    minus_->charge(whole, out.minus, workspace_);
    out.plus *= scale;
    out.minus *= scale;
  }

  void gradient(const ArrayPair& by_charge, Eigen::Ref<MatrixF> by_weight, MatrixF* by_code, int) override {
    if (!is_finite_) {
      by_weight.setConstant(std::numeric_limits<float>::quiet_NaN());
      if (by_code) by_code->setConstant(by_charge.plus.rows(), tile_.rows, by_weight(0, 0));
      return;
    }
    const auto one = [&](const tilemodel::TileModel& model, const MatrixF& by, tilemodel::Gradient& out) {
      model.gradient(codes_, by.cast<double>() / unit(), out, workspace_);
    };
    one(*plus_, by_charge.plus, by_plus_);
    one(*minus_, by_charge.minus, by_minus_);
    for (Index i = 0; i < weights_.rows(); ++i)
      for (Index j = 0; j < weights_.cols(); ++j)
        by_weight(i, j) = static_cast<float>(
            siemens_ * (weights_(i, j) > 0.0F ? by_plus_.g_siemens(i, j) : -by_minus_.g_siemens(i, j)));
    if (by_code) *by_code = (by_plus_.codes + by_minus_.codes).cast<float>();
  }

 private:
  double unit() const { return tile_.v_read_volt * tile_.pulse.t_lsb_s; }

  data::TileSpec tile_;
  tilemodel::ModelSpec model_;
  MatrixF weights_;
  double siemens_ = 0.0;
  bool is_finite_ = true;  // models refuse conductances that are not
  Matrix codes_;
  std::optional<tilemodel::TileModel> plus_, minus_;
  tilemodel::Gradient by_plus_, by_minus_;
  tilemodel::Workspace workspace_;
};

}  // namespace

std::unique_ptr<TileProduct> make_model_product(const data::TileSpec& tile,
                                                const tilemodel::ModelSpec& model) {
  return std::make_unique<ModelProduct>(tile, model);
}

std::unique_ptr<TileProduct> make_tile_product(const data::TileSpec& tile, const tilemodel::ModelSpec& model,
                                               bool by_codes) {
  return has_closure_product(tile, model) ? make_closure_product(tile, model, by_codes)
                                          : make_model_product(tile, model);
}

}  // namespace crosstile::nn
