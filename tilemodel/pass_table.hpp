// Internal. What each electrical pass carries of a pulse code, tabulated once per tile from
// data::make_passes.
#pragma once

#include <vector>

#include "core/types.hpp"
#include "data/tile.hpp"

namespace crosstile::tilemodel {

class PassTable {
 public:
  explicit PassTable(const data::TileSpec& tile);

  struct Entry {
    double weight = 1.0;    // of the pass in the product's charge
    int longest_code = 0;   // slots of the window; the largest code is one less
    std::vector<int> part;  // by code + max_code
  };
  const std::vector<Entry>& passes() const { return passes_; }
  int max_code() const { return max_code_; }
  // Rows are driven with the sign of their code within one window.
  bool signed_drive() const { return signed_drive_; }

 private:
  int max_code_;
  bool signed_drive_;
  std::vector<Entry> passes_;
};

}  // namespace crosstile::tilemodel
