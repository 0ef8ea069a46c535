// Mapping to codes and charges: calibration, devices, and the product of one layer.
#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "core/error.hpp"
#include "core/parallel.hpp"
#include "data/pulse.hpp"
#include "nn/compensation.hpp"
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

// Scales of 0 are still to be found.
LayerCalibration unknown_calibration() {
  LayerCalibration unknown;
  unknown.input_scale = 0.0;
  return unknown;
}

double input_scale(const MatrixF& inputs, const CalibrationOptions& options) {
  std::vector<double> sizes(static_cast<std::size_t>(inputs.size()));
  std::transform(inputs.data(), inputs.data() + inputs.size(), sizes.begin(),
                 [](float x) { return std::abs(static_cast<double>(x)); });
  const double scale = quantile(sizes, options.input_quantile);
  return scale > 0.0 ? scale : 1.0;
}

LayerCalibration calibrate_layer(const TileSystem& system, std::size_t l, const MatrixF& inputs,
                                 const CalibrationOptions& options, LayerCalibration out) {
  const MappedLayer& layer = system.arrays.layers[l];
  const data::TileSpec& spec = layer.tiles.front().spec;
  const Activation hidden = system.network.hidden;
  out.is_signed = l == 0 ? (inputs.array() < 0.0F).any()
                         : hidden != Activation::relu && hidden != Activation::sigmoid;
  if (l == 0)
    out.input_scale = 1.0;
  else if (!(out.input_scale > 0.0))
    out.input_scale = input_scale(inputs, options);
  if (!spec.adc.enabled) return out;
  IntMatrix codes;
  encode(inputs, out.input_scale, spec.pulse.dac_bits, codes);
  out.full_scale_coulomb = spec.adc.full_scale_coulomb
                               ? *spec.adc.full_scale_coulomb
                               : calibrate_full_scale(layer, system.model, codes, options);
  return out;
}

void check_calibration(const Network& network, const MatrixF& images, const ModelFactory& model) {
  if (!model) throw Error(ErrorKind::usage, "no model factory is given for the tiles");
  if (images.rows() == 0) throw_out_of_range("calibration images (count)", 0, "allowed: at least 1");
  require_inputs(network, images.cols());
}

// Of one tile's columns, in the layer's gains.
auto gain_of(const LayerCalibration& calibration, const MappedLayer& layer, std::size_t tile) {
  const MappedTile& at = layer.tiles[tile];
  const Index row = calibration.gain.rows() == 1 ? 0 : static_cast<Index>(tile) / layer.tile_cols();
  return calibration.gain.row(row)
      .segment(at.col_begin, at.spec.cols);
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
  if (options.through_tiles || options.fit_gain) {
    return make_tile_system(network, tile, calibration_images, std::move(model),
                            std::vector<LayerCalibration>(network.depth(), unknown_calibration()), options);
  }
  check_calibration(network, calibration_images, model);
  TileSystem system{network, map_network(network, tile), {}, std::move(model)};
  const Workspace work = digital_pass(network, calibration_images);
  for (std::size_t l = 0; l < network.depth(); ++l)
    system.calibration.push_back(calibrate_layer(system, l, work.activation[l], options, unknown_calibration()));
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
  void tile_value(std::size_t l, std::size_t t, TileWorkspace& work, Matrix& value) const;
  void multiply(std::size_t l, TileWorkspace& work, Matrix& out) const;
  void add_layer(const TileSystem& system, std::size_t l, std::uint64_t seed, int threads);
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

// w x of one tile from work.codes, before its gain.
void TiledNetwork::Impl::tile_value(std::size_t l, std::size_t t, TileWorkspace& work, Matrix& value) const {
  const Layer& layer = layers[l];
  const MappedTile& tile = layer.arrays->tiles[t];
  const PairModel& pair = *layer.models[t];
  work.tile_codes = work.codes.middleCols(tile.row_begin, tile.spec.rows);
  pair.plus.charge(work.tile_codes, work.charge_plus, work.model);
  pair.minus.charge(work.tile_codes, work.charge_minus, work.model);
  convert(pair.adc_plus, l, work, work.charge_plus);
  convert(pair.adc_minus, l, work, work.charge_minus);
  const int steps = data::max_code(tile.spec.pulse.dac_bits);
  value = pair.weight_per_coulomb * layer.calibration.input_scale / steps *
          (work.charge_plus - work.charge_minus);
}

// out = sum over tiles of w x, from work.codes.
void TiledNetwork::Impl::multiply(std::size_t l, TileWorkspace& work, Matrix& out) const {
  const Layer& layer = layers[l];
  out.setZero(work.codes.rows(), layer.bias.cols());
  for (std::size_t t = 0; t < layer.models.size(); ++t) {
    const MappedTile& tile = layer.arrays->tiles[t];
    tile_value(l, t, work, work.value);
    if (layer.calibration.gain.size() != 0)
      work.value.array().rowwise() *= gain_of(layer.calibration, *layer.arrays, t).array();
    out.middleCols(tile.col_begin, tile.spec.cols) += work.value;
  }
  out.rowwise() += layer.bias.row(0);
  // A failed image goes on as zeros and ends as NaN.
  for (Index v = 0; v < out.rows(); ++v)
    if (work.failed[v] || !out.row(v).allFinite()) {
      work.failed[v] = true;
      out.row(v).setZero();
    }
}

// `arrays` holds the layer already.
void TiledNetwork::Impl::add_layer(const TileSystem& system, std::size_t l, std::uint64_t seed, int threads) {
  layers.push_back(
      {&arrays.layers[l], system.calibration[l], system.network.layers[l].bias.cast<double>(), {}});
  Layer& layer = layers.back();
  layer.models.resize(layer.arrays->tiles.size());
  parallel_for(static_cast<Index>(layer.models.size()), threads, [&](Index t, int) {
    const auto tile = static_cast<std::size_t>(t);
    layer.models[tile].emplace(make_pair(system.model, layer.arrays->tiles[tile], layer.calibration, seed));
  });
}

TiledNetwork::TiledNetwork(const TileSystem& system, const MappedNetwork& arrays, std::uint64_t seed,
                           int threads)
    : impl_(std::make_unique<Impl>()) {
  impl_->arrays = arrays;
  impl_->hidden = system.network.hidden;
  for (std::size_t l = 0; l < arrays.layers.size(); ++l) impl_->add_layer(system, l, seed, threads);
}

// One layer after another: calibrated on what the layers before it give.
struct TileCalibrator {
  TileSystem& system;
  const CalibrationOptions& options;
  TiledNetwork::Impl tiles;
  TileWorkspace work;

  void run(const MatrixF& images, const std::vector<LayerCalibration>& known);
  void fit_gain(std::size_t l);
};

// Least squares of every tile's columns against the exact product of the same codes.
void TileCalibrator::fit_gain(std::size_t l) {
  const MappedLayer& layer = system.arrays.layers[l];
  LayerCalibration& calibration = system.calibration[l];
  const double scale = calibration.input_scale / data::max_code(layer.tiles.front().spec.pulse.dac_bits);
  Matrix gain = Matrix::Ones(layer.tile_rows(), layer.col_bounds.back());
  for (std::size_t t = 0; t < layer.tiles.size(); ++t) {
    const MappedTile& tile = layer.tiles[t];
    tiles.tile_value(l, t, work, work.value);
    const Matrix exact = scale * work.tile_codes.cast<double>() * weights_of(tile);
    for (Index j = 0; j < tile.spec.cols; ++j) {
      const double square = work.value.col(j).squaredNorm();
      const double fitted = square > 0.0 ? exact.col(j).dot(work.value.col(j)) / square : 1.0;
      if (std::isfinite(fitted))
        gain(static_cast<Index>(t) / layer.tile_cols(), tile.col_begin + j) = fitted;
    }
  }
  calibration.gain = gain;
  tiles.layers[l].calibration.gain = gain;
}

void TileCalibrator::run(const MatrixF& images, const std::vector<LayerCalibration>& known) {
  const std::size_t depth = system.network.depth();
  for (auto* counter : {&work.inputs, &work.clipped_inputs, &work.charges, &work.clipped_charges})
    counter->assign(depth, 0);
  work.failed.setConstant(images.rows(), false);
  tiles.arrays = system.arrays;
  work.activation = images.cast<double>();
  Matrix out;
  for (std::size_t l = 0; l < depth; ++l) {
    system.calibration.push_back(
        calibrate_layer(system, l, work.activation.cast<float>(), options, known[l]));
    tiles.add_layer(system, l, 1, options.threads);
    const data::TileSpec& spec = system.arrays.layers[l].tiles.front().spec;
    encode(work.activation, system.calibration[l].input_scale, spec.pulse.dac_bits, work.codes);
    if (options.fit_gain && system.calibration[l].gain.size() == 0) fit_gain(l);
    if (l + 1 == depth) break;
    tiles.multiply(l, work, out);
    apply_activation<double>(system.network.hidden, out);
    work.activation.swap(out);
  }
}

// Reads the same inputs on two states of the arrays, layer by layer.
struct DriftReader {
  const TileSystem& system;
  DriftCompensation how;
  TiledNetwork::Impl before, now;
  TileWorkspace work;

  // Factors of one tile's columns.
  Eigen::RowVectorXd factors(std::size_t l, std::size_t t) {
    Matrix was, is;
    before.tile_value(l, t, work, was);
    now.tile_value(l, t, work, is);
    const auto ratio = [](double above, double below) {
      return below > 0.0 && std::isfinite(above / below) && above > 0.0 ? above / below : 1.0;
    };
    if (how == DriftCompensation::global)
      return Eigen::RowVectorXd::Constant(was.cols(), ratio(was.cwiseAbs().sum(), is.cwiseAbs().sum()));
    Eigen::RowVectorXd out(was.cols());
    for (Index j = 0; j < was.cols(); ++j) out[j] = ratio(was.col(j).dot(is.col(j)), is.col(j).squaredNorm());
    return out;
  }

  LayerCalibration layer(std::size_t l) {
    const MappedLayer& arrays = system.arrays.layers[l];
    LayerCalibration out = system.calibration[l];
    Matrix gain = Matrix::Ones(arrays.tile_rows(), arrays.col_bounds.back());
    for (std::size_t t = 0; t < arrays.tiles.size(); ++t) {
      const MappedTile& tile = arrays.tiles[t];
      auto part = gain.row(static_cast<Index>(t) / arrays.tile_cols())
                      .segment(tile.col_begin, tile.spec.cols);
      part = factors(l, t);
      if (out.gain.size() != 0) part.array() *= gain_of(out, arrays, t).array();
    }
    out.gain = gain;
    return out;
  }
};

TileSystem compensated(const TileSystem& system, const MappedNetwork& before, const MappedNetwork& now,
                       const MatrixF& images, DriftCompensation how, std::uint64_t seed, int threads) {
  TileSystem out = system;
  if (how == DriftCompensation::none) return out;
  check_calibration(system.network, images, system.model);
  DriftReader reader{system, how, {}, {}, {}};
  reader.before.arrays = before;
  reader.now.arrays = now;
  const std::size_t depth = system.network.depth();
  TileWorkspace& work = reader.work;
  for (auto* counter : {&work.inputs, &work.clipped_inputs, &work.charges, &work.clipped_charges})
    counter->assign(depth, 0);
  work.failed.setConstant(images.rows(), false);
  work.activation = images.cast<double>();
  Matrix y;
  for (std::size_t l = 0; l < depth; ++l) {
    reader.before.add_layer(system, l, seed, threads);
    reader.now.add_layer(system, l, seed, threads);
    encode(work.activation, system.calibration[l].input_scale,
           system.arrays.layers[l].tiles.front().spec.pulse.dac_bits, work.codes);
    out.calibration[l] = reader.layer(l);
    if (l + 1 == depth) break;
    reader.before.multiply(l, work, y);
    apply_activation<double>(system.network.hidden, y);
    work.activation.swap(y);
  }
  return out;
}

TileSystem make_tile_system(const Network& network, const data::TileSpec& tile,
                            const MatrixF& calibration_images, ModelFactory model,
                            const std::vector<LayerCalibration>& known, const CalibrationOptions& options) {
  options.validate();
  check_calibration(network, calibration_images, model);
  if (known.size() != network.depth())
    throw_out_of_range("known calibrations (count)", static_cast<double>(known.size()),
                       "it must equal the layers of the network, " + std::to_string(network.depth()));
  TileSystem system{network, map_network(network, tile), {}, std::move(model)};
  for (std::size_t l = 0; l < known.size(); ++l) {
    const MappedLayer& layer = system.arrays.layers[l];
    const Matrix& gain = known[l].gain;
    const bool fits = (gain.rows() == 1 || gain.rows() == layer.tile_rows()) &&
                      gain.cols() == layer.col_bounds.back();
    if (gain.size() != 0 && !fits)
      throw Error(ErrorKind::usage, "the gains of layer " + std::to_string(l + 1) + " are " +
                                        std::to_string(gain.rows()) + " x " + std::to_string(gain.cols()) +
                                        "; the tiles need " + std::to_string(layer.tile_rows()) + " x " +
                                        std::to_string(layer.col_bounds.back()));
  }
  TileCalibrator{system, options, {}, {}}.run(calibration_images, known);
  return system;
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
