#include "nn/tile_layer.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <sstream>

#include "core/error.hpp"
#include "core/parallel.hpp"
#include "data/config.hpp"
#include "data/pulse.hpp"
#include "nn/hardware_aware_layer.hpp"
#include "nn/products.hpp"
#include "nn/tile_product.hpp"
#include "nn/tiles.hpp"
#include "nn/train.hpp"

namespace crosstile::nn {

namespace {

constexpr const char* kInputScale = "tile_input_scale";
constexpr const char* kFullScale = "tile_full_scale";  // siemens times code steps
constexpr const char* kGain = "tile_gain";             // tile rows x outputs
constexpr const char* kGainMomentum = "tile_gain_momentum";
constexpr const char* kInputRange = "input_range";      // of hardware-aware layers
constexpr const char* kColumnScale = "column_scale";    // of hardware-aware layers: 1 x outputs
constexpr float kLeastGain = 0.1F, kMostGain = 100.0F;  // of the first fit

float quantile_of(std::vector<float>& values, double q) {
  if (values.empty()) return 0.0F;
  const auto n = static_cast<double>(values.size());
  const auto rank = static_cast<std::ptrdiff_t>(std::clamp(std::ceil(q * n), 1.0, n)) - 1;
  std::nth_element(values.begin(), values.begin() + rank, values.end());
  return values[static_cast<std::size_t>(rank)];
}

// Converter behind every column; charges in siemens times code steps.
struct Converter {
  float low = 0.0F, high = 0.0F, lsb = 0.0F, per_lsb = 0.0F;
  float up = 0.0F;  // 1/2 rounds, 0 takes the floor
};

// One tile at work.
struct LayerTile {
  Index row, col, rows, cols;  // place in the layer
  Index tile_row;
  std::unique_ptr<TileProduct> product;
  double unit = 0.0;  // weights times codes, per siemens and code step
  ArrayPair charge;   // after the ADC
  ArrayPair slope;    // of the ADC: 0 where clipped
  MatrixF value;      // what the column adds before its factor: vectors x cols
  ArrayPair by_charge;
  MatrixF by_code;
};

class TileLayer final : public Layer {
 public:
  TileLayer(const LayerSlot& slot, const TileLayerOptions& options);
  void forward(const Pass& pass, const BatchIn& x, BatchOut y) override;
  void backward(const Pass& pass, const BatchIn& x, const BatchIn& delta, BatchOut input_delta) override;
  void update(const Pass& pass, const BatchIn& x, const BatchIn& delta) override;

 private:
  bool has_input_delta() const { return slot_.number > 0; }
  double wire_factor(const Pass& pass) const;
  void calibrate_inputs(const BatchIn& x);
  void calibrate_converters();
  void encode(const BatchIn& x, int threads);
  void program(LayerTile& tile, const Pass& pass);
  void convert(LayerTile& tile, int threads);
  void fit_gain(LayerTile& tile, int threads);
  void charge_gradient(LayerTile& tile, const BatchIn& delta, int threads);
  void gradient(const Pass& pass, const BatchIn& delta);
  void learn_gain(const Pass& pass, const BatchIn& delta);

  LayerSlot slot_;
  const TileLayerOptions options_;
  int steps_;  // largest code
  std::vector<LayerTile> tiles_;
  MatrixF& input_scale_;
  MatrixF& full_scale_;
  MatrixF& gain_;
  MatrixF& gain_momentum_;
  bool is_signed_ = false;
  bool has_gradient_ = false;
  MatrixF codes_, by_weight_;
  Eigen::Array<bool, Eigen::Dynamic, 1> failed_;  // samples with an input that is not finite
};

TileLayer::TileLayer(const LayerSlot& slot, const TileLayerOptions& options)
    : slot_(slot),
      options_(options),
      steps_(data::max_code(options.tile.pulse.dac_bits)),
      input_scale_(slot.memory.matrix(kInputScale, 1, 1)),
      full_scale_(slot.memory.matrix(kFullScale, 1, 1)),
      gain_(slot.memory.matrix(kGain,
                               static_cast<Index>(split_evenly(slot.inputs(), options.tile.rows).size()) - 1,
                               slot.outputs())),
      gain_momentum_(slot.memory.matrix(kGainMomentum, gain_.rows(), gain_.cols())) {
  const std::vector<Index> rows = split_evenly(slot.inputs(), options.tile.rows);
  const std::vector<Index> cols = split_evenly(slot.outputs(), options.tile.cols);
  for (std::size_t r = 0; r + 1 < rows.size(); ++r)
    for (std::size_t c = 0; c + 1 < cols.size(); ++c) {
      LayerTile tile{rows[r],
                     cols[c],
                     rows[r + 1] - rows[r],
                     cols[c + 1] - cols[c],
                     static_cast<Index>(r),
                     nullptr,
                     0.0,
                     {},
                     {},
                     {},
                     {},
                     {}};
      data::TileSpec spec = options.tile;
      spec.rows = tile.rows;
      spec.cols = tile.cols;
      tile.product = make_tile_product(spec, options.model, has_input_delta());
      tiles_.push_back(std::move(tile));
    }
  by_weight_.resize(slot.inputs(), slot.outputs());
}

double TileLayer::wire_factor(const Pass& pass) const {
  if (options_.wire_ramp_epochs <= 0.0 || pass.purpose == Pass::Purpose::evaluation) return 1.0;
  const double share = std::min(1.0, pass.epochs_done / options_.wire_ramp_epochs);
  return options_.wire_start + (1.0 - options_.wire_start) * share;
}

void TileLayer::calibrate_inputs(const BatchIn& x) {
  float& scale = input_scale_(0, 0);
  if (!has_input_delta()) {
    scale = 1.0F;
    return;
  }
  std::vector<float> sizes(static_cast<std::size_t>(x.size()));
  for (Index v = 0; v < x.rows(); ++v)
    for (Index i = 0; i < x.cols(); ++i)
      sizes[static_cast<std::size_t>(v * x.cols() + i)] = std::abs(x(v, i));
  const float now = quantile_of(sizes, options_.input_quantile);
  if (!(now > 0.0F) || !std::isfinite(now)) {
    if (!(scale > 0.0F)) scale = 1.0F;
    return;
  }
  scale = scale > 0.0F ? 0.5F * (scale + now) : now;
}

// From the charges of the tiles before the ADC.
void TileLayer::calibrate_converters() {
  std::vector<float> sizes;
  for (const LayerTile& tile : tiles_)
    for (const MatrixF* charge : {&tile.charge.plus, &tile.charge.minus})
      for (Index k = 0; k < charge->size(); ++k) sizes.push_back(std::abs(charge->data()[k]));
  const auto margin = static_cast<float>(options_.adc_margin);
  const float now = margin * quantile_of(sizes, options_.adc_quantile);
  float& scale = full_scale_(0, 0);
  const data::TileSpec& tile = options_.tile;
  if (tile.adc.full_scale_coulomb)
    scale = static_cast<float>(*tile.adc.full_scale_coulomb / (tile.v_read_volt * tile.pulse.t_lsb_s));
  else if (now > 0.0F && std::isfinite(now))
    scale = scale > 0.0F ? 0.5F * (scale + now) : now;
  else if (!(scale > 0.0F))
    scale = static_cast<float>(tile.g_max_siemens * steps_);  // one full cell keeps the converter defined
}

void TileLayer::encode(const BatchIn& x, int threads) {
  codes_.resize(x.rows(), x.cols());
  failed_.resize(x.rows());
  const float per_input = static_cast<float>(steps_) / input_scale_(0, 0);
  const auto most = static_cast<float>(steps_);
  parallel_for(x.rows(), threads, [&](Index v, int) {
    const float* from = x.data() + v * x.outerStride();
    float* to = codes_.row(v).data();
    float sum = 0.0F;
    for (Index i = 0; i < codes_.cols(); ++i) {
      sum += from[i] * 0.0F;
      const float value = from[i] * per_input, above = value > -most ? value : -most;
      const float level = above < most ? above : most;
      to[i] = static_cast<float>(static_cast<int>(level + std::copysign(0.5F, level)));  // as the DAC
    }
    failed_[v] = !(sum == 0.0F);
    if (failed_[v]) codes_.row(v).setZero();
  });
  is_signed_ = (codes_.array() < 0.0F).any();
}

// Conductances for the weights as they are: the largest of the tile becomes g_max.
void TileLayer::program(LayerTile& tile, const Pass& pass) {
  const auto block = slot_.parameters.weights.block(tile.row, tile.col, tile.rows, tile.cols);
  const double range = options_.tile.g_max_siemens - options_.tile.g_min_siemens;
  const auto largest = static_cast<double>(block.cwiseAbs().maxCoeff());
  const double siemens_per_weight = largest > 0.0 ? range / largest : 0.0;
  tile.unit = largest / range * static_cast<double>(input_scale_(0, 0)) / steps_;
  tile.product->program(block, siemens_per_weight, wire_factor(pass), pass.threads);
}

// The converter of one line of charges: clipped, rounded, and where it was clipped. NaN stays.
void convert_line(const Converter& adc, Index count, float* __restrict charge, float* __restrict slope) {
  for (Index j = 0; j < count; ++j) {
    const float q = charge[j];
    const float above = q < adc.low ? adc.low : q;
    const float inside = above > adc.high ? adc.high : above;
    const float level = std::floor(inside * adc.per_lsb + adc.up) * adc.lsb;
    slope[j] = inside == q ? 1.0F : 0.0F;
    charge[j] = q == q ? level : q;
  }
}

// Charges become what the columns add before their factors.
void TileLayer::convert(LayerTile& tile, int threads) {
  const data::AdcSpec& adc = options_.tile.adc;
  Converter converter;
  const float codes = std::ldexp(1.0F, is_signed_ ? adc.bits - 1 : adc.bits) - 1.0F;
  converter.high = full_scale_(0, 0);
  converter.low = is_signed_ ? -converter.high : 0.0F;
  converter.lsb = converter.high / codes;
  converter.per_lsb = codes / converter.high;
  converter.up = adc.rounding == data::AdcRounding::round ? 0.5F : 0.0F;
  if (adc.enabled) tile.slope.resize(tile.charge.plus.rows(), tile.cols);
  tile.value.resize(tile.charge.plus.rows(), tile.cols);
  const auto unit = static_cast<float>(tile.unit);
  parallel_for(tile.charge.plus.rows(), threads, [&](Index v, int) {
    float* plus = tile.charge.plus.row(v).data();
    float* minus = tile.charge.minus.row(v).data();
    if (adc.enabled) {
      convert_line(converter, tile.cols, plus, tile.slope.plus.row(v).data());
      convert_line(converter, tile.cols, minus, tile.slope.minus.row(v).data());
    }
    float* value = tile.value.row(v).data();
    for (Index j = 0; j < tile.cols; ++j) value[j] = unit * (plus[j] - minus[j]);
  });
}

// Least squares of the tile against the exact product of the same codes, column by column.
void TileLayer::fit_gain(LayerTile& tile, int threads) {
  MatrixF exact(codes_.rows(), tile.cols);
  product(codes_.middleCols(tile.row, tile.rows),
          slot_.parameters.weights.block(tile.row, tile.col, tile.rows, tile.cols), nullptr, exact, threads);
  exact *= input_scale_(0, 0) / static_cast<float>(steps_);
  for (Index j = 0; j < tile.cols; ++j) {
    const float square = tile.value.col(j).squaredNorm();
    const float fitted = square > 0.0F ? exact.col(j).dot(tile.value.col(j)) / square : 1.0F;
    gain_(tile.tile_row, tile.col + j) =
        std::isfinite(fitted) ? std::clamp(fitted, kLeastGain, kMostGain) : 1.0F;
  }
}

void TileLayer::forward(const Pass& pass, const BatchIn& x, BatchOut y) {
  has_gradient_ = false;
  const bool trains = pass.purpose == Pass::Purpose::training;
  const bool calibrates = trains && pass.step % static_cast<std::uint64_t>(options_.calibration_steps) == 0;
  if (calibrates || !(input_scale_(0, 0) > 0.0F)) calibrate_inputs(x);
  encode(x, pass.threads);
  for (LayerTile& tile : tiles_) {
    program(tile, pass);
    tile.product->charges(codes_.middleCols(tile.row, tile.rows), tile.charge, pass.threads);
  }
  const bool converts = options_.tile.adc.enabled;
  if (converts && (calibrates || !(full_scale_(0, 0) > 0.0F))) calibrate_converters();
  y.rowwise() = slot_.parameters.bias;
  for (LayerTile& tile : tiles_) {
    convert(tile, pass.threads);
    if (!(gain_(tile.tile_row, tile.col) > 0.0F)) {
      if (options_.learn_gain)
        fit_gain(tile, pass.threads);
      else
        gain_.block(tile.tile_row, tile.col, 1, tile.cols).setOnes();
    }
    const float* gain = gain_.row(tile.tile_row).data() + tile.col;
    parallel_for(y.rows(), pass.threads, [&](Index v, int) {
      float* to = y.data() + v * y.outerStride() + tile.col;
      const float* value = tile.value.row(v).data();
      for (Index j = 0; j < tile.cols; ++j) to[j] += value[j] * gain[j];
    });
  }
  for (Index v = 0; v < y.rows(); ++v)
    if (failed_[v]) y.row(v).setConstant(std::numeric_limits<float>::quiet_NaN());
}

// The derivative by the charges of both arrays: through factor and unit, none where the converter clips.
void TileLayer::charge_gradient(LayerTile& tile, const BatchIn& delta, int threads) {
  ArrayPair& by = tile.by_charge;
  by.resize(delta.rows(), tile.cols);
  const auto unit = static_cast<float>(tile.unit);
  const float* gain = gain_.row(tile.tile_row).data() + tile.col;
  parallel_for(delta.rows(), threads, [&](Index v, int) {
    const float* d = delta.data() + v * delta.outerStride() + tile.col;
    float* plus = by.plus.row(v).data();
    float* minus = by.minus.row(v).data();
    for (Index j = 0; j < tile.cols; ++j) {
      plus[j] = d[j] * gain[j] * unit;
      minus[j] = -plus[j];
    }
    if (!options_.tile.adc.enabled) return;
    const float* slope_plus = tile.slope.plus.row(v).data();
    const float* slope_minus = tile.slope.minus.row(v).data();
    for (Index j = 0; j < tile.cols; ++j) {
      plus[j] *= slope_plus[j];
      minus[j] *= slope_minus[j];
    }
  });
}

void TileLayer::gradient(const Pass& pass, const BatchIn& delta) {
  for (LayerTile& tile : tiles_) {
    charge_gradient(tile, delta, pass.threads);
    tile.product->gradient(tile.by_charge, by_weight_.block(tile.row, tile.col, tile.rows, tile.cols),
                           has_input_delta() ? &tile.by_code : nullptr, pass.threads);
  }
  has_gradient_ = true;
}

void TileLayer::backward(const Pass& pass, const BatchIn& x, const BatchIn& delta, BatchOut input_delta) {
  gradient(pass, delta);
  input_delta.setZero();
  const float per_input = static_cast<float>(steps_) / input_scale_(0, 0);
  for (const LayerTile& tile : tiles_)
    input_delta.middleCols(tile.row, tile.rows) += per_input * tile.by_code;
  // Rounding is passed straight through, clipping is not.
  const float scale = input_scale_(0, 0);
  for (Index v = 0; v < x.rows(); ++v)
    for (Index i = 0; i < x.cols(); ++i)
      if (std::abs(x(v, i)) > scale) input_delta(v, i) = 0.0F;
}

void TileLayer::learn_gain(const Pass& pass, const BatchIn& delta) {
  const auto momentum = static_cast<float>(slot_.options.momentum);
  const auto rate = static_cast<float>(pass.learning_rate * options_.gain_rate);
  for (const LayerTile& tile : tiles_) {
    auto gain = gain_.row(tile.tile_row).segment(tile.col, tile.cols);
    auto velocity = gain_momentum_.row(tile.tile_row).segment(tile.col, tile.cols);
    velocity = momentum * velocity +
               (delta.middleCols(tile.col, tile.cols).cwiseProduct(tile.value)).colwise().sum();
    gain = (gain - rate * velocity).cwiseMax(0.01F * kLeastGain);
  }
}

void TileLayer::update(const Pass& pass, const BatchIn&, const BatchIn& delta) {
  if (!has_gradient_) gradient(pass, delta);
  if (options_.learn_gain) learn_gain(pass, delta);
  digital_update_from(slot_, pass, by_weight_, delta);
  if (options_.clip_sigma > 0.0) clip_weights(slot_.parameters.weights, options_.clip_sigma);
}

class TileKind final : public LayerKind {
 public:
  explicit TileKind(const TileLayerOptions& options) : options_(options) {}
  std::unique_ptr<Layer> make(const LayerSlot& slot) const override {
    return std::make_unique<TileLayer>(slot, options_);
  }
  std::string settings() const override;

 private:
  TileLayerOptions options_;
};

std::string TileKind::settings() const {
  std::ostringstream text;
  text.precision(17);
  const TileLayerOptions& o = options_;
  text << "kind = tile\n"
       << data::tile_to_toml(o.tile) << "model.form = " << data::to_name(o.model.form)
       << "\nmodel.block_rows = " << o.model.block_rows << "\nmodel.closure_bins = " << o.model.closure_bins
       << "\nmodel.references = " << o.model.references << "\nmodel.segments = " << o.model.segments
       << "\nmodel.time_bins = " << o.model.time_bins
       << "\nmodel.arithmetic = " << data::to_name(o.model.arithmetic)
       << "\nmodel.row_wire_factor = " << o.model.row_wire_factor
       << "\nmodel.mesh_load = " << o.model.mesh_load << "\nwire_ramp_epochs = " << o.wire_ramp_epochs
       << "\nwire_start = " << o.wire_start << "\ncalibration_steps = " << o.calibration_steps
       << "\ninput_quantile = " << o.input_quantile << "\nadc_quantile = " << o.adc_quantile
       << "\nadc_margin = " << o.adc_margin << "\nlearn_gain = " << o.learn_gain
       << "\ngain_rate = " << o.gain_rate << "\nclip_sigma = " << o.clip_sigma << "\n";
  return text.str();
}

}  // namespace

tilemodel::ModelSpec training_model() {
  tilemodel::ModelSpec model;
  model.form = tilemodel::Form::closure;
  model.references = 1;
  return model;
}

void TileLayerOptions::validate() const {
  tile.validate();
  require_in_range("wire_ramp_epochs", wire_ramp_epochs, 0.0, 1e6);
  require_in_range("wire_start", wire_start, 0.0, 1.0);
  require_in_range("calibration_steps", static_cast<double>(calibration_steps), 1, 1e9);
  require_in_range("input_quantile", input_quantile, 0.5, 1.0);
  require_in_range("adc_quantile", adc_quantile, 0.5, 1.0);
  require_in_range("adc_margin", adc_margin, 0.1, 100.0);
  require_in_range("gain_rate", gain_rate, 0.0, 1e3);
  require_in_range("clip_sigma", clip_sigma, 0.0, 1e3);
}

LayerKindPtr tile_kind(const TileLayerOptions& options) {
  options.validate();
  check_network_tile(options.tile);
  if (options.model.correction.coefficients.size() != 0)
    throw Error(ErrorKind::usage,
                "a model with a fitted correction has no gradient; train with the form without it");
  return std::make_shared<TileKind>(options);
}

LayerCalibration trained_calibration(const LayerMemory& memory) {
  LayerCalibration out;
  out.input_scale = 0.0;
  const auto& all = memory.all();
  for (const char* name : {kInputScale, kInputRange})
    if (const auto scale = all.find(name); scale != all.end())
      out.input_scale = static_cast<double>(scale->second(0, 0));
  for (const char* name : {kGain, kColumnScale})
    if (const auto gain = all.find(name); gain != all.end()) out.gain = gain->second.cast<double>();
  return out;
}

}  // namespace crosstile::nn
