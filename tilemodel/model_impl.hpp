// Internal. What a tile model holds, and its scratch memory. Construction: model.cpp; the way of a batch
// through it: evaluate.cpp.
#pragma once

#include <array>
#include <optional>
#include <variant>
#include <vector>

#include "tilemodel/binned.hpp"
#include "tilemodel/ladder.hpp"
#include "tilemodel/mesh_estimate.hpp"
#include "tilemodel/model.hpp"
#include "tilemodel/panels.hpp"
#include "tilemodel/pass_table.hpp"

namespace crosstile::tilemodel {

// Vectors that go through together: enough to reuse a panel from cache, few enough for the features of a
// block to stay in it too.
inline constexpr Index kBlock = 32;

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

// One sense end of the tile; forms without wires have a single group of all columns.
struct Group {
  ColumnGroup columns;
  std::variant<Panels, Ladder, BinnedLadder> kernel;
  Panels used;  // conductances without the column wire, for the column loss; empty for products
  std::optional<Panels> row_lost;  // g (1 - p)
  Vector position;                 // cols of the group: place along the tile, -1/2 .. 1/2
};

struct GroupScratch {
  IntMatrix codes;  // block x rows by position
  Matrix inputs;    // the same as numbers
  Matrix base;      // block x padded cols, as everything below
  std::array<Matrix, kFeatureCount> feature;
};

struct Workspace::Impl {
  std::array<GroupScratch, 2> group;
  IntMatrix codes;  // block x rows, row order, one pass
  Vector activity;  // block
  Schedule schedule;
  BinnedLadder::Scratch binned;
  MeshEstimate::Scratch mesh;
};

struct TileModel::Impl {
  Impl(const ModelSpec& model_spec, const data::TileSpec& tile_spec, const Matrix& g_siemens,
       const Matrix* w_eff_siemens);

  bool is_product() const { return spec.form == Form::ideal || spec.form == Form::effective; }
  Group product_group(const Matrix& weights) const;
  Group wired_group(const ColumnGroup& columns, const Matrix& g, const Matrix& p) const;
  void check_codes(const IntMatrix& codes) const;
  void prepare(Workspace::Impl& scratch) const;

  void evaluate(const IntMatrix& codes, Workspace::Impl& scratch, Matrix& charge,
                std::vector<Matrix>* features) const;
  bool load_pass(const IntMatrix& codes, Index first, Index count, const PassTable::Entry* pass,
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
  std::optional<MeshEstimate> mesh;
};

}  // namespace crosstile::tilemodel
