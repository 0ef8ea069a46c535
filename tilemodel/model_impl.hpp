// Internal. What a tile model holds, and its scratch memory. Construction: model.cpp; the way of a batch
// through it: evaluate.cpp.
#pragma once

#include <array>
#include <optional>
#include <variant>
#include <vector>

#include "tilemodel/binned.hpp"
#include "tilemodel/closure.hpp"
#include "tilemodel/closure_fast.hpp"
#include "tilemodel/ladder.hpp"
#include "tilemodel/ladder_fast.hpp"
#include "tilemodel/ladder_gradient.hpp"
#include "tilemodel/mesh_estimate.hpp"
#include "tilemodel/model.hpp"
#include "tilemodel/panels.hpp"
#include "tilemodel/pass_table.hpp"
#include "tilemodel/product_fast.hpp"

namespace crosstile::tilemodel {

// Vectors that go through together: enough to reuse a panel from cache, few enough for the features of a
// block to stay in it too.
inline constexpr Index kBlock = 32;
// The same for the float32 closure, whose panels and inputs share the second-level cache.
inline constexpr Index kFastBlock = 128;
// Its gradient keeps a number for every vector, block and column of a panel besides.
inline constexpr Index kGradientBlock = 128;

enum Feature : std::size_t {
  kCharge,
  kChargeActivity,
  kChargePosition,
  kColumnLoss,
  kColumnLossActivity,
  kColumnLossSquared,
  kRowLoss,
  kMesh
};

// Places in Calibration::factor.
enum CalibrationFactor : std::size_t { kColumnWireFactor, kRowWireFactor, kMeshFactor, kGainFactor };

// Columns of the tile at neighbouring places of a kernel's result, `step` columns apart.
struct ColumnRun {
  Index place, column, count, step;
};
// places: index into columns by place, -1 where there is none.
std::vector<ColumnRun> column_runs(const std::vector<Index>& places, const std::vector<Index>& columns);

// One sense end of the tile; forms without wires have a single group of all columns.
struct Group {
  ColumnGroup columns;
  std::variant<Panels, Ladder, BinnedLadder, Closure> kernel;
  std::optional<ClosureFast> fast;  // of a closure in float32
  std::vector<ColumnRun> runs;      // columns of its result
  Panels used;  // conductances without the column wire, for the column loss; empty for products
  std::optional<Panels> row_lost;  // g (1 - p)
  Vector position;                 // cols of the group: place along the tile, -1/2 .. 1/2
  std::optional<LadderFast> fast_ladder{};  // of a ladder in float32
  std::optional<ProductFast> fast_product{};  // of a product, for charges in float32
};

struct GroupScratch {
  Matrix lengths;  // block x rows by position; signed with signed drive or for products
  Matrix base;     // block x padded cols, as everything below
  std::array<Matrix, kFeatureCount> feature;
};

struct GradientScratch {
  LadderGradientScratch ladder;
  Vector charge;   // columns of a group
  Vector lengths;  // by position
  Matrix g;        // by position x columns of a group
};

struct Workspace::Impl {
  std::array<GroupScratch, 2> group;
  Matrix lengths;   // block x rows, row order, one pass
  Vector activity;  // block
  Schedule schedule;
  BinnedLadder::Scratch binned;
  MeshEstimate::Scratch mesh;
  Closure::Scratch closure;
  ClosureFast::Scratch fast;
  const void* followed = nullptr;  // whose reference columns `fast` holds, of all vectors of a charge()
  LadderFast::Scratch fast_ladder;
  ProductFast::Scratch fast_product;
  ClosureFast::GradientScratch fast_gradient;
  std::vector<ClosureFast::PanelTarget> panel_targets;
  Matrix charge;
  GradientScratch gradient;
};

struct TileModel::Impl {
  Impl(const ModelSpec& model_spec, const data::TileSpec& tile_spec, const Matrix& g_siemens,
       const Matrix* w_eff_siemens);

  bool is_product() const { return spec.form == Form::ideal || spec.form == Form::effective; }
  void use_calibration();  // puts the factors on the wires of `tile`
  double factor(CalibrationFactor which) const {
    return spec.form == Form::calibrated ? spec.calibration.factor[which] : 1.0;
  }
  // Charge per normalised one.
  double charge_unit() const {
    return factor(kGainFactor) * tile.v_read_volt * tile.pulse.t_lsb_s;
  }
  Group product_group(const Matrix& weights) const;
  Group wired_group(const ColumnGroup& columns, const Matrix& g, const Matrix& p, const MeshLoad* load) const;
  template <typename Codes>
  void check_codes(const Codes& codes) const;
  void prepare(Workspace::Impl& scratch) const;

  // Codes: IntMatrix or Matrix.
  template <typename Codes>
  void evaluate(const Codes& codes, Workspace::Impl& scratch, Matrix& charge,
                std::vector<Matrix>* features) const;
  // Dense: Matrix or MatrixF.
  template <typename Dense>
  void gradient(const Dense& codes, const Dense& charge_gradient, const GradientOptions& options,
                Workspace::Impl& scratch, BasicGradient<Dense>& out) const;
  template <typename Dense>
  void gradient_fast(const Dense& codes, const Dense& charge_gradient, const GradientOptions& options,
                     Workspace::Impl& scratch, BasicGradient<Dense>& out) const;
  template <typename Dense>
  struct GradientPart {
    const Dense& codes;
    const Dense& charge_gradient;
    const GradientOptions& options;
    const PassTable::Entry& pass;
    Index first, count;   // vectors
    bool whole, followed;  // all codes are whole; the scratch holds the reference columns already
  };
  template <typename Dense>
  void gradient_part(const GradientPart<Dense>& part, const Group& group, bool fresh, bool fresh_g,
                     Workspace::Impl& scratch, WireGradient& wire, BasicGradient<Dense>& out) const;
  void gradient_plain(const Matrix& codes, const Matrix& charge_gradient, const GradientOptions& options,
                      Workspace::Impl& scratch, Gradient& out) const;
  void add_gradient(std::size_t group, const Matrix& codes, Index vector, const PassTable::Entry* pass,
                    const Matrix& charge_gradient, const GradientOptions& options, Workspace::Impl& scratch,
                    Gradient& out) const;
  // Form closure in float32 without a correction. Charge: Matrix or MatrixF.
  template <typename Codes, typename Charge>
  void evaluate_fast(const Codes& codes, Workspace::Impl& scratch, Charge& charge) const;
  bool is_fast() const;
  template <typename Codes>
  bool load_pass(const Codes& codes, Index first, Index count, const PassTable::Entry* pass,
                 Workspace::Impl& scratch) const;
  void compute_base(Index count, int longest_code, Workspace::Impl& scratch) const;
  void compute_features(Index count, bool all, Workspace::Impl& scratch) const;
  void compute_wire_features(Index count, bool all, Workspace::Impl& scratch) const;
  void add_corrected(Index first, Index count, double factor, const Workspace::Impl& scratch,
                     Matrix& charge) const;
  void add_features(Index first, Index count, double factor, const Workspace::Impl& scratch, Matrix& charge,
                    std::vector<Matrix>& features) const;

  ModelSpec spec;
  data::TileSpec tile;
  PassTable passes;
  std::vector<Group> groups;
  Matrix g_scale;  // rows x cols: derivative of the conductance the kernel uses by the device's; empty: 1
  std::optional<MeshEstimate> mesh;
};

}  // namespace crosstile::tilemodel
