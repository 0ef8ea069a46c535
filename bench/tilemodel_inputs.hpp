// What the figures of the tile model are measured on, and the plain product they are measured in.
//   (a) pulse codes |normal| * scale, scale and density drawn per vector; weights standard normal, on pairs of 512 x 512 arrays
//   (b) test images of MNIST on the first layer (512 neurons) of a network trained here, the 392 most active image rows, next to the sense
#pragma once

#include <optional>
#include <string>

#include "bench/figure_table.hpp"
#include "data/tile.hpp"
#include "tilemodel/tilemodel.hpp"

namespace crosstile::bench {

inline constexpr Index kBatch = 128;

/// A pair of arrays and inputs.
struct Inputs {
  data::TileSpec tile;
  Matrix g_plus_siemens, g_minus_siemens;
  IntMatrix codes;
};

/// The tile of the figures: preset pcm-14nm (512 x 512, gated, ideal supply), south sense.
data::TileSpec gated_tile(double r_col_ohm, double r_row_ohm = 0.0);

/// `draw` tells weights and inputs apart from those of other calls.
Inputs inputs_a(const data::TileSpec& tile, Index vectors, std::uint64_t draw = 1);
/// first: of the test images. Nothing when data/mnist is not there. The network is trained once in a process.
std::optional<Inputs> inputs_b(const data::TileSpec& tile, Index vectors, Index first = 0);
/// Half of the columns all on, half all off; inputs of (a).
Inputs half_and_half(const data::TileSpec& tile, Index vectors);
/// Weights correlated over 32 cells both ways; inputs of (a).
Inputs correlated_weights(const data::TileSpec& tile, Index vectors);

tilemodel::ModelSpec closure_spec(int block_rows, int bins, tilemodel::Form form = tilemodel::Form::closure);
tilemodel::ModelSpec plain_spec(tilemodel::Form form);

/// Charges of both arrays; plus of single bit lines.
struct Charges {
  Matrix plus, minus;
};
Charges charges_of(const tilemodel::ModelSpec& spec, const Inputs& inputs);

/// Errors against charges taken as exact: single bit lines in LSB (99.9 % quantile of the exact charges / 255), and the difference of the
/// pair over its RMS.
struct ErrorOf {
  double rms_lsb, quantile_999_lsb, of_output;
};
ErrorOf error_of(const Charges& charges, const Charges& exact);

/// float32, codes times one array: the faster of OpenBLAS and Eigen.
class PlainProduct {
 public:
  explicit PlainProduct(const Inputs& inputs);
  void run();
  double seconds() const;
  Baseline baseline() const;

 private:
  MatrixF codes_, g_, charge_;
  Samples eigen_, blas_;
};

/// Time of `work` in plain products, both timed in turn; `work` runs once before.
struct Cost {
  double products, seconds;
  Baseline baseline;
};
Cost cost_of(const Inputs& inputs, const std::function<void()>& work, int rounds = 40);
/// Of a model's product with the batch, to float32 charges.
Cost cost_of(const Inputs& inputs, const tilemodel::ModelSpec& spec, int rounds = 40);
Figure cost_figure(const std::string& name, std::optional<Goal> goal, const Cost& cost);

}  // namespace crosstile::bench
