// Limits of an error budget: the largest wire resistance, the largest tile; and what accuracy costs.
#include <fmt/core.h>

#include <algorithm>

#include "circuit/circuit.hpp"
#include "core/error.hpp"
#include "core/parallel.hpp"
#include "data/pulse.hpp"
#include "nn/energy.hpp"
#include "validation/budget_run.hpp"

namespace crosstile::validation {

namespace {

constexpr double kLimitPrecision = 1.02;
constexpr Index kSmallestTile = 8;

// Charges of a tile's array, every vector through the circuit. The wires' capacitance is left out, as in the
// fast model.
Matrix circuit_charges(data::TileSpec spec, const Matrix& g, const IntMatrix& codes, int threads) {
  spec.c_row_farad = spec.c_col_farad = 0.0;
  const circuit::Crossbar crossbar(spec, g);
  circuit::ChargeOptions options;
  options.energy = false;
  Matrix charge(codes.rows(), spec.cols);
  parallel_for(codes.rows(), threads, [&](Index v, int) {
    const auto result = circuit::solve_charge(crossbar, IntVector(codes.row(v).transpose()), options);
    if (result.status != circuit::Status::ok)
      throw Error(ErrorKind::not_converged,
                  "the full circuit of image " + std::to_string(v) + " did not converge");
    charge.row(v) = result.charge_coulomb.transpose();
  });
  return charge;
}

}  // namespace

// Pulses and wires (both kinds, growing together), nothing else, on tiles of at most so many rows and
// columns.
BudgetRun::Condition BudgetRun::wired(double factor, Index most_rows) const {
  Strengths strengths = all_effects(0.0);
  strengths[static_cast<std::size_t>(Effect::column_wire)] = factor;
  strengths[static_cast<std::size_t>(Effect::row_wire)] = factor;
  strengths[static_cast<std::size_t>(Effect::pwm)] = 1.0;
  Condition out = condition(fmt::format("wires-{:.6g}-{}", factor, most_rows), strengths);
  if (most_rows > 0) out.tile.rows = out.tile.cols = most_rows;
  return out;
}

// RMS difference of the first layer to the same tiles without wires, LSB.
double BudgetRun::wire_error(const Condition& condition) {
  report(condition.name);
  return pieces_
      .numbers("error-" + budget_piece_name(condition.name),
               [&] {
                 Condition ideal = condition;
                 ideal.tile.r_col_ohm = ideal.tile.r_row_ohm = ideal.tile.r_driver_ohm = 0.0;
                 const nn::Network layer = first_layer(network_);
                 const Matrix with = layer_outputs(system_of(layer, condition), condition, 0, layer_images_);
                 const Matrix without = layer_outputs(system_of(layer, ideal), ideal, 0, layer_images_);
                 return StudyPieces::Numbers{{{"rms_lsb", layer_rms(with - without) / lsb_output_}}, {}};
               })
      .at("rms_lsb");
}

// First layer, the same codes: circuit, fast model, and product without wires.
void BudgetRun::confirm(const Condition& condition, Limit& limit) {
  if (study_.confirm_images == 0) return;
  report("full circuit at the limit");
  const auto found = pieces_.numbers(fmt::format("confirm-{}", budget_piece_name(condition.name)), [&] {
    const MatrixF images =
        layer_images_.topRows(std::min(pieces_.part(study_.confirm_images), layer_images_.rows()));
    const nn::TileSystem system = system_of(first_layer(network_), condition);
    const int bits = condition.tile.pulse.dac_bits;
    tilemodel::ModelSpec ideal;
    ideal.form = tilemodel::Form::ideal;
    Matrix full = Matrix::Zero(images.rows(), network_.layers.front().weights.cols()), fast = full,
           exact = full;
    for (const auto& tile : system.arrays.layers.front().tiles) {
      const IntMatrix codes =
          data::dac_codes(images.middleCols(tile.row_begin, tile.spec.rows).cast<double>(), bits);
      const double unit =
          tile.weight_per_siemens / (tile.spec.v_read_volt * tile.spec.pulse.t_lsb_s) / data::max_code(bits);
      for (const bool minus : {false, true}) {
        const Matrix& g = minus ? tile.g_minus_siemens : tile.g_plus_siemens;
        const double sign = minus ? -unit : unit;
        Matrix charge;
        full.middleCols(tile.col_begin, tile.spec.cols) +=
            sign * circuit_charges(tile.spec, g, codes, threads_);
        system.model(tile.spec, g).charge(codes, charge);
        fast.middleCols(tile.col_begin, tile.spec.cols) += sign * charge;
        tilemodel::TileModel(ideal, tile.spec, g).charge(codes, charge);
        exact.middleCols(tile.col_begin, tile.spec.cols) += sign * charge;
      }
      report("full circuit at the limit");
    }
    return StudyPieces::Numbers{{{"fast", layer_rms(fast - exact) / lsb_output_},
                                 {"circuit", layer_rms(full - exact) / lsb_output_},
                                 {"difference", layer_rms(fast - full) / lsb_output_}},
                                {}};
  });
  limit.fast_lsb = found.at("fast");
  limit.circuit_lsb = found.at("circuit");
  limit.difference_lsb = found.at("difference");
}

void BudgetRun::add_wire_limits() {
  if (!is_configured(study_, static_cast<std::size_t>(Effect::column_wire))) return;
  for (const bool by_error : {true, false}) {
    const auto value_at = [&](double factor) {
      const Condition here = wired(factor, 0);
      return by_error ? FactorSample{-wire_error(here), 0.0} : star_sample(here);
    };
    const auto root = largest_factor(value_at, by_error ? -study_.error_lsb : study_.a_star,
                                     study_.most_factor, kLimitPrecision);
    Limit limit;
    limit.what = "wire resistance (ohm per cell)";
    limit.target =
        by_error ? fmt::format("{:g} LSB RMS", study_.error_lsb) : fmt::format("A* {:g}", study_.a_star);
    limit.value = root.factor * study_.tile.r_col_ohm;
    limit.verdict = root.verdict == FactorRoot::Verdict::found ? ""
                    : root.verdict == FactorRoot::Verdict::above
                        ? "met up to here, where the search ends"
                        : "not met down to here, where the search ends";
    confirm(wired(root.factor, 0), limit);
    out_.limits.push_back(std::move(limit));
    done_ += 1.0;
  }
}

// Tiles hold the first layer in 1, 2, 3, ... pieces a column: the fewest pieces that meet the target.
void BudgetRun::add_tile_limits() {
  if (!is_configured(study_, static_cast<std::size_t>(Effect::column_wire))) return;
  const Index inputs = network_.inputs();
  const auto rows_of_pieces = [&](Index pieces) { return (inputs + pieces - 1) / pieces; };
  for (const bool by_error : {true, false}) {
    const auto meets = [&](Index pieces) {
      const Condition here = wired(1.0, rows_of_pieces(pieces));
      return by_error ? wire_error(here) <= study_.error_lsb : star_sample(here).value >= study_.a_star;
    };
    Index good = std::max<Index>(1, inputs / kSmallestTile), bad = 0;
    Limit limit;
    limit.what = "tile size (rows, columns)";
    limit.target =
        by_error ? fmt::format("{:g} LSB RMS", study_.error_lsb) : fmt::format("A* {:g}", study_.a_star);
    if (!meets(good)) {
      limit.verdict = "not met by the smallest tile";
    } else if (meets(1)) {
      good = 1;
      limit.verdict = "met by a tile for all inputs";
    } else {
      bad = 1;
      while (good - bad > 1) {
        const Index middle = (good + bad) / 2;
        (meets(middle) ? good : bad) = middle;
      }
    }
    limit.value = static_cast<double>(rows_of_pieces(good));
    confirm(wired(1.0, rows_of_pieces(good)), limit);
    out_.limits.push_back(std::move(limit));
    done_ += 1.0;
  }
}

void BudgetRun::add_trade(double ohm, data::Passes passes, Index bits) {
  Condition here =
      condition(fmt::format("trade-{:g}-{}-{}", ohm, data::to_name(passes), bits), all_effects(1.0));
  if (here.tile.r_col_ohm > 0.0) here.tile.r_row_ohm *= ohm / here.tile.r_col_ohm;
  here.tile.r_col_ohm = ohm;
  here.tile.pulse.passes = passes;
  here.tile.pulse.split_bits =
      std::clamp(here.tile.pulse.split_bits, 1, std::max(1, here.tile.pulse.dac_bits - 2));
  here.tile.adc.bits = static_cast<int>(bits);
  report(here.name);
  const auto make = [&] {
    StudyPieces::Numbers numbers = accuracy(here);
    if (!numbers.failure.empty()) return numbers;
    tilemodel::EnergyModel
        energy;  // published for 8 bits; other widths scaled as a successive-approximation converter
    energy.conversion_joule *= tilemodel::sar_conversion_joule(static_cast<int>(bits), 1.0) /
                               tilemodel::sar_conversion_joule(8, 1.0);
    const Index count = std::min(study_.energy_images, images_.test.inputs.rows());
    const auto cost = nn::inference_cost(system_of(network_, here), images_.test.inputs.topRows(count),
                                         study_.model, energy, threads_);
    numbers.values["joule"] = cost.total_joule();
    numbers.values["latency_s"] = cost.latency_s;
    return numbers;
  };
  const auto found = pieces_.numbers(here.name, make, "trade");
  done_ += 1.0;
  if (!found.failure.empty()) throw Error(ErrorKind::not_converged, here.name + ": " + found.failure);
  out_.trade.push_back({ohm, passes, bits, found.at("accuracy"), found.at("draw_error"),
                        sampled_star(found.at("accuracy")), found.at("joule"), found.at("latency_s")});
}

}  // namespace crosstile::validation
