#include "nn/hardware_aware_layer.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <sstream>
#include <vector>

#include "core/error.hpp"
#include "core/parallel.hpp"
#include "nn/bulk_random.hpp"
#include "nn/products.hpp"
#include "nn/tile_layer.hpp"
#include "nn/train.hpp"

namespace crosstile::nn {

namespace {

constexpr const char* kScale = "column_scale";
constexpr const char* kScaleMomentum = "column_scale_momentum";
constexpr const char* kRange = "input_range";
constexpr std::uint32_t kDropPart = 1;     // BulkPlace::part; noise is part 0
constexpr std::size_t kDeviationSteps = 256;

// Deviation of a weight by programming and reading its pair of devices, over |w| / (largest |w|), in units of
// the largest |w|.
class PairDeviation {
 public:
  explicit PairDeviation(const HardwareAwareOptions& options) {
    const device::PcmModel& model = options.devices;
    const double range = model.g_max_siemens - options.g_min_siemens;
    const double t_s = model.drift.t0_s;
    const auto variance = [&](double g_siemens) {
      const double g = g_siemens / model.g_max_siemens;
      const double program = model.programming.sigma(g);
      const double read =
          g_siemens * model.read.q_s(std::max(g, device::kSmallestLogG)) * model.read.time_factor(t_s);
      return program * program + read * read;
    };
    const double idle = variance(options.g_min_siemens);
    for (std::size_t k = 0; k <= kDeviationSteps; ++k) {
      const double w = static_cast<double>(k) / kDeviationSteps;
      const double sum = variance(options.g_min_siemens + w * range) + idle;
      table_[k] = static_cast<float>(options.noise_scale * std::sqrt(sum) / range);
    }
    table_[kDeviationSteps + 1] = table_[kDeviationSteps];
  }
  float at(float share) const {
    const float place = share * static_cast<float>(kDeviationSteps);
    const auto k = static_cast<std::size_t>(place);
    const float rest = place - static_cast<float>(k);
    return table_[k] + rest * (table_[k + 1] - table_[k]);
  }

 private:
  std::array<float, kDeviationSteps + 2> table_{};
};

class HardwareAwareLayer final : public Layer {
 public:
  HardwareAwareLayer(const LayerSlot& slot, const HardwareAwareOptions& options);
  void forward(const Pass& pass, const BatchIn& x, BatchOut y) override;
  void backward(const Pass& pass, const BatchIn& x, const BatchIn& delta, BatchOut input_delta) override;
  void update(const Pass& pass, const BatchIn& x, const BatchIn& delta) override;

 private:
  bool has_range() const { return options_.learn_input_range || options_.on_abstract_tile; }
  bool learns_range() const { return options_.learn_input_range && slot_.number > 0; }
  const MatrixF& weights() const { return is_noisy_ ? noisy_ : slot_.parameters.weights; }
  void draw_weights(const Pass& pass);
  void prepare_inputs(const Pass& pass, const BatchIn& x);
  MatrixF through_scale(const BatchIn& delta) const;
  void learn(const Pass& pass, const BatchIn& delta);

  LayerSlot slot_;
  const HardwareAwareOptions options_;
  PairDeviation deviation_;
  BulkKey noise_key_;
  MatrixF* scale_ = nullptr;
  MatrixF* scale_momentum_ = nullptr;
  MatrixF* range_ = nullptr;
  bool is_noisy_ = false;
  MatrixF noisy_, inputs_, plain_, slope_, transposed_, by_weight_;
  double range_gradient_ = 0.0;
};

HardwareAwareLayer::HardwareAwareLayer(const LayerSlot& slot, const HardwareAwareOptions& options)
    : slot_(slot),
      options_(options),
      deviation_(options),
      noise_key_(bulk_key({slot.seed, Stream::weight_noise, static_cast<std::uint32_t>(slot.number)})) {
  if (options.column_scales) {
    scale_ = &slot.memory.matrix(kScale, 1, slot.outputs(), [](MatrixF& m) { m.setOnes(); });
    scale_momentum_ = &slot.memory.matrix(kScaleMomentum, 1, slot.outputs());
  }
  if (has_range()) range_ = &slot.memory.matrix(kRange, 1, 1);
}

void HardwareAwareLayer::draw_weights(const Pass& pass) {
  const MatrixF& clean = slot_.parameters.weights;
  is_noisy_ = pass.purpose == Pass::Purpose::training &&
              (options_.noise != WeightNoise::none || options_.drop_connect > 0.0);
  if (!is_noisy_) return;
  const double ramp = options_.ramp_epochs > 0.0 ? std::min(1.0, pass.epochs_done / options_.ramp_epochs) : 1.0;
  const float largest = clean.cwiseAbs().maxCoeff();
  const auto gaussian = static_cast<float>(ramp * options_.weight_noise) * largest;
  const float shaped = static_cast<float>(ramp) * largest;
  const float per_weight = largest > 0.0F ? 1.0F / largest : 0.0F;
  const auto drop = static_cast<float>(options_.drop_connect);
  noisy_.resize(clean.rows(), clean.cols());
  parallel_for(clean.rows(), pass.threads, [&](Index i, int) {
    const Index cols = clean.cols();
    std::vector<float> draw(static_cast<std::size_t>(bulk_groups(cols) * kBulkGroup), 0.0F);
    const BulkPlace place{pass.step, static_cast<std::uint32_t>(i), 0};
    const float* w = clean.row(i).data();
    float* out = noisy_.row(i).data();
    if (options_.noise != WeightNoise::none) bulk_normals(noise_key_, place, 0, bulk_groups(cols), draw.data());
    if (options_.noise == WeightNoise::programming)
      for (Index j = 0; j < cols; ++j)
        out[j] = w[j] + shaped * deviation_.at(std::abs(w[j]) * per_weight) * draw[static_cast<std::size_t>(j)];
    else
      for (Index j = 0; j < cols; ++j) out[j] = w[j] + gaussian * draw[static_cast<std::size_t>(j)];
    if (drop == 0.0F) return;
    bulk_uniforms(noise_key_, {pass.step, static_cast<std::uint32_t>(i), kDropPart}, 0, bulk_groups(cols),
                  draw.data());
    for (Index j = 0; j < cols; ++j)
      if (draw[static_cast<std::size_t>(j)] < drop) out[j] = 0.0F;
  });
}

// Clipped and rounded inputs; without a range the inputs as they are.
void HardwareAwareLayer::prepare_inputs(const Pass&, const BatchIn& x) {
  inputs_ = x;
  if (!range_) return;
  float& range = (*range_)(0, 0);
  if (!(range > 0.0F)) {
    range = 1.0F;
    if (slot_.number > 0) {
      std::vector<float> sizes(inputs_.data(), inputs_.data() + inputs_.size());
      for (float& size : sizes) size = std::abs(size);
      const auto rank = static_cast<std::ptrdiff_t>(std::ceil(options_.input_quantile *
                                                              static_cast<double>(sizes.size()))) - 1;
      std::nth_element(sizes.begin(), sizes.begin() + std::max<std::ptrdiff_t>(rank, 0), sizes.end());
      const float found = sizes[static_cast<std::size_t>(std::max<std::ptrdiff_t>(rank, 0))];
      if (found > 0.0F && std::isfinite(found)) range = found;
    }
  }
  if (options_.on_abstract_tile) return;  // which clips and rounds by itself
  const auto steps = options_.dac_bits > 0 ? std::ldexp(1.0F, options_.dac_bits - 1) - 1.0F : 0.0F;
  const float step = steps > 0.0F ? range / steps : 0.0F;
  inputs_ = inputs_.unaryExpr([&](float value) {
    const float clipped = std::clamp(value, -range, range);
    return step > 0.0F && clipped == clipped ? std::round(clipped / step) * step : clipped;
  });
}

void HardwareAwareLayer::forward(const Pass& pass, const BatchIn& x, BatchOut y) {
  draw_weights(pass);
  prepare_inputs(pass, x);
  plain_.resize(y.rows(), y.cols());
  if (options_.on_abstract_tile) {
    const AbstractNoise noise{slot_.seed, pass.step, static_cast<std::uint32_t>(slot_.number)};
    abstract_product(options_.abstract_tile, inputs_, (*range_)(0, 0), weights(), &noise, pass.threads, plain_,
                     &slope_);
  } else {
    product(inputs_, weights(), nullptr, plain_, pass.threads);
  }
  if (scale_)
    y.array() = plain_.array().rowwise() * scale_->row(0).array();
  else
    y = plain_;
  y.rowwise() += slot_.parameters.bias;
}

// The derivative by the product before the column scales.
MatrixF HardwareAwareLayer::through_scale(const BatchIn& delta) const {
  MatrixF inner = delta;
  if (scale_) inner.array().rowwise() *= scale_->row(0).array();
  if (options_.on_abstract_tile) inner.array() *= slope_.array();
  return inner;
}

void HardwareAwareLayer::backward(const Pass& pass, const BatchIn& x, const BatchIn& delta,
                                  BatchOut input_delta) {
  product_transposed(through_scale(delta), weights(), input_delta, transposed_, pass.threads);
  range_gradient_ = 0.0;
  if (!range_) return;
  const float range = (*range_)(0, 0);
  Index clipped = 0;
  for (Index v = 0; v < x.rows(); ++v)
    for (Index i = 0; i < x.cols(); ++i) {
      if (std::abs(x(v, i)) <= range) continue;
      range_gradient_ += std::copysign(1.0, static_cast<double>(x(v, i))) * static_cast<double>(input_delta(v, i));
      input_delta(v, i) = 0.0F;
      ++clipped;
    }
  if (static_cast<double>(clipped) < (1.0 - options_.input_quantile) * static_cast<double>(x.size()))
    range_gradient_ += options_.input_range_decay * static_cast<double>(range);
}

void HardwareAwareLayer::learn(const Pass& pass, const BatchIn& delta) {
  const auto rate = static_cast<float>(pass.learning_rate);
  if (scale_) {
    *scale_momentum_ = static_cast<float>(slot_.options.momentum) * *scale_momentum_ +
                       MatrixF(delta.cwiseProduct(plain_).colwise().sum());
    *scale_ -= rate * *scale_momentum_;
  }
  if (learns_range()) {
    float& range = (*range_)(0, 0);
    // At most a tenth in one step: far outliers pull hard.
    const float step = rate * static_cast<float>(range_gradient_);
    range -= std::clamp(step, -0.1F * range, 0.1F * range);
  }
}

void HardwareAwareLayer::update(const Pass& pass, const BatchIn&, const BatchIn& delta) {
  if (scale_ || options_.on_abstract_tile || options_.drop_connect > 0.0) {
    const MatrixF inner = through_scale(delta);
    by_weight_.resize(slot_.inputs(), slot_.outputs());
    parallel_for((slot_.inputs() + 3) / 4, pass.threads, [&](Index quad, int) {
      const Index count = std::min<Index>(4, slot_.inputs() - 4 * quad);
      gradient_rows(inputs_, inner, 4 * quad, count, by_weight_.middleRows(4 * quad, count));
    });
    if (options_.drop_connect > 0.0 && is_noisy_)
      by_weight_ = (noisy_.array() == 0.0F).select(0.0F, by_weight_);
    digital_update_from(slot_, pass, by_weight_, delta);
  } else {
    digital_update(slot_, pass, inputs_, delta);
  }
  learn(pass, delta);
  if (options_.clip_sigma > 0.0) clip_weights(slot_.parameters.weights, options_.clip_sigma);
}

class HardwareAwareKind final : public LayerKind {
 public:
  explicit HardwareAwareKind(const HardwareAwareOptions& options) : options_(options) {}
  std::unique_ptr<Layer> make(const LayerSlot& slot) const override {
    return std::make_unique<HardwareAwareLayer>(slot, options_);
  }
  std::string settings() const override;

 private:
  HardwareAwareOptions options_;
};

std::string HardwareAwareKind::settings() const {
  std::ostringstream text;
  text.precision(17);
  const HardwareAwareOptions& o = options_;
  text << "kind = hardware-aware\nnoise = " << data::to_name(o.noise) << "\nweight_noise = " << o.weight_noise
       << "\nnoise_scale = " << o.noise_scale << "\ndevices = " << o.devices.name
       << "\ndevices.g_max_siemens = " << o.devices.g_max_siemens << "\ng_min_siemens = " << o.g_min_siemens
       << "\nramp_epochs = " << o.ramp_epochs << "\ndrop_connect = " << o.drop_connect
       << "\nclip_sigma = " << o.clip_sigma << "\ncolumn_scales = " << o.column_scales
       << "\nlearn_input_range = " << o.learn_input_range << "\ninput_quantile = " << o.input_quantile
       << "\ninput_range_decay = " << o.input_range_decay << "\ndac_bits = " << o.dac_bits
       << "\non_abstract_tile = " << o.on_abstract_tile << "\n";
  if (!o.on_abstract_tile) return text.str();
  const AbstractTile& t = o.abstract_tile;
  text << "abstract_tile.rows = " << t.rows << "\nabstract_tile.input_steps = " << t.input_steps
       << "\nabstract_tile.output_steps = " << t.output_steps << "\nabstract_tile.output_bound = " << t.output_bound
       << "\nabstract_tile.output_noise = " << t.output_noise << "\nabstract_tile.read_noise = " << t.read_noise
       << "\nabstract_tile.ir_drop = " << t.ir_drop << "\nabstract_tile.wire_ohm = " << t.wire_ohm
       << "\nabstract_tile.g_siemens = " << t.g_siemens << "\nabstract_tile.s_shape = " << t.s_shape << "\n";
  return text.str();
}

}  // namespace

void HardwareAwareOptions::validate() const {
  require_in_range("weight_noise", weight_noise, 0.0, 10.0);
  require_in_range("noise_scale", noise_scale, 0.0, 100.0);
  require_in_range("ramp_epochs", ramp_epochs, 0.0, 1e6);
  require_in_range("drop_connect", drop_connect, 0.0, 0.99);
  require_in_range("clip_sigma", clip_sigma, 0.0, 1e3);
  require_in_range("input_quantile", input_quantile, 0.5, 1.0);
  require_in_range("input_range_decay", input_range_decay, 0.0, 1e3);
  if (dac_bits != 0) require_in_range("dac_bits", dac_bits, 2, 16);
  devices.validate();
  require_in_range("g_min_siemens", g_min_siemens, 0.0, 0.999 * devices.g_max_siemens);
  if (on_abstract_tile) abstract_tile.validate();
}

LayerKindPtr hardware_aware_kind(const HardwareAwareOptions& options) {
  options.validate();
  return std::make_shared<HardwareAwareKind>(options);
}

void clip_weights(MatrixF& weights, double deviations) {
  const float deviation = std::sqrt(weights.squaredNorm() / static_cast<float>(weights.size()));
  const float most = static_cast<float>(deviations) * deviation;
  // NaN stays NaN.
  for (Index k = 0; k < weights.size(); ++k) {
    float& w = weights.data()[k];
    w = w > most ? most : w < -most ? -most : w;
  }
}

MatrixF scaled_weights(const MatrixF& weights, const LayerMemory& memory) {
  const auto found = memory.all().find(kScale);
  if (found == memory.all().end()) return weights;
  if (found->second.cols() != weights.cols())
    throw Error(ErrorKind::usage, "there are " + std::to_string(found->second.cols()) +
                                      " column scales for " + std::to_string(weights.cols()) + " columns");
  return weights.array().rowwise() * found->second.row(0).array();
}

}  // namespace crosstile::nn
