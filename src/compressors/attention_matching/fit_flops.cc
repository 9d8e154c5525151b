// SPDX-License-Identifier: Apache-2.0
#include "compressors/attention_matching/fit_flops.h"

#include <algorithm>
#include <vector>

#include "compressors/attention_matching/fit_limits.h"
#include "compressors/divide.h"
#include "compressors/layer_plan.h"
#include "compressors/pass_flops.h"

namespace precis {
namespace {

// Reference queries of a key/value head.
int64_t num_queries(int64_t candidates, const DecoderConfig& model) {
  const int64_t group = model.num_heads / model.num_kv_heads;
  return group * std::min(candidates, std::max<int64_t>(1, kMostQueries / group));
}

// Normal equations of `columns` unknowns and `m` equations: the Gram matrix, and the products with
// `targets` right-hand sides.
double normal_flops(double m, double columns, double targets) {
  return 2 * m * columns * columns + 2 * m * columns * targets;
}

// selected() for one head, without the forward selection itself, which is no matrix product.
double selected_flops(int64_t num_queries, double d, int64_t num_tokens, int64_t kept) {
  const int64_t candidates = std::min(num_tokens, kCandidates * kept);
  const int64_t step = std::max<int64_t>(1, num_queries / std::max(kSelectionQueries, candidates));
  const auto sampled = static_cast<double>((num_queries - step / 2 - 1) / step + 1);
  const auto columns = static_cast<double>(candidates);
  const double scores = 2 * sampled * columns * d;
  return scores + normal_flops(sampled, columns, d + 1);  // right-hand sides: output; mass
}

// fit_rows() of one head, which keeps `kept` of `num_tokens` tokens of width `d`.
double block_flops(int64_t num_queries, double d, int64_t num_tokens, int64_t kept) {
  const auto m = static_cast<double>(num_queries);
  const auto n = static_cast<double>(num_tokens), t = static_cast<double>(kept);
  const double whole = 2 * m * n * d + 2 * m * n * d + 2 * m * n;  // scores; output; importance
  const double selection = selected_flops(num_queries, d, num_tokens, kept);
  const double bias = 2 * m * t * d + normal_flops(m, t, 1);  // scores; fit
  const double direction = normal_flops(m, d, 1);
  const double read = 2 * m * t * d + 2 * m * t * d;  // scores; attention.bmm(values)
  const double values = normal_flops(m, t, d);
  return whole + selection + bias + direction + read + values;
}

double fit_flops(const LayerPlan& plan, const DecoderConfig& model) {
  if (plan.count == 0) return 0;
  const auto d = static_cast<double>(model.head_dim);
  const int64_t m = num_queries(plan.candidates.size, model);
  const auto mass = [&](int64_t num_tokens) {
    return 2 * static_cast<double>(m) * static_cast<double>(num_tokens) * d;
  };
  const std::vector<TokenRange> blocks = divide(plan.candidates.size, kFitBlock);
  double flops = mass(plan.copied.size) + (blocks.size() > 1 ? mass(plan.candidates.size) : 0);
  for (const auto& [first, size] : blocks) {
    const int64_t kept = (first + size) * plan.count / plan.candidates.size -
                         first * plan.count / plan.candidates.size;
    if (kept > 0 && kept < size) flops += block_flops(m, d, size, kept);
  }
  return static_cast<double>(model.num_kv_heads) * flops;
}

double layer_flops(const SelectionCounts& counts, int64_t window, const DecoderConfig& model) {
  return fit_flops(plan_layer(counts.read, counts.kept, counts.memory, window), model);
}

}  // namespace

double all_fits_flops(const SelectionCounts& counts, const DecoderConfig& model) {
  const int64_t windowed = num_windowed(model), others = model.num_layers - windowed;
  double flops = 0;
  if (others > 0) flops += static_cast<double>(others) * layer_flops(counts, 0, model);
  if (windowed > 0)
    flops += static_cast<double>(windowed) * layer_flops(counts, model.window, model);
  return flops;
}

}  // namespace precis
