// Reference data in bulk: every vector of a set through the full circuit, in shards that survive a kill.
#pragma once

#include <filesystem>

#include "circuit/circuit.hpp"
#include "circuit/reference_inputs.hpp"
#include "core/progress.hpp"
#include "data/reference_set.hpp"

namespace crosstile::circuit {

struct ReferenceOptions {
  std::string method = "charge";  ///< "charge" or "transient"
  ChargeOptions charge;
  TransientOptions transient;
  Index vectors_per_shard = 8;
  int threads = 0;
};

/// Fills charges, energies (cells, row_wires, column_wires, drivers, senses, wire_charging) and supply
/// currents of all vectors; energies and supply currents are always those of the event-driven solver. Results
/// lie in shards in `folder`; a run that was interrupted goes on there. Errors: usage (also for method
/// "charge" with an op-amp); io; interrupted; not_converged naming the vector, also when
/// method "charge" finds that the network does not settle (then use "transient").
data::ReferenceSet run_reference(data::ReferenceSet inputs, const ReferenceOptions& options,
                                 const std::filesystem::path& folder, const Progress& progress = {});

/// Charge of one vector through the arrays of one weight draw: plus (and minus) bit lines.
struct VectorCharges {
  Status status = Status::ok;
  std::string failure;
  Vector plus, minus;                ///< cols; minus is empty unless pair-columns
  PowerBudget energy_joule;          ///< both arrays together
  double wire_charging_joule = 0.0;  ///< both arrays together
  Vector average_supply_ampere;      ///< ReferenceSet::supply_lines(); empty without energies
  Vector peak_supply_ampere;         ///< the same
};
VectorCharges run_vector(const data::ReferenceSet& set, Index vector, const ReferenceOptions& options);

}  // namespace crosstile::circuit
