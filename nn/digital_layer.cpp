// The digital kind, and the digital optimiser other kinds share. Gradient and step go together, a few word
// lines at a time, so that a gradient never leaves the first-level cache.
#include <algorithm>
#include <cmath>

#include "core/error.hpp"
#include "core/parallel.hpp"
#include "nn/layer.hpp"
#include "nn/products.hpp"
#include "nn/train.hpp"

namespace crosstile::nn {

namespace {

constexpr Index kLinesAtOnce = 4;  // of the gradient
constexpr Index kBlockLines = 64;  // of one parallel piece
constexpr const char* kSquaresWeights = "adam_squares_weights";
constexpr const char* kSquaresBias = "adam_squares_bias";

// One step of the optimiser on a run of parameters.
class Step {
 public:
  Step(const TrainOptions& options, const Pass& pass, bool decays)
      : adam_(options.optimiser == Optimiser::adam),
        rate_(static_cast<float>(pass.learning_rate)),
        decay_(decays ? static_cast<float>(options.weight_decay) : 0.0F),
        momentum_(static_cast<float>(options.momentum)),
        beta1_(static_cast<float>(options.adam_beta1)),
        beta2_(static_cast<float>(options.adam_beta2)),
        epsilon_(static_cast<float>(options.adam_epsilon)) {
    if (!adam_) return;
    const auto steps = static_cast<double>(pass.step + 1);
    scale1_ = static_cast<float>(1.0 / (1.0 - std::pow(options.adam_beta1, steps)));
    scale2_ = static_cast<float>(1.0 / (1.0 - std::pow(options.adam_beta2, steps)));
  }

  // first, second: the optimiser's memory, as far as it has one. g: gradient.
  void apply(float* w, float* first, float* second, const float* g, Index count) const {
    if (adam_) return adam(w, first, second, g, count);
    if (momentum_ == 0.0F) {
      for (Index k = 0; k < count; ++k) w[k] -= rate_ * (g[k] + decay_ * w[k]);
      return;
    }
    for (Index k = 0; k < count; ++k) {
      first[k] = momentum_ * first[k] + (g[k] + decay_ * w[k]);
      w[k] -= rate_ * first[k];
    }
  }
  // Nothing changes where the gradient is 0.
  bool is_idle_at_zero() const { return !adam_ && momentum_ == 0.0F && decay_ == 0.0F; }

 private:
  void adam(float* w, float* mean, float* square, const float* g, Index count) const {
    for (Index k = 0; k < count; ++k) {
      const float gradient = g[k] + decay_ * w[k];
      mean[k] = beta1_ * mean[k] + (1.0F - beta1_) * gradient;
      square[k] = beta2_ * square[k] + (1.0F - beta2_) * gradient * gradient;
      w[k] -= rate_ * (scale1_ * mean[k]) / (std::sqrt(scale2_ * square[k]) + epsilon_);
    }
  }

  bool adam_;
  float rate_, decay_, momentum_, beta1_, beta2_, epsilon_, scale1_ = 1.0F, scale2_ = 1.0F;
};

MatrixF* squares(const LayerSlot& slot, const char* name, Index rows) {
  return slot.options.optimiser == Optimiser::adam ? &slot.memory.matrix(name, rows, slot.outputs())
                                                   : nullptr;
}

// gradient(begin, count, out): rows of the gradient, false when all are 0.
template <typename Gradient>
void step_weights(const LayerSlot& slot, const Pass& pass, const Gradient& gradient) {
  const Step step(slot.options, pass, true);
  MatrixF* second = squares(slot, kSquaresWeights, slot.inputs());
  auto& weights = slot.parameters.weights;
  const Index cols = weights.cols(), blocks = (weights.rows() + kBlockLines - 1) / kBlockLines;
  parallel_for(blocks, pass.threads, [&](Index block, int) {
    MatrixF g(kLinesAtOnce, cols);
    const Index end = std::min(weights.rows(), (block + 1) * kBlockLines);
    for (Index line = block * kBlockLines; line < end; line += kLinesAtOnce) {
      const Index lines = std::min(kLinesAtOnce, end - line);
      if (!gradient(line, lines, g) && step.is_idle_at_zero()) continue;
      step.apply(weights.row(line).data(), slot.momentum.weights.row(line).data(),
                 second ? second->row(line).data() : nullptr, g.data(), lines * cols);
    }
  });
}

class DigitalLayer final : public Layer {
 public:
  explicit DigitalLayer(const LayerSlot& slot) : slot_(slot) {}

  void forward(const Pass& pass, const BatchIn& x, BatchOut y) override {
    product(x, slot_.parameters.weights, slot_.parameters.bias.data(), y, pass.threads);
  }
  void backward(const Pass& pass, const BatchIn&, const BatchIn& delta, BatchOut input_delta) override {
    product_transposed(delta, slot_.parameters.weights, input_delta, transposed_, pass.threads);
  }
  void update(const Pass& pass, const BatchIn& x, const BatchIn& delta) override {
    digital_update(slot_, pass, x, delta);
  }

 private:
  LayerSlot slot_;
  MatrixF transposed_;
};

class DigitalKind final : public LayerKind {
 public:
  std::unique_ptr<Layer> make(const LayerSlot& slot) const override {
    return std::make_unique<DigitalLayer>(slot);
  }
  std::string settings() const override { return "kind = digital\n"; }
};

}  // namespace

MatrixF& LayerMemory::matrix(const std::string& name, Index rows, Index cols,
                             const std::function<void(MatrixF&)>& initial) {
  const auto found = matrices_.find(name);
  if (found == matrices_.end()) {
    MatrixF& made = matrices_[name];
    made = MatrixF::Zero(rows, cols);
    if (initial) initial(made);
    return made;
  }
  if (found->second.rows() != rows || found->second.cols() != cols)
    throw Error(ErrorKind::usage, "the stored matrix \"" + name + "\" of a layer is " +
                                      std::to_string(found->second.rows()) + " x " +
                                      std::to_string(found->second.cols()) + ", not " + std::to_string(rows) +
                                      " x " + std::to_string(cols));
  return found->second;
}

LayerKindPtr digital_kind() {
  return std::make_shared<DigitalKind>();
}

void digital_update_bias(const LayerSlot& slot, const Pass& pass, const BatchIn& delta) {
  RowVector<float> gradient = RowVector<float>::Zero(slot.outputs());
  for (Index r = 0; r < delta.rows(); ++r) gradient += delta.row(r);
  MatrixF* second = squares(slot, kSquaresBias, 1);
  Step(slot.options, pass, false)
      .apply(slot.parameters.bias.data(), slot.momentum.bias.data(), second ? second->data() : nullptr,
             gradient.data(), slot.outputs());
}

void digital_update(const LayerSlot& slot, const Pass& pass, const BatchIn& x, const BatchIn& delta) {
  step_weights(slot, pass, [&](Index begin, Index lines, MatrixF& g) {
    return gradient_rows(x, delta, begin, lines, g.topRows(lines));
  });
  digital_update_bias(slot, pass, delta);
}

void digital_update_from(const LayerSlot& slot, const Pass& pass, const MatrixF& weight_gradient,
                         const BatchIn& delta) {
  step_weights(slot, pass, [&](Index begin, Index lines, MatrixF& g) {
    g.topRows(lines) = weight_gradient.middleRows(begin, lines);
    return true;
  });
  digital_update_bias(slot, pass, delta);
}

}  // namespace crosstile::nn
