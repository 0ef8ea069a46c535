// Internal. Codes of a batch to the pulse lengths of the float32 closure.
#pragma once

#include <algorithm>

#include "tilemodel/closure_fast.hpp"
#include "tilemodel/pass_table.hpp"

namespace crosstile::tilemodel {

// Pulse lengths of one vector and pass, by position; false when there is no pulse.
template <typename PulseCode>
inline bool load_codes(ClosureFast::Input input, Index rows, const PulseCode& pulse_code) {
  // Plain locals and three short loops, so that the compiler makes vectors of them.
  std::uint16_t* __restrict codes = input.codes;
  float* __restrict lengths = input.lengths;
  const float first = input.first, per_first = input.per_first, per_width = input.per_width;
  unsigned all = 0;
  for (Index p = 0; p < rows; ++p) codes[p] = static_cast<std::uint16_t>(pulse_code(p));
  for (Index p = 0; p < rows; ++p) all |= codes[p];
  for (Index p = 0; p < rows; ++p) {
    const auto code = static_cast<float>(static_cast<int>(codes[p]));
    const float early = code * per_first, late = 1.0f + (code - first) * per_width;
    lengths[p] = late < early ? late : early;
  }
  return all != 0;
}

template <typename PulseLength>
inline bool load_lengths(ClosureFast::Input input, Index rows, const PulseLength& pulse_length) {
  bool any = false;
  for (Index p = 0; p < rows; ++p) {
    const auto length = static_cast<float>(pulse_length(p));
    any |= length > 0.0f;
    input.lengths[p] = input.place(length);
  }
  return any;
}

// Whether all pulse lengths of some vectors are codes.
template <typename Codes>
inline bool all_whole(const Codes& codes, Index first, Index count) {
  using Scalar = typename Codes::Scalar;
  const Scalar* from = codes.data() + first * codes.cols();
  int broken = 0;
  for (Index k = 0; k < count * codes.cols(); ++k)
    broken |= from[k] != static_cast<Scalar>(static_cast<int>(from[k])) ? 1 : 0;
  return broken == 0;
}

// One vector of codes or of pulse lengths, row 0 first. With input.codes all lengths have to be whole.
template <typename Code>
inline bool load_vector(const ClosureFast::Input& input, const Code* codes, Index rows, bool north,
                 const PassTable::Entry& pass, const PassTable& table) {
  const auto load = [&](const auto& pulse) {
    const Index last = rows - 1;
    if (input.codes)
      return north ? load_codes(input, rows, [=](Index p) { return static_cast<int>(pulse(last - p)); })
                   : load_codes(input, rows, [=](Index p) { return static_cast<int>(pulse(p)); });
    return north ? load_lengths(input, rows, [=](Index p) { return pulse(last - p); })
                 : load_lengths(input, rows, pulse);
  };
  if (!table.whole_codes())
    return load([codes, &pass, &table](Index row) { return pass.length(codes[row], table); });
  if (pass.weight > 0.0) return load([codes](Index row) { return std::max<Code>(codes[row], 0); });
  return load([codes](Index row) { return std::max<Code>(-codes[row], 0); });
}

// A pass of one sign has nothing to do where no code has it.
template <typename Codes>
inline bool has_sign(const Codes& codes, Index first, Index count, const PassTable::Entry& pass) {
  const auto block = codes.middleRows(first, count);
  return pass.weight > 0.0 ? block.maxCoeff() > 0 : block.minCoeff() < 0;
}

}  // namespace crosstile::tilemodel
