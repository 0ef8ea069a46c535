#include "bench/tilemodel_inputs.hpp"

#include <cblas.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <numeric>

#include "bench/workloads.hpp"
#include "circuit/reference_inputs.hpp"
#include "nn/nn.hpp"

namespace crosstile::bench {

namespace {

constexpr Index kImageRows = 392, kNeurons = 512;

Inputs drawn(const data::TileSpec& tile, const circuit::DrawOptions& options, std::uint64_t seed) {
  auto set = circuit::draw_reference_inputs(tile, options, seed);
  return {tile, std::move(set.g_plus_siemens[0]), std::move(set.g_minus_siemens[0]), std::move(set.codes)};
}

circuit::DrawOptions one_draw(Index vectors) {
  circuit::DrawOptions options;
  options.draws = 1;
  options.vectors = vectors;
  return options;
}

// First-layer weights of the most active pixels: kImageRows x kNeurons.
std::optional<MatrixF> trained_layer() {
  const std::filesystem::path folder = std::filesystem::path(CROSSTILE_SOURCE_DIR) / "data/mnist";
  const auto images = folder / "train-images-idx3-ubyte.gz", labels = folder / "train-labels-idx1-ubyte.gz";
  const auto pixels = active_pixels();
  if (!pixels || !std::filesystem::exists(images) || !std::filesystem::exists(labels)) return std::nullopt;
  const auto train = data::read_labelled_images(images, labels);
  nn::TrainOptions options;
  options.epochs = 2;
  nn::NetworkSpec network;
  network.layers = {784, kNeurons, 10};
  auto state = nn::start_training(network, options);
  nn::train(state, train, options);
  return MatrixF(state.network.layers[0].weights(*pixels, Eigen::all));
}

double quantile_999(std::vector<double> values) {
  const auto place = values.begin() + static_cast<std::ptrdiff_t>(0.999 * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), place, values.end());
  return *place;
}

std::vector<double> absolute(const Matrix& a, const Matrix& b) {
  std::vector<double> all(a.data(), a.data() + a.size());
  all.insert(all.end(), b.data(), b.data() + b.size());
  for (double& value : all) value = std::abs(value);
  return all;
}

}  // namespace

data::TileSpec gated_tile(double r_col_ohm, double r_row_ohm) {
  data::TileSpec tile = data::tile_preset("pcm-14nm");
  tile.sense = data::SenseEnd::south;
  tile.r_col_ohm = r_col_ohm;
  tile.r_row_ohm = r_row_ohm;
  tile.c_row_farad = tile.c_col_farad = 0.0;
  return tile;
}

Inputs inputs_a(const data::TileSpec& tile, Index vectors, std::uint64_t draw) { return drawn(tile, one_draw(vectors), draw); }

Inputs correlated_weights(const data::TileSpec& tile, Index vectors) {
  circuit::DrawOptions options = one_draw(vectors);
  options.correlated_share = 1.0;
  options.correlation_length_rows = options.correlation_length_cols = 32.0;
  return drawn(tile, options, 1);
}

Inputs half_and_half(const data::TileSpec& tile, Index vectors) {
  Inputs inputs = inputs_a(tile, vectors);
  inputs.g_plus_siemens.setConstant(tile.g_min_siemens);
  inputs.g_plus_siemens.leftCols(tile.cols / 2).setConstant(tile.g_max_siemens);
  inputs.g_minus_siemens = inputs.g_plus_siemens.rowwise().reverse();
  return inputs;
}

std::optional<Inputs> inputs_b(const data::TileSpec& tile, Index vectors, Index first) {
  static const std::optional<MatrixF> weights = trained_layer();
  if (!weights) return std::nullopt;
  const auto codes = mnist_codes(tile, first + vectors);
  if (!codes) return std::nullopt;
  const Matrix w = weights->cast<double>() / static_cast<double>(weights->cwiseAbs().maxCoeff());
  const double range = tile.g_max_siemens - tile.g_min_siemens;
  Inputs inputs{tile, Matrix::Zero(tile.rows, tile.cols), Matrix::Zero(tile.rows, tile.cols), codes->bottomRows(vectors)};
  // Rows without an image row have no cells.
  inputs.g_plus_siemens.bottomRows(kImageRows) = (tile.g_min_siemens + range * w.array().max(0.0)).matrix();
  inputs.g_minus_siemens.bottomRows(kImageRows) = (tile.g_min_siemens - range * w.array().min(0.0)).matrix();
  return inputs;
}

tilemodel::ModelSpec closure_spec(int block_rows, int bins, tilemodel::Form form) {
  tilemodel::ModelSpec spec;
  spec.form = form;
  spec.block_rows = block_rows;
  spec.closure_bins = bins;
  return spec;
}

tilemodel::ModelSpec plain_spec(tilemodel::Form form) {
  tilemodel::ModelSpec spec;
  spec.form = form;
  return spec;
}

Charges charges_of(const tilemodel::ModelSpec& spec, const Inputs& inputs) {
  Charges out;
  tilemodel::TileModel(spec, inputs.tile, inputs.g_plus_siemens).charge(inputs.codes, out.plus);
  tilemodel::TileModel(spec, inputs.tile, inputs.g_minus_siemens).charge(inputs.codes, out.minus);
  return out;
}

ErrorOf error_of(const Charges& charges, const Charges& exact) {
  const double lsb = quantile_999(absolute(exact.plus, exact.minus)) / 255.0;
  const Matrix plus = charges.plus - exact.plus, minus = charges.minus - exact.minus;
  const auto count = static_cast<double>(plus.size() + minus.size());
  return {std::sqrt((plus.squaredNorm() + minus.squaredNorm()) / count) / lsb, quantile_999(absolute(plus, minus)) / lsb,
          (plus - minus).norm() / (exact.plus - exact.minus).norm()};
}

PlainProduct::PlainProduct(const Inputs& inputs)
    : codes_(inputs.codes.cast<float>()),
      g_((inputs.g_plus_siemens * 1e6).cast<float>()),
      charge_(codes_.rows(), g_.cols()) {}

void PlainProduct::run() {
  eigen_.add(cpu_seconds([&] { charge_.noalias() = codes_ * g_; }));
  blas_.add(cpu_seconds([&] {
    const auto m = static_cast<int>(codes_.rows()), k = static_cast<int>(codes_.cols()), n = static_cast<int>(g_.cols());
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, m, n, k, 1.0F, codes_.data(), k, g_.data(), n, 0.0F, charge_.data(), n);
  }));
}

double PlainProduct::seconds() const { return std::min(eigen_.best(), blas_.best()); }

Baseline PlainProduct::baseline() const {
  const bool eigen = eigen_.best() < blas_.best();
  return {"plain product", bench::seconds(eigen ? eigen_ : blas_), eigen ? "Eigen" : "OpenBLAS"};
}

Cost cost_of(const Inputs& inputs, const std::function<void()>& work, int rounds) {
  PlainProduct plain(inputs);
  Samples ours;
  work();
  for (int round = 0; round < rounds; ++round) {
    for (int repeat = 0; repeat < 3; ++repeat) plain.run();
    ours.add(cpu_seconds(work));
  }
  return {ours.best() / plain.seconds(), ours.best(), plain.baseline()};
}

Cost cost_of(const Inputs& inputs, const tilemodel::ModelSpec& spec, int rounds) {
  const tilemodel::TileModel model(spec, inputs.tile, inputs.g_plus_siemens);
  tilemodel::Workspace workspace;
  MatrixF charge;
  return cost_of(inputs, [&] { model.charge(inputs.codes, charge, workspace); }, rounds);
}

Figure cost_figure(const std::string& name, std::optional<Goal> goal, const Cost& cost) {
  Figure figure{name, goal, times(cost.products)};
  figure.note = to_text(bench::seconds(cost.seconds));
  figure.baseline = cost.baseline;
  return figure;
}

}  // namespace crosstile::bench
