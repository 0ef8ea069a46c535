// Event-driven charge of one pass under gated drive with ohmic cells, all pulses starting together: the rows
// drop out in the order of their codes (circuit/strip_mesh.hpp). docs/theory.md, "Gated drive, row by row".
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "circuit/strip_mesh.hpp"
#include "data/pulse.hpp"

namespace crosstile::circuit {

class GatedCharge {
 public:
  // conductance: lines x cols, internal column order, on-resistance included; must outlive this.
  GatedCharge(const Crossbar& crossbar, const Array& conductance, const SteadyOptions& options);

  struct Sums {
    Vector correction;  // cols, physical order: charge that the capacitances bring
    Index intervals = 0;
    int sweeps = 0;
    double shortest_interval_s = 0.0;
  };
  // interval(seconds, sense currents in physical order) is called for each interval with rows that conduct.
  // Nothing when the sweeps do not converge, or when the pulses do not start together: the general method is
  // the answer then.
  std::optional<Sums> run(const data::Pass& pass, const std::function<void(double, const Vector&)>& interval);

 private:
  // A slot on a column wire before a change, as seen from the slots that conduct after it.
  struct Node {
    Index slot = 0;
    Index far = -1, near = -1;  // slots that its voltage is made of; far == slot: it conducts itself
    double far_weight = 0.0, near_weight = 0.0;
    double mass = 0.0, next_mass = 0.0;  // integrals of its hat function squared, and times the next one's
    double weight = 0.0;                 // of its hat function: all of it, then what belongs to ground
  };
  struct State {
    StripArray drop, column;
    Vector smooth;
  };
  bool advance(Index count, double tolerance);
  bool settle(double tolerance, Sums& sums);
  std::vector<Node> nodes_of(const StripGroup& group, const std::vector<Index>& order, Index count) const;
  void charge_columns(const StripGroup& group, const std::vector<Node>& nodes, Index count, Vector& sensed);
  void gather_charges(Vector& rows, Vector& columns) const;
  Vector to_physical_order(const Vector& internal) const;

  const Crossbar& crossbar_;
  const Array& conductance_;
  SteadyOptions options_;
  StripMesh mesh_;
  bool rc_ = false;
  std::vector<double> volt_;  // slots
  State now_, before_;        // before_: with capacitances, the state at the edge
  StripMesh::Answer answer_;
  StripArray charge_, transition_drop_, transition_column_;
  std::vector<double> pattern_before_, change_;
  std::vector<std::vector<Index>> orders_before_;  // of the groups
  Vector moved_;                                   // unknowns: smooth change of the drops in this interval
  std::vector<double> step_;                       // nodes x kStrip
  std::vector<double> moments_;  // of the charges on the columns: slots x strips x {sum, sum * place}
};

}  // namespace crosstile::circuit
