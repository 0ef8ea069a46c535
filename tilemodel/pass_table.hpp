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

    // Pulse length of this pass for a signed pulse length; whole codes, or any where one pass holds a whole code.
    double length(int code, const PassTable& table) const {
      return part[static_cast<std::size_t>(code + table.max_code())];
    }
    double length(double code, const PassTable& table) const;
    // Its derivative by a code of its sign, and at code 0: the mean of both sides, to go with the derivative of a growing
    // pulse, or (rising_zero) the whole of the positive side.
    struct Slope {
      double along, at_zero;
      double positive;  // sign of the codes that have it; 0: both
      double operator()(double code) const {
        return positive * code > 0.0 || positive == 0.0 ? along : code == 0.0 ? at_zero : 0.0;
      }
    };
    Slope slope(const PassTable& table, bool rising_zero) const;
  };
  const std::vector<Entry>& passes() const { return passes_; }
  int max_code() const { return max_code_; }
  // Rows are driven with the sign of their code within one window.
  bool signed_drive() const { return signed_drive_; }
  // One pass holds all bits of a code of its sign.
  bool whole_codes() const { return whole_codes_; }

 private:
  int max_code_;
  bool signed_drive_;
  bool whole_codes_ = false;
  std::vector<Entry> passes_;
};

inline PassTable::Entry::Slope PassTable::Entry::slope(const PassTable& table, bool rising_zero) const {
  const double share = static_cast<double>(longest_code - 1) / table.max_code();
  if (table.signed_drive()) return {share, share, 0.0};
  const double sign = weight > 0.0 ? 1.0 : -1.0;
  return {sign * share, rising_zero ? 0.5 * (sign + 1.0) * share : 0.5 * sign * share, sign};
}

}  // namespace crosstile::tilemodel
