#include "circuit/sundials_vector_detail.hpp"

#include <algorithm>
#include <cmath>

namespace crosstile::circuit {

namespace {

using Map = Eigen::Map<Eigen::ArrayXd>;

Map view(N_Vector v) { return Map(NV_DATA_S(v), static_cast<Index>(NV_LENGTH_S(v))); }

void linear_sum(realtype a, N_Vector x, realtype b, N_Vector y, N_Vector z) { view(z) = a * view(x) + b * view(y); }
void fill(realtype c, N_Vector z) { view(z).setConstant(c); }
void scale(realtype c, N_Vector x, N_Vector z) { view(z) = c * view(x); }
void absolute(N_Vector x, N_Vector z) { view(z) = view(x).abs(); }
void inverse(N_Vector x, N_Vector z) { view(z) = view(x).inverse(); }
void add_constant(N_Vector x, realtype b, N_Vector z) { view(z) = view(x) + b; }
void product(N_Vector x, N_Vector y, N_Vector z) { view(z) = view(x) * view(y); }
realtype smallest(N_Vector x) { return view(x).minCoeff(); }
realtype weighted_norm(N_Vector x, N_Vector w) {
  return std::sqrt((view(x) * view(w)).square().sum() / static_cast<double>(NV_LENGTH_S(x)));
}
realtype masked_norm(N_Vector x, N_Vector w, N_Vector id) {
  const auto kept = (view(id) > 0.0).select(view(x) * view(w), 0.0);
  return std::sqrt(kept.square().sum() / static_cast<double>(NV_LENGTH_S(x)));
}

// IDA calls what follows with its whole history of vectors: a cache-sized piece of all of them at a time.
constexpr Index kPiece = 1024;

// z = sum c_k X_k.
int linear_combination(int count, realtype* c, N_Vector* x, N_Vector z) {
  const Index size = static_cast<Index>(NV_LENGTH_S(z));
  for (Index begin = 0; begin < size; begin += kPiece) {
    const Index length = std::min(kPiece, size - begin);
    // The first term may be z itself; it is read before z is written.
    view(z).segment(begin, length) = c[0] * view(x[0]).segment(begin, length);
    for (int k = 1; k < count; ++k) view(z).segment(begin, length) += c[k] * view(x[k]).segment(begin, length);
  }
  return 0;
}

int scale_vectors(int count, realtype* c, N_Vector* x, N_Vector* z) {
  for (int k = 0; k < count; ++k) scale(c[k], x[k], z[k]);
  return 0;
}

// Z_k = a X_k + b Y_k, one k after another: Y_k may be the Z of the k before.
int linear_sum_vectors(int count, realtype a, N_Vector* x, realtype b, N_Vector* y, N_Vector* z) {
  const Index size = count > 0 ? static_cast<Index>(NV_LENGTH_S(z[0])) : 0;
  for (Index begin = 0; begin < size; begin += kPiece) {
    const Index length = std::min(kPiece, size - begin);
    for (int k = 0; k < count; ++k)
      view(z[k]).segment(begin, length) = a * view(x[k]).segment(begin, length) + b * view(y[k]).segment(begin, length);
  }
  return 0;
}

}  // namespace

N_Vector new_fast_vector(Index size, SUNContext context) {
  const N_Vector vector = N_VNew_Serial(size, context);
  if (vector == nullptr) return nullptr;
  auto* const ops = vector->ops;
  ops->nvlinearsum = linear_sum;
  ops->nvconst = fill;
  ops->nvscale = scale;
  ops->nvabs = absolute;
  ops->nvinv = inverse;
  ops->nvaddconst = add_constant;
  ops->nvprod = product;
  ops->nvmin = smallest;
  ops->nvwrmsnorm = weighted_norm;
  ops->nvwrmsnormmask = masked_norm;
  ops->nvlinearcombination = linear_combination;
  ops->nvscalevectorarray = scale_vectors;
  ops->nvlinearsumvectorarray = linear_sum_vectors;
  return vector;
}

}  // namespace crosstile::circuit
