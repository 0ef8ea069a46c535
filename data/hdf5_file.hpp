// Small HDF5 files with the project's guarantees: written atomically, chunked, fletcher32 checksums, libver v110, fixed-length
// strings, every call checked; a content hash in the 512-byte user block, verified before HDF5 opens the file.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "core/types.hpp"

namespace crosstile::data {

/// Collects named data sets and writes them at once. Names may contain '/' (groups are created).
class Hdf5Writer {
 public:
  /// kind: "reference-set", "tile-model", ...; version of that format.
  Hdf5Writer(std::string kind, int version);
  ~Hdf5Writer();
  Hdf5Writer(Hdf5Writer&&) noexcept;

  void matrix(const std::string& name, const Matrix& value, const std::string& unit);
  void matrices(const std::string& name, const std::vector<Matrix>& value, const std::string& unit);  ///< 3-D, equal shapes
  void vector(const std::string& name, const Vector& value, const std::string& unit);
  void integers(const std::string& name, const IntMatrix& value, const std::string& unit);
  void text(const std::string& name, const std::string& value);  ///< attribute of the root group
  void number(const std::string& name, double value);            ///< attribute of the root group
  /// Atomic. Errors: io.
  void write(const std::filesystem::path& path) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Errors of every function: bad_data naming file and data set (missing, wrong rank, wrong type, not finite).
class Hdf5Reader {
 public:
  /// Verifies hash, kind, version <= max_version, and `complete`. Errors: io, bad_data.
  Hdf5Reader(const std::filesystem::path& path, const std::string& kind, int max_version);
  ~Hdf5Reader();
  Hdf5Reader(Hdf5Reader&&) noexcept;

  bool has(const std::string& name) const;
  Matrix matrix(const std::string& name) const;
  std::vector<Matrix> matrices(const std::string& name) const;
  Vector vector(const std::string& name) const;
  IntMatrix integers(const std::string& name) const;
  std::string text(const std::string& name) const;
  double number(const std::string& name) const;
  int version() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// A matrix from any HDF5 file (one not made by us has no hash to check): its only 2-D data set, or the one named.
Matrix read_hdf5_matrix(const std::filesystem::path& path, const std::string& name = {});

}  // namespace crosstile::data
