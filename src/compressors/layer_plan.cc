// SPDX-License-Identifier: Apache-2.0
#include "compressors/layer_plan.h"

#include <ATen/ATen.h>

#include "ops/rotary.h"

namespace precis {

LayerPlan plan_layer(int64_t num_tokens, int64_t num_kept, int64_t count, int64_t window) {
  if (window == 0 || num_tokens < window)
    return {{0, num_kept}, {num_kept, num_tokens - num_kept}, count - num_kept};
  const int64_t visible = window - 1;  // text tokens that the token after the text attends to
  if (count >= visible) return {{num_tokens - count, count}, {num_tokens, 0}, 0};
  const int64_t first = num_tokens - visible;
  return {{first, num_kept}, {first + num_kept, visible - num_kept}, count - num_kept};
}

LayerPlan plan_layer(const SelectionRequest& request, const DecoderConfig& config, int64_t layer) {
  return plan_layer(std::ssize(request.ids),
                    request.num_kept,
                    request.count,
                    config.windowed[layer] ? config.window : 0);
}

at::Tensor rotated_queries(const ObservedLayer& layer,
                           const at::Tensor& rows,
                           const at::Tensor& positions,
                           const DecoderConfig& config) {
  const bool local = config.windowed[layer.index] && config.local_rope;
  const RopeConfig& rope = local ? *config.local_rope : config.rope;
  const at::Tensor frequencies =
      ops::rotary_frequencies(rope, config.head_dim).to(layer.queries.device());
  const at::Tensor queries = layer.queries.index_select(0, rows).to(at::kFloat);
  return ops::rotary(queries, ops::rotary_table(frequencies, positions, rope.attention_factor))
      .mul(config.attention_scale)
      .unflatten(1, {config.num_kv_heads, config.num_heads / config.num_kv_heads})
      .permute({1, 2, 0, 3})
      .contiguous();
}

}  // namespace precis
