// SPDX-License-Identifier: Apache-2.0
#include "models/layer.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <map>
#include <utility>

#include "base/check.h"
#include "models/adapter.h"
#include "models/recompute.h"
#include "ops/attention.h"
#include "ops/decode_attention.h"
#include "ops/gated_activation.h"
#include "ops/rms_norm.h"

namespace precis::models {
namespace {

struct HeadRows {
  at::Tensor q;  // [num_tokens, heads, head_dim]
  at::Tensor k;  // [num_tokens, kv_heads, head_dim]
  at::Tensor v;
};

// `qkv`: fused rows of queries, keys and values of x.
HeadRows split_heads(const at::Tensor& qkv,
                     const at::Tensor& x,
                     int64_t layer,
                     const DecoderPass& pass) {
  const DecoderConfig& config = pass.config;
  const int64_t q_size = config.num_heads * config.head_dim;
  const int64_t kv_size = config.num_kv_heads * config.head_dim;
  // One split, so that its backward pass is one concatenation.
  std::vector<at::Tensor> parts = qkv.split_with_sizes({q_size, kv_size, kv_size}, 1);
  if (pass.adapter != nullptr) {
    const AdapterLayer& change = pass.adapter->layers[layer];
    parts[0] = apply_lora(change.query, x, pass.adapted, parts[0]);
    parts[1] = apply_lora(change.key, x, pass.adapted, parts[1]);
    parts[2] = apply_lora(change.value, x, pass.adapted, parts[2]);
  }
  const auto heads = [&](const at::Tensor& part) {
    return part.unflatten(1, {part.size(1) / config.head_dim, config.head_dim});
  };
  return {heads(parts[0]), heads(parts[1]), heads(parts[2])};
}

// Length of every sequence where all are equally long and none continues cached rows; else 0.
int64_t uniform_fresh_length(const DecoderPass& pass) {
  const auto& starts = pass.input.cu_seqlens;
  const int64_t length = starts[1] - starts[0];
  for (size_t i = 0; i + 1 < starts.size(); ++i) {
    if (starts[i + 1] - starts[i] != length) return 0;
    if (pass.cache.length(pass.input.cache_sequences[i]) != 0) return 0;
  }
  return length;
}

// All sequences in one product. [num_tokens, heads * head_dim]
at::Tensor attend_uniform(const HeadRows& rows,
                          int64_t length,
                          int64_t layer,
                          const DecoderPass& pass,
                          const ops::AttentionOptions& options) {
  const auto batch = [&](const at::Tensor& x) {
    return x.unflatten(0, {-1, length}).transpose(1, 2);
  };
  const at::Tensor k = batch(rows.k), v = batch(rows.v);
  for (int64_t i = 0; i < k.size(0); ++i) {
    pass.cache.append(layer, pass.input.cache_sequences[i], k[i], v[i]);
  }
  return ops::attention(batch(rows.q), k, v, options).transpose(1, 2).flatten(0, 1).flatten(1, 2);
}

// All sequences in one call, whatever their lengths and what they have cached. [num_tokens, heads *
// head_dim]
at::Tensor attend_packed(const HeadRows& rows,
                         int64_t layer,
                         const DecoderPass& pass,
                         const ops::AttentionOptions& options) {
  const auto& starts = pass.input.cu_seqlens;
  std::vector<at::Tensor> keys, values;
  for (size_t i = 0; i + 1 < starts.size(); ++i) {
    const auto own = [&](const at::Tensor& x) {
      return x.narrow(0, starts[i], starts[i + 1] - starts[i]).transpose(0, 1);
    };
    const auto [k, v] =
        pass.cache.append(layer, pass.input.cache_sequences[i], own(rows.k), own(rows.v));
    keys.push_back(k.transpose(0, 1));
    values.push_back(v.transpose(0, 1));
  }
  const bool fresh = pass.packed->keys == pass.packed->queries;
  return ops::packed_attention(rows.q,
                               fresh ? rows.k : at::cat(keys, 0),
                               fresh ? rows.v : at::cat(values, 0),
                               *pass.packed,
                               options)
      .flatten(1, 2);
}

// One row of every sequence. [num_tokens, heads * head_dim]
at::Tensor attend_decode(const HeadRows& rows,
                         int64_t layer,
                         const DecoderPass& pass,
                         const ops::AttentionOptions& options) {
  std::vector<ops::CachedKeysValues> cached;
  // One split each, so that its backward pass is one concatenation.
  const auto own_k = rows.k.split(1, 0), own_v = rows.v.split(1, 0);
  for (size_t i = 0; i < own_k.size(); ++i) {
    const auto [k, v] = pass.cache.append(
        layer, pass.input.cache_sequences[i], own_k[i].transpose(0, 1), own_v[i].transpose(0, 1));
    cached.push_back({k, v});
  }
  return ops::decode_attention(rows.q, cached, options).flatten(1, 2);
}

// Sequences that go through attention together, as numbers of sequences: equally many rows over
// equally many keys, where that takes no copy of keys that a cache holds.
std::vector<std::vector<size_t>> alike(const std::vector<int64_t>& lengths,
                                       const DecoderPass& pass) {
  std::map<std::pair<int64_t, int64_t>, std::vector<size_t>> groups;
  std::vector<std::vector<size_t>> all;
  for (size_t i = 0; i < lengths.size(); ++i) {
    const int64_t cached = pass.cache.length(pass.input.cache_sequences[i]);
    const bool alone =
        pass.input.visible_cache_len.defined() || (cached > 0 && !c10::GradMode::is_enabled());
    if (alone)
      all.push_back({i});
    else
      groups[{lengths[i], cached}].push_back(i);
  }
  for (auto& [key, group] : groups) all.push_back(std::move(group));
  return all;
}

// Sequences of any lengths behind any caches. [num_tokens, heads * head_dim]
at::Tensor attend_each(const HeadRows& rows,
                       int64_t layer,
                       const DecoderPass& pass,
                       const ops::AttentionOptions& options) {
  const auto& starts = pass.input.cu_seqlens;
  std::vector<int64_t> lengths;
  for (size_t i = 0; i + 1 < starts.size(); ++i) lengths.push_back(starts[i + 1] - starts[i]);
  // One split each, so that its backward pass is one concatenation.
  const auto own_q = rows.q.split_with_sizes(lengths, 0);
  const auto own_k = rows.k.split_with_sizes(lengths, 0);
  const auto own_v = rows.v.split_with_sizes(lengths, 0);
  const auto heads_first = [](const at::Tensor& x) { return x.transpose(0, 1); };
  const auto together = [](const std::vector<at::Tensor>& one_each) {
    return one_each.size() == 1 ? one_each[0].unsqueeze(0) : at::stack(one_each, 0);
  };
  std::vector<at::Tensor> outputs(lengths.size());
  for (const std::vector<size_t>& group : alike(lengths, pass)) {
    std::vector<at::Tensor> q, k, v;
    for (const size_t i : group) {
      const auto [keys, values] = pass.cache.append(
          layer, pass.input.cache_sequences[i], heads_first(own_k[i]), heads_first(own_v[i]));
      q.push_back(heads_first(own_q[i]));
      k.push_back(keys);
      v.push_back(values);
    }
    const at::Tensor& all_seen = pass.input.visible_cache_len;
    const at::Tensor seen =
        all_seen.defined() ? all_seen.narrow(0, starts[group[0]], lengths[group[0]]) : at::Tensor();
    const at::Tensor attended = ops::attention(together(q), together(k), together(v), options, seen)
                                    .transpose(1, 2)
                                    .flatten(2, 3);
    // One unbinding, so that its backward pass is one stack.
    const std::vector<at::Tensor> own = attended.unbind(0);
    for (size_t i = 0; i < group.size(); ++i) outputs[group[i]] = own[i];
  }
  return outputs.size() == 1 ? outputs[0] : at::cat(outputs, 0);
}

// Picks the attention for the pass's sequences. [num_tokens, heads * head_dim]
at::Tensor attend_rows(const HeadRows& rows, int64_t layer, const DecoderPass& pass) {
  const DecoderConfig& config = pass.config;
  const ops::AttentionOptions options{config.attention_scale,
                                      config.windowed[layer] ? config.window : 0};
  // As many rows as sequences, none of which is empty (check_input): one each.
  const int64_t sequences = std::ssize(pass.input.cache_sequences);
  if (pass.input.visible_cache_len.defined()) return attend_each(rows, layer, pass, options);
  if (pass.packed != nullptr) return attend_packed(rows, layer, pass, options);
  if (rows.q.size(0) == sequences) return attend_decode(rows, layer, pass, options);
  const int64_t length = sequences > 1 ? uniform_fresh_length(pass) : 0;
  return length > 0 ? attend_uniform(rows, length, layer, pass, options)
                    : attend_each(rows, layer, pass, options);
}

}  // namespace

// What the heads gather, before the product that joins them. [num_tokens, heads * head_dim]
at::Tensor DecoderLayer::attend(const at::Tensor& x, const DecoderPass& pass) const {
  const DecoderConfig& config = pass.config;
  HeadRows rows = split_heads(qkv(x), x, index, pass);
  if (q_norm.defined()) {
    rows.q = ops::rms_norm(rows.q, q_norm, config.rms_norm_epsilon);
    rows.k = ops::rms_norm(rows.k, k_norm, config.rms_norm_epsilon);
  }
  const at::Tensor unrotated = rows.q;
  const ops::RotaryTable& table = config.windowed[index] ? pass.local_rotary : pass.rotary;
  rows.q = ops::rotary(rows.q, table);
  rows.k = ops::rotary(rows.k, table);
  at::Tensor gathered = attend_rows(rows, index, pass);
  if (pass.observer != nullptr) (*pass.observer)({index, unrotated});
  return gathered;
}

at::Tensor DecoderLayer::forward(const at::Tensor& x,
                                 const DecoderPass& pass,
                                 const at::Tensor& wanted) const {
  const double epsilon = pass.config.rms_norm_epsilon;
  at::Tensor gathered = attend(ops::rms_norm(x, attention_norm, epsilon), pass);
  at::Tensor rows = x;
  if (wanted.defined()) {
    gathered = gathered.index_select(0, wanted);
    rows = rows.index_select(0, wanted);
    if (wanted.numel() == 0) return rows;
  }
  at::Tensor attended = output(gathered);
  if (attention_out_norm.defined()) attended = ops::rms_norm(attended, attention_out_norm, epsilon);
  const at::Tensor middle = rows + attended;
  if (!RecomputeActivations::is_wanted()) return middle + feed_forward(middle, pass.config);
  // The backward pass and layers may both outlive the pass: the configuration is the decoder's own.
  return middle + recomputed([this, &config = pass.config](
                                 const at::Tensor& kept) { return feed_forward(kept, config); },
                             middle);
}

at::Tensor DecoderLayer::feed_forward(const at::Tensor& x, const DecoderConfig& config) const {
  const double epsilon = config.rms_norm_epsilon;
  const at::Tensor gated =
      ops::gated_activation(gate_up(ops::rms_norm(x, mlp_norm, epsilon)), config.activation);
  const at::Tensor fed = down(gated);
  return mlp_out_norm.defined() ? ops::rms_norm(fed, mlp_out_norm, epsilon) : fed;
}

ops::StepModel step_model(const std::vector<DecoderLayer>& layers,
                          const at::Tensor& final_norm,
                          const DecoderConfig& config) {
  const auto linear = [](const Linear& own) {
    const bool wide = own.bias.defined() && own.bias.is_cpu();
    const at::Tensor bias = wide ? own.bias.to(at::kFloat).contiguous() : own.bias;
    return ops::StepLinear{own.weight, own.quantized, bias};
  };
  ops::StepModel model{config, {}, final_norm};
  for (const DecoderLayer& layer : layers) {
    model.layers.push_back({layer.attention_norm,
                            layer.attention_out_norm,
                            layer.mlp_norm,
                            layer.mlp_out_norm,
                            layer.q_norm,
                            layer.k_norm,
                            linear(layer.qkv),
                            linear(layer.output),
                            linear(layer.gate_up),
                            linear(layer.down),
                            config.windowed[layer.index]});
  }
  return model;
}

namespace {

at::Tensor contiguous_step(const ops::StepModel& model,
                           const DecoderPass& pass,
                           const std::vector<int64_t>& lengths) {
  const std::vector<int64_t>& sequences = pass.input.cache_sequences;
  ops::StepInput input{pass.input.embeddings, pass.rotary, pass.local_rotary, {}};
  for (int64_t layer = 0; layer < std::ssize(model.layers); ++layer) {
    for (size_t i = 0; i < sequences.size(); ++i) {
      const auto [keys, values] = pass.cache.buffers(layer, sequences[i]);
      input.cached.push_back({keys, values, lengths[i]});
    }
  }
  return ops::decode_step(model, input);
}

// Counts a row more of each of the input's sequences, which read(lengths before) then writes.
template <typename Read>
at::Tensor with_new_rows(const DecoderInput& input,
                         KvCache& cache,
                         const DecoderConfig& config,
                         const Read& read) {
  const std::vector<int64_t>& sequences = input.cache_sequences;
  PRECIS_CHECK(cache.shape() == config.kv_shape(),
               kInvalidArgument,
               "decoder: the cache is one of ",
               cache.shape().num_layers,
               " layers, ",
               cache.shape().num_kv_heads,
               " heads of ",
               cache.shape().head_dim,
               ", not of this model");
  std::vector<int64_t> lengths;
  for (const int64_t sequence : sequences) lengths.push_back(cache.length(sequence));
  try {
    for (const int64_t sequence : sequences) cache.extend(sequence, 1);
    return read(lengths);
  } catch (...) {  // rows that were never written are not held
    for (size_t i = 0; i < sequences.size(); ++i) cache.truncate(sequences[i], lengths[i]);
    throw;
  }
}

}  // namespace

at::Tensor decode_step(const ops::StepModel& model, const DecoderPass& pass) {
  return with_new_rows(
      pass.input, pass.cache, pass.config, [&](const std::vector<int64_t>& lengths) {
        return contiguous_step(model, pass, lengths);
      });
}

at::Tensor decode_step(const PagedSteps& steps, const DecoderInput& input, KvCache& cache) {
  return with_new_rows(input, cache, steps.config(), [&](const std::vector<int64_t>& lengths) {
    return steps.run(input, cache, lengths);
  });
}

at::Tensor load_norm_weight(const Weights& weights,
                            std::string_view name,
                            int64_t size,
                            const DecoderConfig& config) {
  const at::Tensor gain = weights.take(concat(name, ".weight"), {size}, at::kFloat);
  return config.norm_weight_is_offset ? gain + 1.0 : gain;
}

DecoderLayer load_decoder_layer(const Weights& weights,
                                const DecoderConfig& config,
                                int64_t index) {
  const int64_t hidden = config.hidden_size;
  const int64_t q_size = config.num_heads * config.head_dim;
  const int64_t kv_size = config.num_kv_heads * config.head_dim;
  DecoderLayer layer;
  layer.index = index;
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
