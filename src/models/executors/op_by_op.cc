// SPDX-License-Identifier: Apache-2.0
#include "models/executors/op_by_op.h"

#include <ATen/ATen.h>

#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "models/adapter.h"
#include "models/recompute.h"
#include "ops/attention.h"
#include "ops/gated_activation.h"
#include "ops/rms_norm.h"

namespace precis::models {
namespace {

// What all layers of one pass share.
struct Pass {
  const DecoderConfig& config;
  const DecoderInput& input;
  KvCache& cache;
  RotaryTables rotary;
  std::optional<ops::PackedSequences> packed;  // none: attention is not one call for all sequences
  const Adapter* adapter;
  at::Tensor adapted;  // tokens on which the adapter acts; undefined: all
  const LayerObserver* observer;
};

struct HeadTokens {
  at::Tensor q;  // [num_tokens, heads, head_dim]
  at::Tensor k;  // [num_tokens, kv_heads, head_dim]
  at::Tensor v;
};

bool are_distinct(const std::vector<int64_t>& sequences) {
  return std::set<int64_t>(sequences.begin(), sequences.end()).size() == sequences.size();
}

std::optional<ops::PackedSequences> packed_sequences(const DecoderInput& input,
                                                     const KvCache& cache) {
  const bool applies = !input.visible_cache_len.defined() &&
                       ops::attention_is_packed(input.embeddings) &&
                       are_distinct(input.cache_sequences);
  if (!applies) return std::nullopt;
  std::vector<int64_t> keys{0};
  for (size_t i = 0; i < input.cache_sequences.size(); ++i)
    keys.push_back(keys.back() + cache.length(input.cache_sequences[i]) + input.cu_seqlens[i + 1] -
                   input.cu_seqlens[i]);
  return ops::packed_sequences(input.cu_seqlens, keys, input.embeddings.device());
}

// x: [num_tokens, hidden], normed.
HeadTokens project(const DecoderLayer& layer, const at::Tensor& x, const Pass& pass) {
  const DecoderConfig& config = pass.config;
  const int64_t q_size = config.num_heads * config.head_dim;
  const int64_t kv_size = config.num_kv_heads * config.head_dim;
  // One split: its backward is then one concatenation.
  std::vector<at::Tensor> qkv = layer.qkv(x).split_with_sizes({q_size, kv_size, kv_size}, 1);
  if (pass.adapter != nullptr) {
    const AdapterLayer& lora = pass.adapter->layers[layer.index];
    qkv[0] = apply_lora(lora.query, x, pass.adapted, qkv[0]);
    qkv[1] = apply_lora(lora.key, x, pass.adapted, qkv[1]);
    qkv[2] = apply_lora(lora.value, x, pass.adapted, qkv[2]);
  }
  const auto heads = [&](const at::Tensor& projected) {
    return projected.unflatten(1, {projected.size(1) / config.head_dim, config.head_dim});
  };
  HeadTokens tokens{heads(qkv[0]), heads(qkv[1]), heads(qkv[2])};
  if (layer.q_norm.defined()) {
    tokens.q = ops::rms_norm(tokens.q, layer.q_norm, config.rms_norm_epsilon);
    tokens.k = ops::rms_norm(tokens.k, layer.k_norm, config.rms_norm_epsilon);
  }
  return tokens;
}

// Appends the tokens' keys and values to the cache. Returns a view of each sequence that includes
// them.
std::vector<KvView> append_to_cache(const DecoderLayer& layer,
                                    const HeadTokens& tokens,
                                    const Pass& pass) {
  const std::vector<int64_t>&starts = pass.input.cu_seqlens,
        &sequences = pass.input.cache_sequences;
  std::vector<int64_t> counts, lengths;
  for (size_t i = 0; i < sequences.size(); ++i) counts.push_back(starts[i + 1] - starts[i]);
  // One split each: its backward is then one concatenation.
  const auto k = tokens.k.split_with_sizes(counts, 0), v = tokens.v.split_with_sizes(counts, 0);
  for (size_t i = 0; i < sequences.size(); ++i) {
    pass.cache.append(layer.index, sequences[i], k[i].transpose(0, 1), v[i].transpose(0, 1));
    lengths.push_back(pass.cache.view(layer.index, sequences[i]).length);
  }
  std::vector<KvView> views;
  for (size_t i = 0; i < sequences.size(); ++i)
    views.push_back(pass.cache.view(layer.index, sequences[i], lengths[i]));
  return views;
}

// Concatenated heads, before the output projection: [num_tokens, heads * head_dim].
at::Tensor attend(const DecoderLayer& layer, const at::Tensor& x, const Pass& pass) {
  HeadTokens tokens = project(layer, x, pass);
  const at::Tensor unrotated = tokens.q;
  const ops::RotaryTable& table = pass.rotary.of(layer);
  tokens.q = ops::rotary(tokens.q, table);
  tokens.k = ops::rotary(tokens.k, table);
  const std::vector<KvView> views = append_to_cache(layer, tokens, pass);
  const at::Tensor attended =
      ops::attention({tokens.q,
                      tokens.k,
                      tokens.v,
                      pass.input.cu_seqlens,
                      views,
                      pass.packed ? &*pass.packed : nullptr,
                      pass.input.visible_cache_len},
                     {pass.config.attention_scale, layer.windowed ? pass.config.window : 0});
  if (pass.observer != nullptr) (*pass.observer)({layer.index, unrotated});
  return attended.flatten(1, 2);
}

at::Tensor feed_forward(const DecoderLayer& layer,
                        const at::Tensor& x,
                        const DecoderConfig& config) {
  const double epsilon = config.rms_norm_epsilon;
  const at::Tensor gated = ops::gated_activation(
      layer.gate_up(ops::rms_norm(x, layer.mlp_norm, epsilon)), config.activation);
  const at::Tensor out = layer.down(gated);
  return layer.mlp_out_norm.defined() ? ops::rms_norm(out, layer.mlp_out_norm, epsilon) : out;
}

// x: [num_tokens, hidden] -> the same shape, or [n, hidden] for the tokens at `outputs` [n] int64.
at::Tensor run_layer(const DecoderLayer& layer,
                     const at::Tensor& x,
                     const Pass& pass,
                     const at::Tensor& outputs) {
  const double epsilon = pass.config.rms_norm_epsilon;
  at::Tensor heads = attend(layer, ops::rms_norm(x, layer.attention_norm, epsilon), pass);
  at::Tensor residual = x;
  if (outputs.defined()) {
    heads = heads.index_select(0, outputs);
    residual = residual.index_select(0, outputs);
    if (outputs.numel() == 0) return residual;
  }
  at::Tensor attended = layer.output(heads);
  if (layer.attention_out_norm.defined())
    attended = ops::rms_norm(attended, layer.attention_out_norm, epsilon);
  const at::Tensor middle = residual + attended;
  if (!pass.input.recompute_activations) return middle + feed_forward(layer, middle, pass.config);
  // By reference: the decoder owns layers and configuration, which outlive the backward pass.
  return middle + recomputed(
                      [&layer, &config = pass.config](const at::Tensor& kept) {
                        return feed_forward(layer, kept, config);
                      },
                      middle);
}

}  // namespace

at::Tensor run_op_by_op(const LayerStack& stack,
                        const DecoderInput& input,
                        KvCache& cache,
                        const Adapter* adapter,
                        const LayerObserver* observer,
                        PassThreads& threads) {
  const Pass pass{stack.config,
                  input,
                  cache,
                  rotary_tables(stack, input.positions),
                  packed_sequences(input, cache),
                  adapter,
                  adapter != nullptr ? adapted_rows(input) : at::Tensor(),
                  observer};
  at::Tensor x = input.embeddings;
  for (const DecoderLayer& layer : stack.layers) {
    const bool last = layer.index + 1 == std::ssize(stack.layers);
    x = run_layer(layer, x, pass, last ? input.output_indices : at::Tensor());
    threads.adapt();
  }
  return ops::rms_norm(x, stack.final_norm, stack.config.rms_norm_epsilon);
}

}  // namespace precis::models
