// SPDX-License-Identifier: Apache-2.0
#include "compressors/layer_plan.h"

#include <ATen/ATen.h>

#include "ops/rotary.h"

namespace precis {

LayerPlan plan_layer(const SelectionRequest& request, const DecoderConfig& config, int64_t layer) {
  const int64_t num_rows = std::ssize(request.ids), kept = request.num_kept;
  const bool all_seen = !config.windowed[layer] || num_rows < config.window;
  if (all_seen) return {{0, kept}, {kept, num_rows - kept}, request.count - kept};
  const int64_t seen = config.window - 1;  // by the row that follows the text
  if (request.count >= seen) return {{num_rows - request.count, request.count}, {num_rows, 0}, 0};
  const int64_t first = num_rows - seen;
  return {{first, kept}, {first + kept, seen - kept}, request.count - kept};
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
