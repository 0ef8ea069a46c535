#include "tilemodel/pass_table.hpp"

#include <algorithm>
#include <cmath>

#include "data/pulse.hpp"

namespace crosstile::tilemodel {

PassTable::PassTable(const data::TileSpec& tile)
    : max_code_(data::max_code(tile.pulse.dac_bits)),
      signed_drive_(tile.drive == data::Drive::bipolar || tile.pulse.sign == data::SignMode::bipolar) {
  for (int code = -max_code_; code <= max_code_; ++code) {
    for (const data::Pass& pass : data::make_passes(IntVector::Constant(1, code), tile)) {
      // The weight tells passes apart: +-2^s for the group of bits that begins at s.
      auto entry = std::find_if(passes_.begin(), passes_.end(),
                                [&](const Entry& e) { return e.weight == pass.weight; });
      if (entry == passes_.end()) {
        passes_.push_back({pass.weight, pass.longest_code,
                           std::vector<int>(static_cast<std::size_t>(2 * max_code_ + 1), 0)});
        entry = std::prev(passes_.end());
      }
      entry->part[static_cast<std::size_t>(code + max_code_)] = pass.codes[0];
    }
  }
  whole_codes_ = std::all_of(passes_.begin(), passes_.end(),
                             [](const Entry& e) { return std::abs(e.weight) == 1.0; });
}

double PassTable::Entry::length(double code, const PassTable& table) const {
  if (!table.whole_codes()) return length(static_cast<int>(code), table);
  if (table.signed_drive()) return code;
  return std::max(0.0, weight > 0.0 ? code : -code);
}

}  // namespace crosstile::tilemodel
