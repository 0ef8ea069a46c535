#include "tilemodel/fit_figures.hpp"

#include <algorithm>
#include <cmath>

#include "core/error.hpp"

namespace crosstile::tilemodel {

double quantile_of_abs(std::vector<double>& values, double q) {
  for (double& v : values) v = std::abs(v);
  std::sort(values.begin(), values.end());
  const double place = q * static_cast<double>(values.size() - 1);
  const auto low = static_cast<std::size_t>(place);
  const std::size_t high = std::min(low + 1, values.size() - 1);
  return values[low] + (place - static_cast<double>(low)) * (values[high] - values[low]);
}

double lsb_of(const data::ReferenceSet& set) {
  std::vector<double> all(set.charge_plus_coulomb.data(),
                          set.charge_plus_coulomb.data() + set.charge_plus_coulomb.size());
  const Matrix& minus = set.charge_minus_coulomb;
  all.insert(all.end(), minus.data(), minus.data() + minus.size());
  const double lsb = quantile_of_abs(all, 0.999) / 255.0;
  if (!(lsb > 0.0))
    throw Error(ErrorKind::bad_data, "reference set: all charges are zero; there is nothing to fit");
  return lsb;
}

ErrorFigures figures(const std::vector<ArrayData>& arrays, const std::vector<Index>& vectors,
                     double lsb_coulomb) {
  ErrorFigures out;
  if (vectors.empty()) return out;
  std::vector<Matrix> error;
  for (const ArrayData& array : arrays) error.push_back(array.base - array.reference);
  std::vector<double> all;
  double square = 0.0, difference_square = 0.0, output_square = 0.0;
  for (const Index v : vectors) {
    for (const Matrix& e : error) {
      all.insert(all.end(), e.row(v).begin(), e.row(v).end());
      square += e.row(v).squaredNorm();
    }
    const bool pair = arrays.size() == 2;
    difference_square +=
        pair ? (error[0].row(v) - error[1].row(v)).squaredNorm() : error[0].row(v).squaredNorm();
    output_square += pair ? (arrays[0].reference.row(v) - arrays[1].reference.row(v)).squaredNorm()
                          : arrays[0].reference.row(v).squaredNorm();
  }
  out.samples = static_cast<Index>(all.size());
  out.rms_lsb = std::sqrt(square / static_cast<double>(out.samples)) / lsb_coulomb;
  out.rms_relative = output_square > 0.0 ? std::sqrt(difference_square / output_square) : 0.0;
  out.quantile_999_lsb = quantile_of_abs(all, 0.999) / lsb_coulomb;
  out.max_lsb = all.back() / lsb_coulomb;
  return out;
}

}  // namespace crosstile::tilemodel
