// SPDX-License-Identifier: Apache-2.0
// Forward selection. A Cholesky factorisation, which grows by a column a step, keeps columns
// orthogonal to the chosen ones. All inner loops run over columns, so that they vectorise.
#include "kernels/cpu/forward_selection.h"

#include <algorithm>
#include <cmath>

namespace precis::kernels {
namespace {

constexpr float kNoGain = -1.0f;  // below the gain of any column

// The column that reduces the squared error most. residual: [columns] squared lengths of the
// columns' components orthogonal to the chosen ones; 0: chosen.
[[gnu::target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")]] int64_t best_column(
    const float* gains, const float* residual, int64_t columns) {
  int64_t best = 0;
  float largest = kNoGain;
  for (int64_t j = 0; j < columns; ++j) {
    if (residual[j] <= 0) continue;  // chosen
    const float gain = gains[j] / residual[j];
    if (gain > largest) {
      largest = gain;
      best = j;
    }
  }
  return best;
}

// factors[count] = the new column of the Cholesky factor, [columns].
[[gnu::target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")]] void add_factor(
    const ForwardSelectionArguments& a, float* factors, int64_t count, int64_t best, float length) {
  const int64_t n = a.columns;
  float* own = factors + count * n;
  const float* gram = a.gram + best * n;
  for (int64_t j = 0; j < n; ++j) own[j] = gram[j];
  own[best] += a.ridge;
  for (int64_t i = 0; i < count; ++i) {
    const float* earlier = factors + i * n;
    const float weight = earlier[best];
    for (int64_t j = 0; j < n; ++j) own[j] -= weight * earlier[j];
  }
  const float scale = 1 / length;
  for (int64_t j = 0; j < n; ++j) own[j] *= scale;
}

// Subtracts the component along the chosen column from the products; gains: sums of the squares of
// what remains.
[[gnu::target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")]] void explain(
    const ForwardSelectionArguments& a,
    const float* factor,
    int64_t best,
    float length,
    float* gains) {
  const int64_t n = a.columns;
  for (int64_t j = 0; j < n; ++j) gains[j] = 0;
  for (int64_t target = 0; target < a.targets; ++target) {
    float* products = a.products + target * n;
    const float explained = products[best] / length;
    for (int64_t j = 0; j < n; ++j) {
      const float rest = products[j] - explained * factor[j];
      products[j] = rest;
      gains[j] += rest * rest;
    }
  }
}

}  // namespace

void forward_selection(const ForwardSelectionArguments& a) {
  const int64_t n = a.columns;
  float *residual = a.scratch, *gains = residual + n, *factors = gains + n;
  std::fill(gains, gains + n, 0.0f);
  for (int64_t j = 0; j < n; ++j) residual[j] = a.gram[j * n + j] + a.ridge;
  for (int64_t target = 0; target < a.targets; ++target)
    for (int64_t j = 0; j < n; ++j)
      gains[j] += a.products[target * n + j] * a.products[target * n + j];
  for (int64_t step = 0; step < a.count; ++step) {
    const int64_t best = best_column(gains, residual, n);
    const float length = std::sqrt(residual[best]);
    a.chosen[step] = best;
    add_factor(a, factors, step, best, length);
    const float* factor = factors + step * n;
    explain(a, factor, best, length, gains);
    for (int64_t j = 0; j < n; ++j)
      if (residual[j] > 0) residual[j] = std::max(residual[j] - factor[j] * factor[j], a.ridge);
    residual[best] = 0;
  }
  std::sort(a.chosen, a.chosen + a.count);
}

}  // namespace precis::kernels
