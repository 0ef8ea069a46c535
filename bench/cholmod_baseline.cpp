#include "bench/cholmod_baseline.hpp"

#include "core/error.hpp"

namespace crosstile::bench {

namespace {

// The upper triangle of a symmetric matrix, entry by entry.
class Triplets {
 public:
  Triplets(Index size, Index off_diagonals, cholmod_common* common) : diagonal_(Vector::Zero(size)) {
    const auto n = static_cast<std::size_t>(size);
    data_ = cholmod_allocate_triplet(n, n, n + static_cast<std::size_t>(off_diagonals), 1, CHOLMOD_REAL, common);
  }
  // b >= 0: between two nodes; b < 0: to a source.
  void resistor(Index a, Index b, double g) {
    diagonal_[a] += g;
    if (b < 0) return;
    diagonal_[b] += g;
    put(std::min(a, b), std::max(a, b), -g);
  }
  cholmod_sparse* compressed(cholmod_common* common) {
    for (Index k = 0; k < diagonal_.size(); ++k) put(k, k, diagonal_[k]);
    cholmod_sparse* matrix = cholmod_triplet_to_sparse(data_, data_->nnz, common);
    cholmod_free_triplet(&data_, common);
    return matrix;
  }

 private:
  void put(Index row, Index column, double value) {
    static_cast<int*>(data_->i)[data_->nnz] = static_cast<int>(row);
    static_cast<int*>(data_->j)[data_->nnz] = static_cast<int>(column);
    static_cast<double*>(data_->x)[data_->nnz++] = value;
  }
  Vector diagonal_;
  cholmod_triplet* data_;
};

}  // namespace

CholmodBaseline::CholmodBaseline(const circuit::Crossbar& crossbar) : crossbar_(crossbar) {
  const auto& tile = crossbar.tile;
  head_siemens_ = 1.0 / (tile.r_row_ohm + tile.r_driver_ohm);
  end_siemens_ = 1.0 / (tile.sense_segment * tile.r_col_ohm + tile.r_sense_ohm);
  if (tile.r_row_ohm == 0.0 || tile.r_col_ohm == 0.0 || !tile.ohmic_cells() || tile.drivers != data::DriverEnds::west)
    throw Error(ErrorKind::usage, "the baseline takes wires with resistance, ohmic cells and drivers at one end");
  cholmod_start(&common_);
  common_.nmethods = 1;
  common_.method[0].ordering = CHOLMOD_AMD;
  common_.supernodal = CHOLMOD_SUPERNODAL;
  common_.print = 0;
  assemble();
  common_.memory_usage = common_.memory_inuse;  // the triplets do not count
}

CholmodBaseline::~CholmodBaseline() {
  reset();
  cholmod_free_sparse(&matrix_, &common_);
  cholmod_finish(&common_);
}

void CholmodBaseline::require_ok(const char* step) const {
  if (common_.status != CHOLMOD_OK)
    throw Error(ErrorKind::check_failed, std::string("CHOLMOD, ") + step + ": status " + std::to_string(common_.status));
}

// Nodes: row wires line by line, then column wires row by row.
void CholmodBaseline::assemble() {
  const auto& tile = crossbar_.tile;
  const Index lines = crossbar_.lines(), rows = crossbar_.rows(), cols = crossbar_.cols();
  const auto row_node = [&](Index line, Index j) { return line * cols + j; };
  const auto column_node = [&](Index i, Index j) { return (lines + i) * cols + j; };
  Triplets triplets((lines + rows) * cols, (2 * lines + rows) * cols, &common_);
  for (Index l = 0; l < lines; ++l) {
    triplets.resistor(row_node(l, 0), -1, head_siemens_);
    for (Index j = 0; j + 1 < cols; ++j) triplets.resistor(row_node(l, j), row_node(l, j + 1), 1.0 / tile.r_row_ohm);
    for (Index j = 0; j < cols; ++j) {
      const double g = crossbar_.conductance_siemens(l, j);
      if (g > 0.0) triplets.resistor(row_node(l, j), column_node(crossbar_.row_of_line(l), j), 1.0 / (1.0 / g + tile.selector.r_on_ohm));
    }
  }
  for (Index j = 0; j < cols; ++j) {
    for (Index i = 0; i + 1 < rows; ++i) triplets.resistor(column_node(i, j), column_node(i + 1, j), 1.0 / tile.r_col_ohm);
    triplets.resistor(column_node(tile.sensed_north(j) ? 0 : rows - 1, j), -1, end_siemens_);
  }
  matrix_ = triplets.compressed(&common_);
  require_ok("assembly");
}

void CholmodBaseline::reset() {
  cholmod_free_dense(&right_, &common_);
  cholmod_free_dense(&volt_, &common_);
  cholmod_free_dense(&work_y_, &common_);
  cholmod_free_dense(&work_e_, &common_);
  cholmod_free_factor(&factor_, &common_);
}

void CholmodBaseline::analyse() {
  factor_ = cholmod_analyze(matrix_, &common_);
  require_ok("analysis");
}

void CholmodBaseline::factorise() {
  cholmod_factorize(matrix_, factor_, &common_);
  require_ok("factorisation");
}

const Matrix& CholmodBaseline::solve(const Matrix& line_volt) {
  const auto n = matrix_->nrow, vectors = static_cast<std::size_t>(line_volt.rows());
  if (!right_ || right_->ncol != vectors) {
    cholmod_free_dense(&right_, &common_);
    right_ = cholmod_zeros(n, vectors, CHOLMOD_REAL, &common_);
  }
  const Index lines = crossbar_.lines(), rows = crossbar_.rows(), cols = crossbar_.cols();
  using Columns = Eigen::Map<Eigen::MatrixXd>;
  Columns right(static_cast<double*>(right_->x), static_cast<Index>(n), line_volt.rows());
  for (Index v = 0; v < line_volt.rows(); ++v)
    for (Index l = 0; l < lines; ++l) right(l * cols, v) = head_siemens_ * line_volt(v, l);
  cholmod_solve2(CHOLMOD_A, factor_, right_, nullptr, &volt_, nullptr, &work_y_, &work_e_, &common_);
  require_ok("solve");
  const Columns volt(static_cast<double*>(volt_->x), static_cast<Index>(n), line_volt.rows());
  sense_ampere_.resize(line_volt.rows(), cols);
  for (Index v = 0; v < line_volt.rows(); ++v)
    for (Index j = 0; j < cols; ++j)
      sense_ampere_(v, j) = end_siemens_ * volt((lines + (crossbar_.tile.sensed_north(j) ? 0 : rows - 1)) * cols + j, v);
  return sense_ampere_;
}

std::string cholmod_version_text() {
  int version[3];
  cholmod_version(version);
  return std::to_string(version[0]) + "." + std::to_string(version[1]) + "." + std::to_string(version[2]);
}

}  // namespace crosstile::bench
