#include "circuit/reference.hpp"

#include <algorithm>
#include <cstdio>

#include "core/error.hpp"
#include "core/files.hpp"
#include "core/shard_runner.hpp"
#include "data/config.hpp"
#include "data/hdf5_file.hpp"

namespace crosstile::circuit {

namespace {

constexpr const char* kShardKind = "reference-shard";
constexpr int kShardVersion = 1;

// What a shard adds to the inputs of a set, one row a vector; in the order of the file.
struct Results {
  const char* name;
  const char* unit;
  Matrix data::ReferenceSet::*field;
  Index cols;
};
std::vector<Results> results_of(const data::ReferenceSet& set) {
  const Index minus = set.tile.weight_layout == data::WeightLayout::pair_columns ? set.tile.cols : 0;
  return {{"charge_plus_coulomb", "coulomb", &data::ReferenceSet::charge_plus_coulomb, set.tile.cols},
          {"charge_minus_coulomb", "coulomb", &data::ReferenceSet::charge_minus_coulomb, minus},
          {"energy_joule", "joule", &data::ReferenceSet::energy_joule,
           static_cast<Index>(set.energy_terms.size())},
          {"average_supply_ampere", "ampere", &data::ReferenceSet::average_supply_ampere, set.supply_lines()},
          {"peak_supply_ampere", "ampere", &data::ReferenceSet::peak_supply_ampere, set.supply_lines()}};
}

std::string fingerprint(const data::ReferenceSet& set, const ReferenceOptions& options) {
  char numbers[120];
  std::snprintf(numbers, sizeof numbers, " %llu %lld %.17g %.17g ", static_cast<unsigned long long>(set.seed),
                static_cast<long long>(options.vectors_per_shard), options.transient.relative_tolerance,
                options.transient.absolute_tolerance_volt);
  std::string text = data::tile_to_toml(set.tile) + set.config_toml + options.method + numbers;
  const auto add = [&text](const auto& values) {
    text.append(reinterpret_cast<const char*>(values.data()),
                static_cast<std::size_t>(values.size()) * sizeof(values.data()[0]));
  };
  for (const auto& term : set.energy_terms) text += term + " ";
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
  ChargeResult events;  // energies and supply currents, for either method
};

ArrayAnswer run_array(const Crossbar& crossbar, const IntVector& codes, const ReferenceOptions& options) {
  ArrayAnswer answer;
  answer.events = solve_charge(crossbar, codes, options.charge);
  const ChargeResult& events = answer.events;
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
                     " ps and the shortest interval " + std::to_string(events.shortest_interval_s * 1e12) +
                     " ps; use method \"transient\"";
  return answer;
}

// Currents of a crossbar's lines behind those already there. Two lines a row: all G+ lines first, then all G-
// lines.
void append_lines(const Crossbar& crossbar, const Vector& line_ampere, Vector& all) {
  if (line_ampere.size() == 0) return;
  const Index begin = all.size();
  all.conservativeResize(begin + crossbar.lines());
  for (Index l = 0; l < crossbar.lines(); ++l)
    all[begin + crossbar.row_of_line(l) + l % crossbar.lines_per_row * crossbar.rows()] = line_ampere[l];
}

void require_method(const data::ReferenceSet& inputs, const std::string& method) {
  if (method != "charge" && method != "transient")
    throw Error(ErrorKind::usage,
                "reference.method = \"" + method + "\" is not allowed; allowed: \"charge\", \"transient\"");
  if (method == "charge" && inputs.tile.front_end.kind == data::FrontEndKind::integrator)
    throw Error(ErrorKind::usage,
                "reference.method = \"charge\" knows no op-amp, and tile.front_end.kind is \"integrator\"; use "
                "\"transient\"");
}

// One shard: vectors first .. first + count - 1 through the circuit, and their results in a file.
void write_shard(const data::ReferenceSet& inputs, Index first, Index count, const ReferenceOptions& options,
                 const std::filesystem::path& file) {
  const auto results = results_of(inputs);
  std::vector<Matrix> values;
  for (const auto& result : results) values.push_back(Matrix::Zero(count, result.cols));
  for (Index k = 0; k < count; ++k) {
    const VectorCharges charges = run_vector(inputs, first + k, options);
    if (charges.status != Status::ok)
      throw Error(ErrorKind::not_converged, "vector " + std::to_string(first + k) + ": the circuit is " +
                                                to_text(charges.status) +
                                                (charges.failure.empty() ? "" : ": " + charges.failure));
    const PowerBudget& e = charges.energy_joule;
    values[0].row(k) = charges.plus.transpose();
    if (charges.minus.size() > 0) values[1].row(k) = charges.minus.transpose();
    values[2].row(k) << e.cells, e.row_wires, e.column_wires, e.drivers, e.senses,
        charges.wire_charging_joule;
    if (charges.average_supply_ampere.size() > 0)
      values[3].row(k) = charges.average_supply_ampere.transpose();
    if (charges.peak_supply_ampere.size() > 0) values[4].row(k) = charges.peak_supply_ampere.transpose();
  }
  data::Hdf5Writer out(kShardKind, kShardVersion);
  for (std::size_t k = 0; k < results.size(); ++k)
    if (values[k].size() > 0) out.matrix(results[k].name, values[k], results[k].unit);
  out.write(file);
}

void read_shard(const std::filesystem::path& file, Index first, Index count, data::ReferenceSet& set) {
  const data::Hdf5Reader in(file, kShardKind, kShardVersion);
  for (const auto& result : results_of(set)) {
    if (result.cols == 0) continue;
    const Matrix value = in.matrix(result.name);
    if (value.rows() != count || value.cols() != result.cols)
      throw Error(ErrorKind::bad_data,
                  file.string() + ": " + result.name + " is " + std::to_string(value.rows()) + " x " +
                      std::to_string(value.cols()) + ", " + std::to_string(count) + " x " +
                      std::to_string(result.cols) + " expected; delete the file to compute it again");
    (set.*result.field).middleRows(first, count) = value;
  }
}

}  // namespace

VectorCharges run_vector(const data::ReferenceSet& set, Index vector, const ReferenceOptions& options) {
  const IntVector codes = set.codes.row(vector).transpose();
  const auto draw = static_cast<std::size_t>(set.draw[vector]);
  VectorCharges out;
  const auto run = [&](const Crossbar& crossbar, Vector& charge) {
    const ArrayAnswer answer = run_array(crossbar, codes, options);
    if (answer.status != Status::ok) {
      out.status = answer.status;
      out.failure = answer.failure;
    }
    charge = answer.charge;
    out.energy_joule.add(answer.events.energy_joule, 1.0);
    out.wire_charging_joule += answer.events.wire_charging_joule;
    append_lines(crossbar, answer.events.average_supply_ampere, out.average_supply_ampere);
    append_lines(crossbar, answer.events.peak_supply_ampere, out.peak_supply_ampere);
  };
  const bool bipolar = set.tile.drive == data::Drive::bipolar;
  run(bipolar ? Crossbar(set.tile, set.g_plus_siemens[draw], set.g_minus_siemens[draw])
              : Crossbar(set.tile, set.g_plus_siemens[draw]),
      out.plus);
  if (!bipolar && !set.g_minus_siemens.empty() && out.status == Status::ok)
    run(Crossbar(set.tile, set.g_minus_siemens[draw]), out.minus);
  return out;
}

data::ReferenceSet run_reference(data::ReferenceSet inputs, const ReferenceOptions& options,
                                 const std::filesystem::path& folder, const Progress& progress) {
  require_method(inputs, options.method);
  require_in_range("reference.vectors_per_shard", static_cast<double>(options.vectors_per_shard), 1, 1e6);
  inputs.method = options.method;
  inputs.energy_terms = {"cells", "row_wires", "column_wires", "drivers", "senses", "wire_charging"};
  const Index total = inputs.vectors();
  const Index size = options.vectors_per_shard;
  const auto count = [&](Index shard) { return std::min(size, total - shard * size); };
  ShardJob job;
  job.folder = folder;
  job.name = "reference";
  job.fingerprint = fingerprint(inputs, options);
  job.shards = (total + size - 1) / size;
  job.threads = options.threads;
  run_shards(
      job,
      [&](Index shard, const std::filesystem::path& temporary, int) {
        write_shard(inputs, shard * size, count(shard), options, temporary);
      },
      progress);

  for (const auto& result : results_of(inputs))
    (inputs.*result.field).setZero(result.cols > 0 ? total : 0, result.cols);
  for (Index shard = 0; shard < job.shards; ++shard)
    read_shard(shard_path(job, shard), shard * size, count(shard), inputs);
  inputs.validate();
  return inputs;
}

}  // namespace crosstile::circuit
