// The fast model of any array of a reference set, also of forms that need the circuit's effective matrix.
#pragma once

#include "circuit/circuit.hpp"
#include "data/reference_set.hpp"
#include "tilemodel/tilemodel.hpp"
#include "validation/compare.hpp"

namespace crosstile::validation {

/// One array of a set as a circuit: the plus or the minus bit lines of a weight draw; with drive bipolar both
/// are on one bit line and `minus` is not used.
circuit::Crossbar crossbar_of(const data::ReferenceSet& set, Index draw, bool minus);

/// Effective matrices of all arrays, for fit() of form effective. threads: 0 = number of processors. Errors:
/// usage when the tile is not linear.
tilemodel::EffectiveMatrices effective_matrices(const data::ReferenceSet& set, int threads = 1);

/// For compare(): makes the model of any array; form effective gets its matrix from the circuit, and with
/// drive bipolar the conductances are G+ - G-.
DrawFactory draw_factory(const tilemodel::ModelSpec& spec);

}  // namespace crosstile::validation
