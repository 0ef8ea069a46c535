#include "circuit/reference.hpp"

#include <algorithm>
#include <cmath>

#include "core/error.hpp"
#include "core/files.hpp"
#include "core/random.hpp"
#include "core/shard_runner.hpp"
#include "data/config.hpp"

namespace crosstile::circuit {

namespace {

// Conductances of both devices of every weight.
void map_weights(const data::TileSpec& tile, const Matrix& weights, double clip, data::ReferenceSet& set) {
  const double span = tile.g_max_siemens - tile.g_min_siemens;
  const Matrix share = (weights.array() / clip).max(-1.0).min(1.0).matrix();
  if (tile.weight_layout == data::WeightLayout::single) {
    set.g_plus_siemens.push_back((tile.g_min_siemens + span * share.array().abs()).matrix());
    return;
  }
  set.g_plus_siemens.push_back((tile.g_min_siemens + span * share.array().max(0.0)).matrix());
  set.g_minus_siemens.push_back((tile.g_min_siemens + span * (-share.array()).max(0.0)).matrix());
}

IntVector draw_codes(const data::TileSpec& tile, const DrawOptions& options, std::uint64_t seed, Index vector) {
  const RandomKey key{seed, Stream::inputs, 0};
  const auto v = static_cast<std::uint64_t>(vector);
  const auto shape = random_uniform4(key, v, 0, 1);
  const double scale = options.scale_low + (options.scale_high - options.scale_low) * shape[0];
  const double density = options.density_low + (options.density_high - options.density_low) * shape[1];
  IntVector codes(tile.rows);
  for (Index i = 0; i < tile.rows; ++i) {
    const auto u = random_uniform4(key, v, static_cast<std::uint64_t>(i), 2);
    const double size = std::min(1.0, scale * std::abs(random_normal(key, v, static_cast<std::uint64_t>(i), 3)));
    const double sign = options.signed_inputs && u[1] < 0.5 ? -1.0 : 1.0;
    codes[i] = u[0] < density ? data::dac_code(sign * size, tile.pulse.dac_bits) : 0;
  }
  return codes;
}

// What of a set belongs to some of its vectors.
data::ReferenceSet slice(const data::ReferenceSet& set, Index first, Index count) {
  data::ReferenceSet part = set;
  part.codes = set.codes.middleRows(first, count);
  part.draw = set.draw.segment(first, count);
  part.held_out = set.held_out.segment(first, count);
  return part;
}

std::string fingerprint(const data::ReferenceSet& set, const ReferenceOptions& options) {
  std::string text = data::tile_to_toml(set.tile) + options.method + " " + std::to_string(set.seed) + " " +
                     std::to_string(options.vectors_per_shard) + " " + std::to_string(options.transient.relative_tolerance) + " " +
                     std::to_string(options.transient.absolute_tolerance_volt * 1e9) + " ";
  const auto add = [&text](const auto& values) {
    text.append(reinterpret_cast<const char*>(values.data()), static_cast<std::size_t>(values.size()) * sizeof(values.data()[0]));
  };
  for (const auto& g : set.g_plus_siemens) add(g);
  for (const auto& g : set.g_minus_siemens) add(g);
  add(set.codes);
  add(set.draw);
  add(set.held_out);
  return hash_bytes(text);
}

struct ArrayAnswer {
  Status status = Status::ok;
  std::string failure;
  Vector charge;
  PowerBudget energy;
};

ArrayAnswer run_array(const Crossbar& crossbar, const IntVector& codes, const ReferenceOptions& options) {
  ArrayAnswer answer;
  const ChargeResult events = solve_charge(crossbar, codes, options.charge);
  answer.energy = events.energy_joule;
  if (options.method == "transient") {
    const TransientResult transient = solve_transient(crossbar, codes, options.transient);
    answer.status = events.status == Status::not_converged ? events.status : transient.status;
    answer.failure = transient.failure;
    answer.charge = transient.charge_coulomb;
    return answer;
  }
  answer.status = events.status;
  answer.charge = events.charge_coulomb;
  if (events.status == Status::not_settled)
    answer.failure = "the slowest time constant is " + std::to_string(events.slowest_time_constant_s * 1e12) +
                     " ps and the shortest interval " + std::to_string(events.shortest_interval_s * 1e12) + " ps; use method \"transient\"";
  return answer;
}

}  // namespace

void DrawOptions::validate() const {
  require_in_range("reference.draws", static_cast<double>(draws), 1, 1e6);
  require_in_range("reference.vectors", static_cast<double>(vectors), 1, 1e9);
  require_in_range("reference.held_out_share", held_out_share, 0.0, 1.0);
  require_in_range("reference.weight_clip", weight_clip, 0.1, 100.0);
  require_in_range("reference.scale_low", scale_low, 0.0, 10.0);
  require_in_range("reference.scale_high", scale_high, scale_low, 10.0);
  require_in_range("reference.density_low", density_low, 0.0, 1.0);
  require_in_range("reference.density_high", density_high, density_low, 1.0);
}

data::ReferenceSet draw_reference_inputs(const data::TileSpec& tile, const DrawOptions& options, std::uint64_t seed) {
  tile.validate();
  options.validate();
  data::ReferenceSet set;
  set.tile = tile;
  set.seed = seed;
  for (Index d = 0; d < options.draws; ++d)
    map_weights(tile, random_normal_matrix({seed, Stream::weights, static_cast<std::uint32_t>(d)}, tile.rows, tile.cols), options.weight_clip, set);
  set.codes.resize(options.vectors, tile.rows);
  set.draw.resize(options.vectors);
  set.held_out.setZero(options.vectors);
  std::vector<Index> of_draw(static_cast<std::size_t>(options.draws), 0);
  for (Index v = 0; v < options.vectors; ++v) {
    set.codes.row(v) = draw_codes(tile, options, seed, v).transpose();
    const Index d = v % options.draws;
    set.draw[v] = static_cast<int>(d);
    // The k-th vector of a draw is held out when the running share passes a whole number: evenly spread, the same share in every draw.
    const auto k = static_cast<double>(of_draw[static_cast<std::size_t>(d)]++);
    set.held_out[v] = std::floor((k + 1.0) * options.held_out_share + 1e-9) > std::floor(k * options.held_out_share + 1e-9) ? 1 : 0;
  }
  return set;
}

VectorCharges run_vector(const data::ReferenceSet& set, Index vector, const ReferenceOptions& options) {
  const IntVector codes = set.codes.row(vector).transpose();
  const auto draw = static_cast<std::size_t>(set.draw[vector]);
  VectorCharges out;
  const auto take = [&](const ArrayAnswer& answer, Vector& charge) {
    if (answer.status != Status::ok) {
      out.status = answer.status;
      out.failure = answer.failure;
    }
    charge = answer.charge;
    out.energy_joule.add(answer.energy, 1.0);
  };
  const bool bipolar = set.tile.drive == data::Drive::bipolar;
  const Crossbar plus = bipolar ? Crossbar(set.tile, set.g_plus_siemens[draw], set.g_minus_siemens[draw])
                                : Crossbar(set.tile, set.g_plus_siemens[draw]);
  take(run_array(plus, codes, options), out.plus);
  if (!bipolar && !set.g_minus_siemens.empty() && out.status == Status::ok)
    take(run_array(Crossbar(set.tile, set.g_minus_siemens[draw]), codes, options), out.minus);
  return out;
}

data::ReferenceSet run_reference(data::ReferenceSet inputs, const ReferenceOptions& options, const std::filesystem::path& folder,
                                 const Progress& progress) {
  if (options.method != "charge" && options.method != "transient")
    throw Error(ErrorKind::usage, "reference.method = \"" + options.method + "\" is not allowed; allowed: \"charge\", \"transient\"");
  if (options.method == "charge" && inputs.tile.front_end.kind != data::FrontEndKind::ideal)
    throw Error(ErrorKind::usage, "reference.method = \"charge\" knows no op-amp, and the tile's front_end.kind is \"" +
                                      std::string(data::to_name(inputs.tile.front_end.kind)) + "\"; use \"transient\"");
  require_in_range("reference.vectors_per_shard", static_cast<double>(options.vectors_per_shard), 1, 1e6);
  inputs.method = options.method;
  inputs.energy_terms = {"cells", "row_wires", "column_wires", "drivers", "senses"};
  const Index total = inputs.vectors();
  const Index size = options.vectors_per_shard;
  ShardJob job;
  job.folder = folder;
  job.name = "reference";
  job.fingerprint = fingerprint(inputs, options);
  job.shards = (total + size - 1) / size;
  job.threads = options.threads;
  const bool pair = inputs.tile.weight_layout == data::WeightLayout::pair_columns;

  run_shards(
      job,
      [&](Index shard, const std::filesystem::path& temporary, int) {
        data::ReferenceSet part = slice(inputs, shard * size, std::min(size, total - shard * size));
        const Index count = part.vectors();
        part.charge_plus_coulomb.resize(count, part.tile.cols);
        part.charge_minus_coulomb.resize(pair ? count : 0, pair ? part.tile.cols : 0);
        part.energy_joule.resize(count, 5);
        for (Index v = 0; v < count; ++v) {
          const VectorCharges charges = run_vector(part, v, options);
          if (charges.status != Status::ok)
            throw Error(ErrorKind::not_converged, "vector " + std::to_string(shard * size + v) + ": the circuit is " +
                                                      to_text(charges.status) + (charges.failure.empty() ? "" : ": " + charges.failure));
          part.charge_plus_coulomb.row(v) = charges.plus.transpose();
          if (pair) part.charge_minus_coulomb.row(v) = charges.minus.transpose();
          const PowerBudget& e = charges.energy_joule;
          part.energy_joule.row(v) << e.cells, e.row_wires, e.column_wires, e.drivers, e.senses;
        }
        data::write_reference_set(temporary, part);
      },
      progress);

  std::vector<data::ReferenceSet> shards;
  for (Index shard = 0; shard < job.shards; ++shard) shards.push_back(data::read_reference_set(shard_path(job, shard)));
  return data::concatenate(shards);
}

}  // namespace crosstile::circuit
