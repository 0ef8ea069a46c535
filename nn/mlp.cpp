#include "nn/mlp.hpp"

#include <cmath>
#include <string>

#include "core/error.hpp"
#include "core/random.hpp"

namespace crosstile::nn {

namespace {

constexpr Index kLargestWidth = 1 << 20;

template <typename Scalar>
Index first_largest(const Scalar* row, Index count) {
  Index best = 0;
  for (Index j = 1; j < count; ++j)
    if (row[j] > row[best]) best = j;
  return best;
}

bool is_rectifier(Activation kind) { return kind != Activation::sigmoid && kind != Activation::tanh; }

double slope_below_zero(Activation kind) {
  if (kind == Activation::leaky_relu) return kLeakySlope;
  return kind == Activation::randomised_relu ? kRandomisedSlopeMean : 0.0;
}

// Biases are one more word line of the draw.
template <typename Scalar>
BasicLayer<Scalar> uniform_layer(const RandomKey& key, Index in, Index out) {
  const double bound = 1.0 / std::sqrt(static_cast<double>(in));
  const Matrix drawn = bound * (2.0 * random_uniform_matrix(key, in + 1, out).array() - 1.0);
  return {drawn.topRows(in).template cast<Scalar>(), drawn.row(in).template cast<Scalar>()};
}

}  // namespace

void NetworkSpec::validate() const {
  if (layers.size() < 2)
    throw_out_of_range("layers (count)", static_cast<double>(layers.size()),
                       "allowed: at least 2 (inputs and outputs)");
  for (std::size_t l = 0; l < layers.size(); ++l)
    require_in_range("layers[" + std::to_string(l) + "]", static_cast<double>(layers[l]), 1, kLargestWidth);
}

template <typename Scalar>
bool BasicNetwork<Scalar>::all_finite() const {
  for (const auto& layer : layers)
    if (!layer.weights.allFinite() || !layer.bias.allFinite()) return false;
  return true;
}

template <typename Scalar>
BasicNetwork<Scalar> make_network(const NetworkSpec& spec, std::uint64_t seed) {
  spec.validate();
  BasicNetwork<Scalar> network;
  network.hidden = spec.hidden;
  for (std::size_t l = 0; l + 1 < spec.layers.size(); ++l) {
    const Index in = spec.layers[l];
    const Index out = spec.layers[l + 1];
    const double fan =
        is_rectifier(spec.hidden) ? static_cast<double>(in) : static_cast<double>(in + out);
    const RandomKey key{seed, Stream::initial_weights, static_cast<std::uint32_t>(l)};
    if (spec.initial == Initial::uniform) {
      network.layers.push_back(uniform_layer<Scalar>(key, in, out));
      continue;
    }
    BasicLayer<Scalar> layer;
    layer.weights = (std::sqrt(2.0 / fan) * random_normal_matrix(key, in, out)).template cast<Scalar>();
    layer.bias = RowVector<Scalar>::Zero(out);
    network.layers.push_back(std::move(layer));
  }
  return network;
}

template <typename Scalar>
NetworkSpec spec_of(const BasicNetwork<Scalar>& network) {
  NetworkSpec spec;
  spec.hidden = network.hidden;
  spec.layers = {network.inputs()};
  for (const auto& layer : network.layers) spec.layers.push_back(layer.weights.cols());
  return spec;
}

template <typename Scalar>
void check_shapes(const BasicNetwork<Scalar>& network) {
  if (network.layers.empty())
    throw_out_of_range("layers (count)", 0, "allowed: at least one layer of weights");
  for (std::size_t l = 0; l < network.depth(); ++l) {
    const auto& layer = network.layers[l];
    const std::string name = "layers[" + std::to_string(l) + "]";
    if (layer.weights.size() == 0) throw Error(ErrorKind::usage, name + ".weights is empty");
    if (layer.bias.cols() != layer.weights.cols())
      throw_out_of_range(name + ".bias (length)", static_cast<double>(layer.bias.cols()),
                         "it must equal the outputs, " + std::to_string(layer.weights.cols()));
    if (l > 0 && layer.weights.rows() != network.layers[l - 1].weights.cols())
      throw_out_of_range(name + ".weights (rows)", static_cast<double>(layer.weights.rows()),
                         "it must equal the outputs of the layer before, " +
                             std::to_string(network.layers[l - 1].weights.cols()));
  }
}

template <typename Scalar>
BasicWorkspace<Scalar> make_workspace(const BasicNetwork<Scalar>& network, Index capacity) {
  BasicWorkspace<Scalar> work;
  work.activation.emplace_back(RowMatrix<Scalar>::Zero(capacity, network.inputs()));
  for (const auto& layer : network.layers) {
    work.activation.emplace_back(RowMatrix<Scalar>::Zero(capacity, layer.weights.cols()));
    work.delta.emplace_back(RowMatrix<Scalar>::Zero(capacity, layer.weights.cols()));
  }
  return work;
}

template <typename Scalar>
void apply_activation(Activation kind, Eigen::Ref<RowMatrix<Scalar>> y) {
  switch (kind) {
    // cwiseMax may turn NaN into 0 and hide a divergence.
    case Activation::relu: y = (y.array() < Scalar{0}).select(Scalar{0}, y); return;
    case Activation::sigmoid: y.array() = y.array().logistic(); return;
    case Activation::tanh: y.array() = y.array().tanh(); return;
    case Activation::leaky_relu:
    case Activation::randomised_relu:
      y = (y.array() < Scalar{0}).select(static_cast<Scalar>(slope_below_zero(kind)) * y, y);
      return;
  }
}

template <typename Scalar>
void apply_activation_slope(Activation kind, const Eigen::Ref<const RowMatrix<Scalar>>& y,
                            Eigen::Ref<RowMatrix<Scalar>> delta) {
  switch (kind) {
    case Activation::relu: delta = (y.array() > Scalar{0}).select(delta, Scalar{0}); return;
    case Activation::sigmoid: delta.array() *= y.array() * (Scalar{1} - y.array()); return;
    case Activation::tanh: delta.array() *= Scalar{1} - y.array().square(); return;
    case Activation::leaky_relu:
    case Activation::randomised_relu:
      delta = (y.array() > Scalar{0}).select(delta, static_cast<Scalar>(slope_below_zero(kind)) * delta);
      return;
  }
}

template <typename Scalar>
void forward_layer(const BasicNetwork<Scalar>& network, std::size_t layer, BasicWorkspace<Scalar>& work,
                   Rows rows) {
  const auto in = work.activation[layer].middleRows(rows.begin, rows.count);
  auto out = work.activation[layer + 1].middleRows(rows.begin, rows.count);
  out.noalias() = in * network.layers[layer].weights;
  out.rowwise() += network.layers[layer].bias;
  if (layer + 1 < network.depth()) apply_activation<Scalar>(network.hidden, out);
}

template <typename Scalar>
void forward(const BasicNetwork<Scalar>& network, BasicWorkspace<Scalar>& work, Rows rows) {
  for (std::size_t layer = 0; layer < network.depth(); ++layer) forward_layer(network, layer, work, rows);
}

template <typename Scalar>
LossSum softmax_cross_entropy(BasicWorkspace<Scalar>& work, std::span<const std::uint8_t> labels, Rows rows) {
  const RowMatrix<Scalar>& logits = work.activation.back();
  RowMatrix<Scalar>& delta = work.delta.back();
  const Index classes = logits.cols();
  LossSum sum;
  for (Index r = rows.begin; r < rows.begin + rows.count; ++r) {
    const Index label = labels[static_cast<std::size_t>(r)];
    const Index best = first_largest(logits.row(r).data(), classes);
    const Scalar largest = logits(r, best);
    Scalar total = 0;
    for (Index j = 0; j < classes; ++j) {
      delta(r, j) = std::exp(logits(r, j) - largest);
      total += delta(r, j);
    }
    delta.row(r) /= total;
    delta(r, label) -= Scalar{1};
    sum.loss += std::log(static_cast<double>(total)) + static_cast<double>(largest - logits(r, label));
    sum.correct += best == label ? 1 : 0;
  }
  return sum;
}

template <typename Scalar>
LossSum squared_error(BasicWorkspace<Scalar>& work, std::span<const std::uint8_t> labels, Rows rows) {
  const RowMatrix<Scalar>& logits = work.activation.back();
  RowMatrix<Scalar>& delta = work.delta.back();
  LossSum sum;
  for (Index r = rows.begin; r < rows.begin + rows.count; ++r) {
    const Index label = labels[static_cast<std::size_t>(r)];
    delta.row(r) = logits.row(r);
    delta(r, label) -= Scalar{1};
    sum.loss += 0.5 * static_cast<double>(delta.row(r).squaredNorm());
    sum.correct += first_largest(logits.row(r).data(), logits.cols()) == label ? 1 : 0;
  }
  return sum;
}

template <typename Scalar>
void backward_layer(const BasicNetwork<Scalar>& network, std::size_t layer, BasicWorkspace<Scalar>& work,
                    Rows rows) {
  const auto from = work.delta[layer].middleRows(rows.begin, rows.count);
  auto to = work.delta[layer - 1].middleRows(rows.begin, rows.count);
  to.noalias() = from * network.layers[layer].weights.transpose();
  apply_activation_slope<Scalar>(network.hidden, work.activation[layer].middleRows(rows.begin, rows.count),
                                 to);
}

template <typename Scalar>
void backward(const BasicNetwork<Scalar>& network, BasicWorkspace<Scalar>& work, Rows rows) {
  for (std::size_t layer = network.depth() - 1; layer > 0; --layer)
    backward_layer(network, layer, work, rows);
}

template <typename Scalar>
void weight_gradient(const BasicWorkspace<Scalar>& work, std::size_t layer, Index samples, Rows lines,
                     RowMatrix<Scalar>& gradient) {
  const auto inputs = work.activation[layer].block(0, lines.begin, samples, lines.count);
  gradient.middleRows(lines.begin, lines.count).noalias() =
      inputs.transpose() * work.delta[layer].topRows(samples);
  gradient.middleRows(lines.begin, lines.count) /= static_cast<Scalar>(samples);
}

template <typename Scalar>
void bias_gradient(const BasicWorkspace<Scalar>& work, std::size_t layer, Index samples,
                   RowVector<Scalar>& gradient) {
  gradient.setZero();
  for (Index r = 0; r < samples; ++r) gradient += work.delta[layer].row(r);
  gradient /= static_cast<Scalar>(samples);
}

template <typename Scalar>
std::vector<Index> classify(const Eigen::Ref<const RowMatrix<Scalar>>& logits) {
  std::vector<Index> classes(static_cast<std::size_t>(logits.rows()));
  for (Index r = 0; r < logits.rows(); ++r)
    classes[static_cast<std::size_t>(r)] =
        logits.row(r).allFinite() ? first_largest(logits.row(r).data(), logits.cols()) : -1;
  return classes;
}

// float trains, double checks gradients and carries the digital part of inference on tiles.
#define CROSSTILE_INSTANTIATE(Scalar)                                                                     \
  template struct BasicNetwork<Scalar>;                                                                   \
  template BasicNetwork<Scalar> make_network<Scalar>(const NetworkSpec&, std::uint64_t);                  \
  template NetworkSpec spec_of<Scalar>(const BasicNetwork<Scalar>&);                                      \
  template void check_shapes<Scalar>(const BasicNetwork<Scalar>&);                                        \
  template BasicWorkspace<Scalar> make_workspace<Scalar>(const BasicNetwork<Scalar>&, Index);             \
  template void apply_activation<Scalar>(Activation, Eigen::Ref<RowMatrix<Scalar>>);                      \
  template void apply_activation_slope<Scalar>(Activation, const Eigen::Ref<const RowMatrix<Scalar>>&,    \
                                               Eigen::Ref<RowMatrix<Scalar>>);                            \
  template void forward_layer<Scalar>(const BasicNetwork<Scalar>&, std::size_t, BasicWorkspace<Scalar>&,  \
                                      Rows);                                                              \
  template void forward<Scalar>(const BasicNetwork<Scalar>&, BasicWorkspace<Scalar>&, Rows);              \
  template LossSum softmax_cross_entropy<Scalar>(BasicWorkspace<Scalar>&, std::span<const std::uint8_t>,  \
                                                 Rows);                                                   \
  template LossSum squared_error<Scalar>(BasicWorkspace<Scalar>&, std::span<const std::uint8_t>, Rows);   \
  template void backward_layer<Scalar>(const BasicNetwork<Scalar>&, std::size_t, BasicWorkspace<Scalar>&, \
                                       Rows);                                                             \
  template void backward<Scalar>(const BasicNetwork<Scalar>&, BasicWorkspace<Scalar>&, Rows);             \
  template void weight_gradient<Scalar>(const BasicWorkspace<Scalar>&, std::size_t, Index, Rows,          \
                                        RowMatrix<Scalar>&);                                              \
  template void bias_gradient<Scalar>(const BasicWorkspace<Scalar>&, std::size_t, Index,                  \
                                      RowVector<Scalar>&);                                                \
  template std::vector<Index> classify<Scalar>(const Eigen::Ref<const RowMatrix<Scalar>>&);

CROSSTILE_INSTANTIATE(float)
CROSSTILE_INSTANTIATE(double)
#undef CROSSTILE_INSTANTIATE

}  // namespace crosstile::nn
