// Reference data in bulk: draws weights and inputs, runs every vector through the full circuit, in shards that survive a kill.
#pragma once

#include <filesystem>

#include "circuit/circuit.hpp"
#include "core/progress.hpp"
#include "data/reference_set.hpp"

namespace crosstile::circuit {

/// Random weights and inputs. Weights are standard normal; |w| / clip (at most 1) maps to g_min .. g_max on the side of w's sign.
/// Each vector draws its own scale and density: x = min(1, scale |normal|) on a share `density` of the rows, else 0.
struct DrawOptions {
  Index draws = 2;             ///< weight matrices; vectors are spread evenly over them
  Index vectors = 200;
  double held_out_share = 0.25;  ///< of the vectors of every draw
  double weight_clip = 2.6;
  double scale_low = 0.1, scale_high = 0.6;
  double density_low = 0.1, density_high = 1.0;
  bool signed_inputs = false;  ///< half of the inputs negative
  void validate() const;       ///< usage Error naming the field
};

/// The inputs of a set: tile, conductances, codes, held-out flags; charges are empty.
data::ReferenceSet draw_reference_inputs(const data::TileSpec& tile, const DrawOptions& options, std::uint64_t seed);

struct ReferenceOptions {
  std::string method = "charge";  ///< "charge" or "transient"
  ChargeOptions charge;
  TransientOptions transient;
  Index vectors_per_shard = 8;
  int threads = 0;
};

/// Fills charges and energies (always from the event-driven solver: cells, row_wires, column_wires, drivers, senses) of all vectors.
/// Shards are kept in `folder`; a run that was interrupted goes on there. Errors: usage (also for method "charge" with an op-amp); io; interrupted; not_converged naming the
/// vector, also when method "charge" finds that the network does not settle (then use "transient").
data::ReferenceSet run_reference(data::ReferenceSet inputs, const ReferenceOptions& options, const std::filesystem::path& folder,
                                 const Progress& progress = {});

/// Charge of one vector through the arrays of one weight draw: plus (and minus) bit lines.
struct VectorCharges {
  Status status = Status::ok;
  std::string failure;
  Vector plus, minus;   ///< cols; minus is empty unless pair-columns
  PowerBudget energy_joule;
};
VectorCharges run_vector(const data::ReferenceSet& set, Index vector, const ReferenceOptions& options);

}  // namespace crosstile::circuit
