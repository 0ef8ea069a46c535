// One layer of a network in training, behind one small interface. What a layer *is* - a digital matrix, an
// analog tile with pulsed updates, noisy weights, a product through a tile model - is its kind; the trainer
// knows batches, activations, loss and schedule, and nothing of kinds. Every layer of a network chooses its
// own (hybrid networks): TrainOptions::kinds. docs/theory.md, "Layers and their kinds".
//
// A new kind is two small classes: the description (LayerKind: settings, immutable, shared) and the layer at
// work (Layer: three passes). Rules for a Layer:
//   * All that a resumed training needs lives in the slot (parameters, momentum, memory) or follows from
//     (seed, layer, step): then checkpoints and bitwise resume come for free.
//   * Random numbers come from LayerSlot::seed and Pass::step, never from a state.
//   * Loops may use parallel_for with pass.threads; results must not depend on it.
//   * Nothing is thrown for numerical outcomes: values that are not finite travel on, and the trainer ends
//     the training as diverged.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/types.hpp"
#include "nn/mlp.hpp"

namespace crosstile::nn {

struct TrainOptions;

/// A batch: one sample a row.
using BatchIn = Eigen::Ref<const MatrixF>;
using BatchOut = Eigen::Ref<MatrixF>;

/// Where a training or an evaluation stands.
struct Pass {
  enum class Purpose {
    training,   ///< forward, backward, update, in this order
    evaluation  ///< forward alone, with the trained parameters; no layer may change what it stores
  };
  Purpose purpose = Purpose::training;
  std::uint64_t step = 0;  ///< batches before this one, since the start of the training or evaluation
  /// Epochs done, with the fraction of the present one: for ramps. In an evaluation those of the training.
  double epochs_done = 0.0;
  double learning_rate = 0.0;  ///< of the mean gradient of the batch
  int threads = 1;             ///< for parallel_for; no influence on any result
};

/// Matrices a layer keeps besides weights, bias and momentum; they go into checkpoints under their names
/// (letters, digits, underscores).
class LayerMemory {
 public:
  /// The matrix of that name; made and filled by `initial` when there is none yet. The reference stays valid.
  /// Errors: usage when a stored matrix has another shape (a checkpoint of something else).
  MatrixF& matrix(const std::string& name, Index rows, Index cols,
                  const std::function<void(MatrixF&)>& initial = {});
  const std::map<std::string, MatrixF>& all() const { return matrices_; }
  void put(const std::string& name, MatrixF value) { matrices_[name] = std::move(value); }

 private:
  std::map<std::string, MatrixF> matrices_;
};

/// A layer's place in a network. The references outlive the layer.
struct LayerSlot {
  std::size_t number = 0;  ///< 0: the first
  /// weights (inputs x outputs) and bias (outputs). What they hold at the end of an epoch is *the network*:
  /// written to files, mapped to tiles, evaluated digitally. An analog kind keeps its present weights here.
  BasicLayer<float>& parameters;
  BasicLayer<float>& momentum;  ///< of the digital optimiser, same shapes; zero at the start
  LayerMemory& memory;
  const TrainOptions& options;
  std::uint64_t seed = 1;  ///< of the whole training; tell layers apart by `number` (RandomKey::tile)

  Index inputs() const { return parameters.weights.rows(); }
  Index outputs() const { return parameters.weights.cols(); }
};

/// A layer at work. x: samples x inputs, as the layer before gives them (after its activation); y: samples x
/// outputs, *before* this layer's activation; delta: samples x outputs, derivative of the batch's *mean* loss
/// by y, so that the gradient of the weights is x^T delta without any further factor. In one training step
/// every layer sees forward, then every layer backward (last to first; the first layer's is left out, nobody
/// needs its result), then every layer update. x of the three calls is the same.
class Layer {
 public:
  virtual ~Layer() = default;
  /// y = x W + bias, or what the hardware makes of it. Overwrites y.
  virtual void forward(const Pass& pass, const BatchIn& x, BatchOut y) = 0;
  /// input_delta = delta W^T, or what the hardware makes of it (the derivative by x). Overwrites input_delta.
  virtual void backward(const Pass& pass, const BatchIn& x, const BatchIn& delta, BatchOut input_delta) = 0;
  /// One step of this layer's parameters.
  virtual void update(const Pass& pass, const BatchIn& x, const BatchIn& delta) = 0;
};

/// What a layer is made of; settings of one kind. Immutable, shared between trainings.
class LayerKind {
 public:
  virtual ~LayerKind() = default;
  /// The layer for a slot. Called at the start of a training, of its continuation and of an evaluation: what
  /// the slot already holds is kept. Errors: usage naming the setting, its value and the allowed range.
  virtual std::unique_ptr<Layer> make(const LayerSlot& slot) const = 0;
  /// Every setting that influences the result, one "name = value" a line, the first "kind = ...": a training
  /// is continued only with the same text.
  virtual std::string settings() const = 0;
};
using LayerKindPtr = std::shared_ptr<const LayerKind>;

/// Digital: exact products, gradient and optimiser of TrainOptions.
LayerKindPtr digital_kind();

/// The digital step of a layer's parameters for the gradient x^T delta, with the optimiser of
/// slot.options: for kinds whose weights are trained digitally, whatever their products are. Splits its work
/// over pass.threads.
void digital_update(const LayerSlot& slot, const Pass& pass, const BatchIn& x, const BatchIn& delta);
/// The same for a gradient that is given (inputs x outputs), with the bias from delta.
void digital_update_from(const LayerSlot& slot, const Pass& pass, const MatrixF& weight_gradient,
                         const BatchIn& delta);
/// The bias alone: for kinds whose weights are updated otherwise.
void digital_update_bias(const LayerSlot& slot, const Pass& pass, const BatchIn& delta);

}  // namespace crosstile::nn
