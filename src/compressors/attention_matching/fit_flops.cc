// SPDX-License-Identifier: Apache-2.0
#include "compressors/attention_matching/fit_flops.h"

#include <algorithm>
#include <vector>

#include "compressors/attention_matching/fit_limits.h"
#include "compressors/divide.h"
#include "compressors/layer_plan.h"
#include "compressors/pass_flops.h"
#include "compressors/repeat_pass.h"

namespace precis {
namespace {

// Tokens whose queries one of the two passes contributes, at most.
int64_t most_tokens(const DecoderConfig& model) {
  return std::max<int64_t>(1, kMostQueries * model.num_kv_heads / model.num_heads);
}

// Tokens of the passes that repeat the text whose queries are used.
int64_t num_repeated(int64_t num_tokens, int64_t prompt, const DecoderConfig& model) {
  const int64_t chunk = repeat_chunk(num_tokens, prompt, model.context_length);
  const int64_t passes = (num_tokens + chunk - 1) / chunk;
  const int64_t all = num_tokens + passes * prompt;
  int64_t used = 0;
  for (int64_t first = 0; first < num_tokens; first += chunk) {
    const int64_t size = prompt + std::min(chunk, num_tokens - first);
    used += std::min(size, std::max<int64_t>(1, most_tokens(model) * size / all));
  }
  return used;
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

// tokens: those whose queries are used.
double fit_flops(const LayerPlan& plan, int64_t tokens, const DecoderConfig& model) {
  if (plan.count == 0) return 0;
  const auto d = static_cast<double>(model.head_dim);
  const int64_t m = model.num_heads / model.num_kv_heads * tokens;
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

double layer_flops(const SelectionCounts& counts,
                   const SelectionSizes& sizes,
                   int64_t window,
                   const DecoderConfig& model) {
  const LayerPlan plan = plan_layer(counts.read, counts.kept, counts.memory, window);
  int64_t tokens = std::min(plan.candidates.size, most_tokens(model));
  if (window == 0) tokens += num_repeated(counts.read, sizes.repeat_rows, model);
  return fit_flops(plan, tokens, model);
}

}  // namespace

double all_fits_flops(const SelectionCounts& counts,
                      const SelectionSizes& sizes,
                      const DecoderConfig& model) {
  const int64_t windowed = num_windowed(model), others = model.num_layers - windowed;
  double flops = 0;
  if (others > 0) flops += static_cast<double>(others) * layer_flops(counts, sizes, 0, model);
  if (windowed > 0)
    flops += static_cast<double>(windowed) * layer_flops(counts, sizes, model.window, model);
  return flops;
}

}  // namespace precis
