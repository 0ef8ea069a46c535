// Mapping to codes and charges: calibration, devices, and the product of one layer.
#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "core/error.hpp"
#include "core/parallel.hpp"
#include "data/pulse.hpp"
#include "nn/evaluate.hpp"

namespace crosstile::nn {

namespace {

constexpr double kConductanceSlack = 1e-9;  // g_max is often the result of a conversion of units

// The ceil(q n)-th smallest of n values; reorders them.
double quantile(std::vector<double>& values, double q) {
  if (values.empty()) return 0.0;
  const auto n = static_cast<double>(values.size());
  const auto rank = static_cast<std::ptrdiff_t>(std::clamp(std::ceil(q * n), 1.0, n)) - 1;
  std::nth_element(values.begin(), values.begin() + rank, values.end());
  return values[static_cast<std::size_t>(rank)];
}

void require_inputs(const Network& network, Index cols) {
  if (cols != network.inputs())
    throw_out_of_range("images (inputs)", static_cast<double>(cols),
                       "it must equal layers[0] of the network, " + std::to_string(network.inputs()));
}

// Digital activations of all layers for a set of images.
Workspace digital_pass(const Network& network, const MatrixF& images) {
  require_inputs(network, images.cols());
  Workspace work = make_workspace(network, images.rows());
  work.activation.front() = images;
  forward(network, work, {0, images.rows()});
  return work;
}

// codes = DAC(x / scale); returns how many inputs were clipped.
template <typename Inputs>
Index encode(const Inputs& x, double scale, int dac_bits, IntMatrix& codes) {
  codes.resize(x.rows(), x.cols());
  Index clipped = 0;
  for (Index v = 0; v < x.rows(); ++v)
    for (Index i = 0; i < x.cols(); ++i) {
      const double input = static_cast<double>(x(v, i)) / scale;
      codes(v, i) = data::dac_code(input, dac_bits);
      clipped += std::abs(input) > 1.0 ? 1 : 0;
    }
  return clipped;
}

struct PairModel {
  tilemodel::TileModel plus;
  tilemodel::TileModel minus;
  std::optional<data::Adc> adc_plus;
  std::optional<data::Adc> adc_minus;
  double weight_per_coulomb = 0.0;  // of one DAC step: weights * codes = this * (charge of G+ - charge of G-)
};

std::optional<data::Adc> make_adc(const MappedTile& tile, const LayerCalibration& calibration,
                                  std::uint64_t seed, std::uint32_t array) {
  if (!tile.spec.adc.enabled) return std::nullopt;
  return data::Adc(tile.spec.adc, calibration.full_scale_coulomb, tile.spec.cols, calibration.is_signed, seed,
                   array);
}

PairModel make_pair(const ModelFactory& factory, const MappedTile& tile, const LayerCalibration& calibration,
                    std::uint64_t seed) {
  const double coulomb_per_siemens = tile.spec.v_read_volt * tile.spec.pulse.t_lsb_s;
  return {factory(tile.spec, tile.g_plus_siemens), factory(tile.spec, tile.g_minus_siemens),
          make_adc(tile, calibration, seed, 2 * tile.number),
          make_adc(tile, calibration, seed, 2 * tile.number + 1),
          tile.weight_per_siemens / coulomb_per_siemens};
}

// ADC full scale of one layer from the charges of the calibration images.
double calibrate_full_scale(const MappedLayer& layer, const ModelFactory& factory, const IntMatrix& codes,
                            const CalibrationOptions& options) {
  std::vector<std::vector<double>> found(layer.tiles.size());
  parallel_for(static_cast<Index>(layer.tiles.size()), options.threads, [&](Index t, int) {
    const MappedTile& tile = layer.tiles[static_cast<std::size_t>(t)];
    const IntMatrix tile_codes = codes.middleCols(tile.row_begin, tile.spec.rows);
    Matrix charge;
    for (const Matrix* g : {&tile.g_plus_siemens, &tile.g_minus_siemens}) {
      factory(tile.spec, *g).charge(tile_codes, charge);
      for (Index k = 0; k < charge.size(); ++k)
        found[static_cast<std::size_t>(t)].push_back(std::abs(charge.data()[k]));
    }
  });
  std::vector<double> all;
  for (const auto& part : found) all.insert(all.end(), part.begin(), part.end());
  const double full_scale = options.adc_margin * quantile(all, options.adc_quantile);
  if (full_scale > 0.0 && std::isfinite(full_scale)) return full_scale;
  // A layer that no calibration image drives: one full cell keeps the converter defined.
  const data::TileSpec& spec = layer.tiles.front().spec;
  return spec.v_read_volt * spec.g_max_siemens * spec.pulse.t_lsb_s * data::max_code(spec.pulse.dac_bits);
}

LayerCalibration calibrate_layer(const TileSystem& system, std::size_t l, const MatrixF& inputs,
                                 const CalibrationOptions& options) {
  const MappedLayer& layer = system.arrays.layers[l];
  const data::TileSpec& spec = layer.tiles.front().spec;
  LayerCalibration out;
  out.is_signed = l == 0 ? (inputs.array() < 0.0F).any() : system.network.hidden == Activation::tanh;
  if (l > 0) {
    std::vector<double> sizes(static_cast<std::size_t>(inputs.size()));
    std::transform(inputs.data(), inputs.data() + inputs.size(), sizes.begin(),
                   [](float x) { return std::abs(static_cast<double>(x)); });
    const double scale = quantile(sizes, options.input_quantile);
    out.input_scale = scale > 0.0 ? scale : 1.0;
  }
  if (!spec.adc.enabled) return out;
  IntMatrix codes;
  encode(inputs, out.input_scale, spec.pulse.dac_bits, codes);
  out.full_scale_coulomb = spec.adc.full_scale_coulomb
                               ? *spec.adc.full_scale_coulomb
                               : calibrate_full_scale(layer, system.model, codes, options);
  return out;
}

}  // namespace

void CalibrationOptions::validate() const {
  require_in_range("input_quantile", input_quantile, 0.5, 1.0);
  require_in_range("adc_quantile", adc_quantile, 0.5, 1.0);
  require_in_range("adc_margin", adc_margin, 0.1, 100.0);
  require_in_range("threads", threads, 0, 4096);
}

TileSystem make_tile_system(const Network& network, const data::TileSpec& tile,
                            const MatrixF& calibration_images, ModelFactory model,
                            const CalibrationOptions& options) {
  options.validate();
  if (!model) throw Error(ErrorKind::usage, "no model factory is given for the tiles");
  if (calibration_images.rows() == 0)
    throw_out_of_range("calibration images (count)", 0, "allowed: at least 1");
  TileSystem system{network, map_network(network, tile), {}, std::move(model)};
  const Workspace work = digital_pass(network, calibration_images);
  for (std::size_t l = 0; l < network.depth(); ++l)
    system.calibration.push_back(calibrate_layer(system, l, work.activation[l], options));
  return system;
}

IntMatrix tile_inputs(const TileSystem& system, Index layer, Index tile_row, const MatrixF& images) {
  const auto layers = static_cast<Index>(system.arrays.layers.size());
  if (layer < 0 || layer >= layers)
    throw_out_of_range("layer", static_cast<double>(layer), "allowed: 0 to " + std::to_string(layers - 1));
  const auto l = static_cast<std::size_t>(layer);
  const MappedTile& tile = system.arrays.layers[l].tile(tile_row, 0);
  const Workspace work = digital_pass(system.network, images);
  IntMatrix codes;
  encode(work.activation[l].middleCols(tile.row_begin, tile.spec.rows), system.calibration[l].input_scale,
         tile.spec.pulse.dac_bits, codes);
  return codes;
}

MappedNetwork draw_arrays(const MappedNetwork& targets, const DeviceOptions& devices, std::uint64_t seed,
                          Index draw) {
  const double t_s = devices.model.drift.t0_s + devices.time_s;
  const std::uint32_t tiles = targets.tiles();
  const data::TileSpec& spec = targets.layers.front().tiles.front().spec;
  if (spec.g_max_siemens > devices.model.g_max_siemens * (1.0 + kConductanceSlack))
    throw_out_of_range("g_max_siemens", spec.g_max_siemens,
                       "the device model \"" + devices.model.name + "\" allows up to its own g_max, " +
                           std::to_string(devices.model.g_max_siemens * 1e6) + " uS");
  MappedNetwork drawn = targets;
  const auto realise = [&](Matrix& g, std::uint32_t array) {
    g = device::conductance_at(devices.model, device::program(devices.model, g, seed, array), t_s, seed,
                               array, 0);
  };
  for (auto& layer : drawn.layers)
    for (auto& tile : layer.tiles) {
      tile.number += static_cast<std::uint32_t>(draw) * tiles;
      realise(tile.g_plus_siemens, 2 * tile.number);
      realise(tile.g_minus_siemens, 2 * tile.number + 1);
    }
  return drawn;
}

struct TiledNetwork::Impl {
  struct Layer {
    const MappedLayer* arrays;
    LayerCalibration calibration;
    Matrix bias;  // 1 x outputs
    std::vector<std::optional<PairModel>> models;
  };
  MappedNetwork arrays;
  Activation hidden = Activation::relu;
  std::vector<Layer> layers;

  void convert(const std::optional<data::Adc>& adc, std::size_t l, TileWorkspace& work, Matrix& charge) const;
  void multiply(std::size_t l, TileWorkspace& work, Matrix& out) const;
};

// ADC of one array's charges, in place; counts what is clipped and marks images whose charges are not finite
// (a converter would turn an infinite charge into its last code).
void TiledNetwork::Impl::convert(const std::optional<data::Adc>& adc, std::size_t l, TileWorkspace& work,
                                 Matrix& charge) const {
  if (!charge.allFinite())
    for (Index v = 0; v < charge.rows(); ++v) work.failed[v] = work.failed[v] || !charge.row(v).allFinite();
  if (!adc) return;
  const double high = layers[l].calibration.full_scale_coulomb;
  const double low = layers[l].calibration.is_signed ? -high : 0.0;
  // Half a step beyond the last code still belongs to it.
  const double slack = 0.5 * adc->lsb_coulomb();
  work.charges[l] += charge.size();
  work.clipped_charges[l] += (charge.array() > high + slack || charge.array() < low - slack).count();
  adc->convert(charge);
}

// out = sum over tiles of w x, from work.codes.
void TiledNetwork::Impl::multiply(std::size_t l, TileWorkspace& work, Matrix& out) const {
  const Layer& layer = layers[l];
  const int steps = data::max_code(layer.arrays->tiles.front().spec.pulse.dac_bits);
  out.setZero(work.codes.rows(), layer.bias.cols());
  for (std::size_t t = 0; t < layer.models.size(); ++t) {
    const MappedTile& tile = layer.arrays->tiles[t];
    const PairModel& pair = *layer.models[t];
    work.tile_codes = work.codes.middleCols(tile.row_begin, tile.spec.rows);
    pair.plus.charge(work.tile_codes, work.charge_plus, work.model);
    pair.minus.charge(work.tile_codes, work.charge_minus, work.model);
    convert(pair.adc_plus, l, work, work.charge_plus);
    convert(pair.adc_minus, l, work, work.charge_minus);
    const double unit = pair.weight_per_coulomb * layer.calibration.input_scale / steps;
    out.middleCols(tile.col_begin, tile.spec.cols) += unit * (work.charge_plus - work.charge_minus);
  }
  out.rowwise() += layer.bias.row(0);
  // A failed image goes on as zeros and ends as NaN.
  for (Index v = 0; v < out.rows(); ++v)
    if (work.failed[v] || !out.row(v).allFinite()) {
      work.failed[v] = true;
      out.row(v).setZero();
    }
}

TiledNetwork::TiledNetwork(const TileSystem& system, const MappedNetwork& arrays, std::uint64_t seed,
                           int threads)
    : impl_(std::make_unique<Impl>()) {
  impl_->arrays = arrays;
  impl_->hidden = system.network.hidden;
  std::vector<std::pair<std::size_t, std::size_t>> jobs;
  for (std::size_t l = 0; l < arrays.layers.size(); ++l) {
    Impl::Layer layer{
        &impl_->arrays.layers[l], system.calibration[l], system.network.layers[l].bias.cast<double>(), {}};
    layer.models.resize(arrays.layers[l].tiles.size());
    for (std::size_t t = 0; t < layer.models.size(); ++t) jobs.emplace_back(l, t);
    impl_->layers.push_back(std::move(layer));
  }
  parallel_for(static_cast<Index>(jobs.size()), threads, [&](Index job, int) {
    const auto [l, t] = jobs[static_cast<std::size_t>(job)];
    Impl::Layer& layer = impl_->layers[l];
    layer.models[t].emplace(make_pair(system.model, layer.arrays->tiles[t], layer.calibration, seed));
  });
}

TiledNetwork::~TiledNetwork() = default;
TiledNetwork::TiledNetwork(TiledNetwork&&) noexcept = default;

void TiledNetwork::logits(const Eigen::Ref<const MatrixF>& images, TileWorkspace& work,
                          Matrix& logits) const {
  const std::size_t depth = impl_->layers.size();
  if (images.cols() != impl_->arrays.layers.front().row_bounds.back())
    throw_out_of_range("images (inputs)", static_cast<double>(images.cols()),
                       "it must equal layers[0] of the network, " +
                           std::to_string(impl_->arrays.layers.front().row_bounds.back()));
  for (auto* counter : {&work.inputs, &work.clipped_inputs, &work.charges, &work.clipped_charges})
    counter->resize(depth, 0);
  work.failed.setConstant(images.rows(), false);
  work.activation = images.cast<double>();
  for (std::size_t l = 0; l < depth; ++l) {
    const Impl::Layer& layer = impl_->layers[l];
    work.inputs[l] += work.activation.size();
    work.clipped_inputs[l] += encode(work.activation, layer.calibration.input_scale,
                                     layer.arrays->tiles.front().spec.pulse.dac_bits, work.codes);
    impl_->multiply(l, work, logits);
    if (l + 1 == depth) break;
    apply_activation<double>(impl_->hidden, logits);
    work.activation.swap(logits);
  }
  for (Index v = 0; v < logits.rows(); ++v)
    if (work.failed[v]) logits.row(v).setConstant(std::numeric_limits<double>::quiet_NaN());
}

}  // namespace crosstile::nn
