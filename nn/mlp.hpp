// The digital multi-layer perceptron: parameters, forward pass, loss, and backward pass on an explicit
// workspace. A pass is made of steps a caller can replace layer by layer: forward_layer, backward_layer and
// weight_gradient only read and write the workspace, and a gradient is always the product of a layer's inputs
// and its deltas. docs/theory.md, "Networks on tiles".
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/types.hpp"
#include "data/tile.hpp"

namespace crosstile::nn {

template <typename Scalar>
using RowMatrix = Eigen::Matrix<Scalar, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
template <typename Scalar>
using RowVector = Eigen::Matrix<Scalar, 1, Eigen::Dynamic>;

/// Non-linearity of the hidden layers; the output layer is linear (its values are logits).
enum class Activation {
  relu,
  sigmoid,
  tanh,
  leaky_relu,  ///< y for y > 0, kLeakySlope y below
  /// Below 0 the slope is drawn from [kRandomisedSlopeLow, kRandomisedSlopeHigh] for every value and step of
  /// a training; otherwise it is their mean [Xu et al., arXiv:1505.00853]
  randomised_relu
};
inline constexpr double kLeakySlope = 0.01;
inline constexpr double kRandomisedSlopeLow = 1.0 / 8.0;
inline constexpr double kRandomisedSlopeHigh = 1.0 / 3.0;
inline constexpr double kRandomisedSlopeMean = 0.5 * (kRandomisedSlopeLow + kRandomisedSlopeHigh);

/// Of a sample, from its logits; target: 1 for the label, 0 for others.
enum class Loss {
  cross_entropy,  ///< -ln softmax(logits)[label]
  squared_error   ///< sum over outputs of (logit - target)^2 / 2
};

/// Where weights and biases start.
enum class Initial {
  scaled_normal,  ///< make_network(): He or Glorot, biases 0
  /// weights and biases uniform in +-1 / sqrt(inputs), as PyTorch's linear layers do by default
  uniform
};

struct NetworkSpec {
  std::vector<Index> layers = {784, 256, 10};  ///< inputs, hidden widths, outputs; at least two numbers
  Activation hidden = Activation::relu;
  Initial initial = Initial::scaled_normal;
  /// Errors: usage naming `layers`, its value and the allowed range.
  void validate() const;
};

template <typename Scalar>
struct BasicLayer {
  RowMatrix<Scalar> weights;  ///< inputs x outputs: row i is word line i, column j is bit line j
  RowVector<Scalar> bias;     ///< outputs; always digital
};

template <typename Scalar>
struct BasicNetwork {
  Activation hidden = Activation::relu;
  std::vector<BasicLayer<Scalar>> layers;

  Index inputs() const { return layers.front().weights.rows(); }
  Index outputs() const { return layers.back().weights.cols(); }
  std::size_t depth() const { return layers.size(); }
  bool all_finite() const;
};
using Network = BasicNetwork<float>;

/// Weights normal with standard deviation sqrt(2 / inputs) for the relu family [He et al., ICCV 2015] or sqrt(2 /
/// (inputs + outputs)) for sigmoid and tanh [Glorot and Bengio, AISTATS 2010]; biases 0. Draws from (seed,
/// Stream::initial_weights, layer). Initial::uniform: see there. Errors: usage.
template <typename Scalar>
BasicNetwork<Scalar> make_network(const NetworkSpec& spec, std::uint64_t seed);

/// The sizes and the activation a network was made with.
template <typename Scalar>
NetworkSpec spec_of(const BasicNetwork<Scalar>& network);

/// Throws a usage Error when there is no layer or when shapes of neighbouring layers do not fit.
template <typename Scalar>
void check_shapes(const BasicNetwork<Scalar>& network);

/// Everything a pass writes, for up to `capacity` samples (rows).
template <typename Scalar>
struct BasicWorkspace {
  /// [0] the inputs, [l + 1] the outputs of layer l (last: logits); capacity x width
  std::vector<RowMatrix<Scalar>> activation;
  /// [l] d(loss of one sample) / d(pre-activation of layer l); capacity x outputs. A training divides the last
  /// by the samples, so that all are derivatives of the batch's mean loss.
  std::vector<RowMatrix<Scalar>> delta;
  Index capacity() const { return activation.empty() ? 0 : activation.front().rows(); }
};
using Workspace = BasicWorkspace<float>;

template <typename Scalar>
BasicWorkspace<Scalar> make_workspace(const BasicNetwork<Scalar>& network, Index capacity);

/// A range of samples of a workspace.
struct Rows {
  Index begin = 0;
  Index count = 0;
};

/// y = f(y) element by element; randomised_relu with its mean slope.
template <typename Scalar>
void apply_activation(Activation kind, Eigen::Ref<RowMatrix<Scalar>> y);
/// delta *= f'(pre-activation), from the activated value y = f(pre-activation).
template <typename Scalar>
void apply_activation_slope(Activation kind, const Eigen::Ref<const RowMatrix<Scalar>>& y,
                            Eigen::Ref<RowMatrix<Scalar>> delta);

/// activation[l + 1] = f(activation[l] W + b) for the given samples; the last layer is left linear.
template <typename Scalar>
void forward_layer(const BasicNetwork<Scalar>& network, std::size_t layer, BasicWorkspace<Scalar>& work,
                   Rows rows);
/// All layers; activation[0] holds the inputs.
template <typename Scalar>
void forward(const BasicNetwork<Scalar>& network, BasicWorkspace<Scalar>& work, Rows rows);

struct LossSum {
  double loss = 0.0;  ///< sum over samples
  Index correct = 0;  ///< samples whose largest logit (the first, on ties) is the label's
};
/// Loss of the given samples; labels[r] belongs to row r of the workspace. Labels are
/// below the number of outputs (not checked). Writes the last delta: softmax - one-hot.
template <typename Scalar>
LossSum softmax_cross_entropy(BasicWorkspace<Scalar>& work, std::span<const std::uint8_t> labels, Rows rows);
/// The same for Loss::squared_error; writes the last delta: logits - one-hot.
template <typename Scalar>
LossSum squared_error(BasicWorkspace<Scalar>& work, std::span<const std::uint8_t> labels, Rows rows);

/// delta[l - 1] = (delta[l] W_l^T) f'. Needs layer >= 1.
template <typename Scalar>
void backward_layer(const BasicNetwork<Scalar>& network, std::size_t layer, BasicWorkspace<Scalar>& work,
                    Rows rows);
/// All layers down to delta[0].
template <typename Scalar>
void backward(const BasicNetwork<Scalar>& network, BasicWorkspace<Scalar>& work, Rows rows);

/// Mean gradient over the first `samples` rows with respect to the word lines `lines` of one layer's weights:
/// activation[l]^T delta[l] / samples, written to the same lines of `gradient` (inputs x outputs).
template <typename Scalar>
void weight_gradient(const BasicWorkspace<Scalar>& work, std::size_t layer, Index samples, Rows lines,
                     RowMatrix<Scalar>& gradient);
/// Mean gradient with respect to the biases of one layer.
template <typename Scalar>
void bias_gradient(const BasicWorkspace<Scalar>& work, std::size_t layer, Index samples,
                   RowVector<Scalar>& gradient);

/// Index of the largest value of each row, the first on ties; -1 where the row holds a NaN or an infinity.
template <typename Scalar>
std::vector<Index> classify(const Eigen::Ref<const RowMatrix<Scalar>>& logits);

}  // namespace crosstile::nn

template <>
struct crosstile::data::EnumNames<crosstile::nn::Activation> {
  using Activation = crosstile::nn::Activation;
  static constexpr std::array<EnumName<Activation>, 5> value{{{Activation::relu, "relu"},
                                                              {Activation::sigmoid, "sigmoid"},
                                                              {Activation::tanh, "tanh"},
                                                              {Activation::leaky_relu, "leaky_relu"},
                                                              {Activation::randomised_relu, "randomised_relu"}}};
};
template <>
struct crosstile::data::EnumNames<crosstile::nn::Initial> {
  using Initial = crosstile::nn::Initial;
  static constexpr std::array<EnumName<Initial>, 2> value{
      {{Initial::scaled_normal, "scaled_normal"}, {Initial::uniform, "uniform"}}};
};
template <>
struct crosstile::data::EnumNames<crosstile::nn::Loss> {
  using Loss = crosstile::nn::Loss;
  static constexpr std::array<EnumName<Loss>, 2> value{
      {{Loss::cross_entropy, "cross_entropy"}, {Loss::squared_error, "squared_error"}}};
};
