// Energy and latency of one product of a tile. docs/theory.md, "Energy and latency".
#pragma once

#include <optional>

#include "core/types.hpp"
#include "data/tile.hpp"
#include "tilemodel/model.hpp"

namespace crosstile::tilemodel {

/// What the electronics around the array take. The defaults are parts of published figures of a 256 x 256
/// phase-change core at 14 nm, 8 bit, 128 ns window, about 12.5 nJ a product [Khaddam-Aljameh et al., IEEE
/// JSSC 2022; Singh et al., Nat. Electron. 2025]; how they divide into parts is derived.
struct EnergyModel {
  double row_driver_joule =
      8.5e-12;  ///< per row and pass in which the row has a pulse: pulse-width modulator and driver
  double conversion_joule = 32e-12;  ///< per column and pass: integrator or oscillator, and converter
  double conversion_s = 0.0;  ///< time of a conversion that is not hidden behind the next window; per pass
  /// Array energy per cell and product as a flat figure (published: 33e-15, derived as above), instead of
  /// that of conductances and pulses.
  std::optional<double> cell_joule;

  /// Errors: usage, naming the field (finite, >= 0).
  void validate() const;
};

/// Energy of one conversion of a successive-approximation converter at 28 nm: (100 fF b + 0.001 fF 4^b) V^2.
/// bits: 1 .. 16; errors: usage.
double sar_conversion_joule(int bits, double supply_volt);

/// One entry per vector of a batch.
struct ProductEnergy {
  Vector array_joule;  ///< delivered by the row supplies: cells, wires, drivers' and senses' resistance.
                       ///< Exact for the form's charges with gated drive and two-phase signs; otherwise an
                       ///< upper bound (nothing lost in wires)
  Vector cells_joule;  ///< the part of it in the cells (device and selector); to first order in the wires
  Vector wire_charging_joule;  ///< c v^2 of the wires that follow the pulses
  Vector row_driver_joule;
  Vector conversion_joule;
  Vector latency_s;  ///< windows of all passes with a pulse, one after another, and their conversions

  Vector total_joule() const;  ///< array, wire charging, row drivers and conversions
};

/// Energy of the products of one conductance array. Immutable, safe to share between threads.
class EnergyMeter {
 public:
  /// g_siemens: rows x cols, >= 0, as for TileModel; with drive bipolar the sum of both lines' conductances.
  /// spec: form that gives the charges of a gated tile with two-phase signs; the others need none. Errors:
  /// usage, as TileModel and EnergyModel.
  EnergyMeter(const ModelSpec& spec, const data::TileSpec& tile, const Matrix& g_siemens,
              const EnergyModel& model = {});

  /// codes: vectors x rows, signed pulse codes. Errors: usage (shape, range).
  ProductEnergy energy(const IntMatrix& codes, Workspace& workspace) const;

  /// Energy lost in column wires and sense resistance, joule per vector, exact for the form's charges: the
  /// wires' share of the change of the energy with their resistance. Takes gradients, many times the cost of
  /// energy(). Errors: usage when the supply is not ideal, for linear drives and for signs bipolar.
  Vector column_wire_joule(const IntMatrix& codes, Workspace& workspace) const;

 private:
  struct Passes;
  Passes passes_of(const IntMatrix& codes) const;
  void add_array(const Passes& passes, Workspace& workspace, ProductEnergy& out) const;

  data::TileSpec tile_;
  EnergyModel model_;
  std::optional<TileModel> pass_model_;  // one pass, unsigned
  Vector row_siemens_;                   // rows: conductance of all its cells at v_read
  Matrix cell_siemens_;                  // rows x cols, the same cell by cell; only with pass_model_
};

/// EnergyMeter for one batch.
ProductEnergy energy_per_product(const ModelSpec& spec, const data::TileSpec& tile, const Matrix& g_siemens,
                                 const IntMatrix& codes, const EnergyModel& model = {});

}  // namespace crosstile::tilemodel
