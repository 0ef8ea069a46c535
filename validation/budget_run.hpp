// Internal. The study of an error budget at work: budget.cpp measures conditions, budget_limits.cpp looks for
// limits.
#pragma once

#include <algorithm>
#include <string>

#include "nn/compensation.hpp"
#include "validation/budget.hpp"
#include "validation/study_base.hpp"

namespace crosstile::validation {

/// The first layer of a network as a network: its outputs are what the tiles give.
nn::Network first_layer(const nn::Network& network);
/// Root of the mean square of all elements.
double layer_rms(const Matrix& values);
/// As a file name.
std::string budget_piece_name(const std::string& name);

// The study at work.
class BudgetRun : StudyRun {
 public:
  BudgetRun(const BudgetStudy& study, const StudyOptions& options);
  BudgetOutcome run();

 private:
  // A system under some strengths, on tiles of another size and pulse mode if wanted.
  struct Condition {
    std::string name;
    data::TileSpec tile;
    device::PcmModel devices;
    bool random = false;  // chips differ
  };
  struct LayerError {
    double rms_lsb = 0.0, rms_relative = 0.0;
  };

  Condition condition(const std::string& name, const Strengths& strengths) const;
  nn::TileSystem system_of(const nn::Network& network, const Condition& condition) const;
  nn::DeviceOptions devices_of(const Condition& condition) const;
  StudyPieces::Numbers accuracy(const Condition& condition);
  LayerError layer_error(const Condition& condition) const;
  Matrix layer_outputs(const nn::TileSystem& system, const Condition& condition, Index draw,
                       const MatrixF& images) const;
  double sampled_star(double accuracy) const {
    return nn::normalised_accuracy(accuracy, digital_accuracy_, chance_);
  }
  FactorSample star_sample(const Condition& condition);
  // What an accuracy costs goes with these.
  static std::string cost_kind(const std::string& what, const Condition& condition);

  void prepare_network();
  void prepare_scales();
  void add_budget(const std::string& name, const Strengths& strengths);
  void add_growth(std::size_t effect);
  std::vector<double> whole_bit_factors(std::size_t effect) const;
  Condition wired(double factor, Index most_rows) const;
  double wire_error(const Condition& condition);
  void add_wire_limits();
  void add_tile_limits();
  void confirm(const Condition& condition, Limit& limit);
  void add_trade(double ohm, data::Passes passes, Index bits);

  const BudgetStudy& study_;
  nn::Network network_;
  double digital_accuracy_ = 0.0, chance_ = 0.1;
  MatrixF layer_images_;
  Matrix exact_;             // of the first layer: layer_images x outputs
  double lsb_output_ = 0.0;  // 1 LSB of charge in units of the first layer's output
  BudgetOutcome out_;
};

}  // namespace crosstile::validation
