// SPDX-License-Identifier: Apache-2.0
#include "models/layer.h"

#include <ATen/ATen.h>

#include "base/check.h"

namespace precis::models {

RotaryTables rotary_tables(const LayerStack& stack, const at::Tensor& positions) {
  const DecoderConfig& config = stack.config;
  const ops::RotaryTable global =
      ops::rotary_table(stack.frequencies, positions, config.rope.attention_factor);
  if (!config.local_rope) return {global, global};
  return {
      global,
      ops::rotary_table(stack.local_frequencies, positions, config.local_rope->attention_factor)};
}

at::Tensor load_norm_weight(const Weights& weights,
                            std::string_view name,
                            int64_t size,
                            const DecoderConfig& config) {
  const at::Tensor weight = weights.take(concat(name, ".weight"), {size}, at::kFloat);
  return config.norm_weight_is_offset ? weight + 1.0 : weight;
}

DecoderLayer load_decoder_layer(const Weights& weights,
                                const DecoderConfig& config,
                                int64_t index) {
  const int64_t hidden = config.hidden_size;
  const int64_t q_size = config.num_heads * config.head_dim;
  const int64_t kv_size = config.num_kv_heads * config.head_dim;
  DecoderLayer layer;
  layer.index = index;
  layer.windowed = config.windowed[index];
  layer.attention_norm = load_norm_weight(weights, "input_layernorm", hidden, config);
  if (config.sandwich_norms) {
    layer.attention_out_norm =
        load_norm_weight(weights, "post_attention_layernorm", hidden, config);
    layer.mlp_norm = load_norm_weight(weights, "pre_feedforward_layernorm", hidden, config);
    layer.mlp_out_norm = load_norm_weight(weights, "post_feedforward_layernorm", hidden, config);
  } else {
    layer.mlp_norm = load_norm_weight(weights, "post_attention_layernorm", hidden, config);
  }
  const Weights attention = weights.scope("self_attn");
  if (config.qk_norm) {
    layer.q_norm = load_norm_weight(attention, "q_norm", config.head_dim, config);
    layer.k_norm = load_norm_weight(attention, "k_norm", config.head_dim, config);
  }
  const Linear q = load_linear(attention, "q_proj", {q_size, hidden, config.qkv_bias});
  const Linear k = load_linear(attention, "k_proj", {kv_size, hidden, config.qkv_bias});
  const Linear v = load_linear(attention, "v_proj", {kv_size, hidden, config.qkv_bias});
  layer.qkv = fuse({q.weight, k.weight, v.weight}, {q.bias, k.bias, v.bias});
  layer.output = load_linear(attention, "o_proj", {hidden, q_size, config.output_bias});
  const Weights mlp = weights.scope("mlp");
  const Linear gate = load_linear(mlp, "gate_proj", {config.ffn_size, hidden, config.mlp_bias});
  const Linear up = load_linear(mlp, "up_proj", {config.ffn_size, hidden, config.mlp_bias});
  layer.gate_up = fuse({gate.weight, up.weight}, {gate.bias, up.bias});
  layer.down = load_linear(mlp, "down_proj", {hidden, config.ffn_size, config.mlp_bias});
  return layer;
}

}  // namespace precis::models
