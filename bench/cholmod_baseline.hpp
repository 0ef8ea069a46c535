// The direct solver to beat: nodal analysis of the whole network by CHOLMOD, supernodal, AMD order, with OpenBLAS on one thread.
// Assembly of the matrix is not timed, in favour of the baseline.
#pragma once

#include <cholmod.h>

#include <string>

#include "circuit/circuit.hpp"

namespace crosstile::bench {

class CholmodBaseline {
 public:
  /// Assembles the network with all lines conducting. Errors: usage unless wires and senses have resistance and cells are ohmic.
  explicit CholmodBaseline(const circuit::Crossbar& crossbar);
  ~CholmodBaseline();
  CholmodBaseline(const CholmodBaseline&) = delete;
  CholmodBaseline& operator=(const CholmodBaseline&) = delete;

  /// Frees everything but the matrix.
  void reset();
  void analyse();
  void factorise();
  /// line_volt: vectors x lines; all vectors go through the triangular solves together. Returns sense currents, vectors x cols.
  const Matrix& solve(const Matrix& line_volt);
  /// Largest memory so far by CHOLMOD's own account: matrix, analysis, factor, right-hand sides and work space.
  double peak_bytes() const { return static_cast<double>(common_.memory_usage); }

 private:
  void assemble();
  void require_ok(const char* step) const;

  circuit::Crossbar crossbar_;
  double head_siemens_, end_siemens_;
  cholmod_common common_;
  cholmod_sparse* matrix_ = nullptr;
  cholmod_factor* factor_ = nullptr;
  cholmod_dense *right_ = nullptr, *volt_ = nullptr, *work_y_ = nullptr, *work_e_ = nullptr;
  Matrix sense_ampere_;
};

/// "3.0.14".
std::string cholmod_version_text();

}  // namespace crosstile::bench
