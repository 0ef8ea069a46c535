#include "nn/energy.hpp"

#include <algorithm>
#include <string>

#include "core/error.hpp"
#include "core/parallel.hpp"
#include "data/pulse.hpp"

namespace crosstile::nn {

namespace {

// The network up to and without layer `depth`.
TileSystem first_layers(const TileSystem& system, std::size_t depth) {
  TileSystem out = system;
  out.network.layers.resize(depth);
  out.arrays.layers.resize(depth);
  out.calibration.resize(depth);
  return out;
}

// Codes on all rows of a layer, as the tiles before it give them.
IntMatrix layer_codes(const TileSystem& system, std::size_t layer, const MatrixF& images, int threads) {
  Matrix activation = images.cast<double>();
  if (layer > 0) {
    const TileSystem before = first_layers(system, layer);
    TileWorkspace work;
    TiledNetwork(before, before.arrays, 1, threads).logits(images, work, activation);
    apply_activation<double>(system.network.hidden, activation);
  }
  const data::TileSpec& tile = system.arrays.layers[layer].tiles.front().spec;
  return data::dac_codes(activation / system.calibration[layer].input_scale, tile.pulse.dac_bits);
}

struct TileCost {
  InferenceCost mean;
  Vector latency_s;  // per image
};

TileCost tile_cost(const MappedTile& tile, const IntMatrix& codes, const tilemodel::ModelSpec& form,
                   const tilemodel::EnergyModel& model) {
  TileCost out;
  tilemodel::Workspace work;
  for (const Matrix* g : {&tile.g_plus_siemens, &tile.g_minus_siemens}) {
    const auto energy = tilemodel::EnergyMeter(form, tile.spec, *g, model).energy(codes, work);
    out.mean.array_joule += energy.array_joule.mean();
    out.mean.wire_charging_joule += energy.wire_charging_joule.mean();
    out.mean.row_driver_joule += energy.row_driver_joule.mean();
    out.mean.conversion_joule += energy.conversion_joule.mean();
    out.latency_s = energy.latency_s;  // the same for both: it depends on the codes alone
  }
  return out;
}

}  // namespace

InferenceCost& InferenceCost::operator+=(const InferenceCost& other) {
  array_joule += other.array_joule;
  wire_charging_joule += other.wire_charging_joule;
  row_driver_joule += other.row_driver_joule;
  conversion_joule += other.conversion_joule;
  latency_s += other.latency_s;
  return *this;
}

std::vector<InferenceCost> layer_costs(const TileSystem& system, const MatrixF& images,
                                       const tilemodel::ModelSpec& form, const tilemodel::EnergyModel& model,
                                       int threads) {
  model.validate();
  if (images.rows() == 0) throw_out_of_range("images (count)", 0, "allowed: at least 1");
  std::vector<InferenceCost> out;
  for (std::size_t l = 0; l < system.arrays.layers.size(); ++l) {
    const MappedLayer& layer = system.arrays.layers[l];
    const IntMatrix codes = layer_codes(system, l, images, threads);
    std::vector<TileCost> found(layer.tiles.size());
    parallel_for(static_cast<Index>(found.size()), threads, [&](Index t, int) {
      const MappedTile& tile = layer.tiles[static_cast<std::size_t>(t)];
      const IntMatrix tile_codes = codes.middleCols(tile.row_begin, tile.spec.rows);
      found[static_cast<std::size_t>(t)] = tile_cost(tile, tile_codes, form, model);
    });
    InferenceCost sum;
    Vector slowest = Vector::Zero(images.rows());
    for (const TileCost& one : found) {
      sum += one.mean;
      slowest = slowest.cwiseMax(one.latency_s);
    }
    sum.latency_s = slowest.mean();
    out.push_back(sum);
  }
  return out;
}

InferenceCost inference_cost(const TileSystem& system, const MatrixF& images,
                             const tilemodel::ModelSpec& form, const tilemodel::EnergyModel& model,
                             int threads) {
  InferenceCost sum;
  for (const InferenceCost& layer : layer_costs(system, images, form, model, threads)) sum += layer;
  return sum;
}

}  // namespace crosstile::nn
