// SPDX-License-Identifier: Apache-2.0
#include "compressors/ic_former/digest_encoder.h"

#include <ATen/ATen.h>

#include <cmath>
#include <utility>

#include "compressors/ic_former/digest_positions.h"
#include "ops/dense_attention.h"
#include "ops/gated_activation.h"
#include "ops/rms_norm.h"

namespace precis::ic_former {
namespace {

// Runs of consecutive texts of equal length: numbers of texts, queries and keys of each run.
struct Runs {
  std::vector<int64_t> texts;
  std::vector<int64_t> queries;
  std::vector<int64_t> keys;
};

Runs runs_of_equal_lengths(std::span<const int64_t> lengths, int64_t num_digests) {
  Runs runs;
  for (size_t first = 0, last = 0; first < lengths.size(); first = last) {
    while (last < lengths.size() && lengths[last] == lengths[first]) ++last;
    const auto texts = static_cast<int64_t>(last - first);
    runs.texts.push_back(texts);
    runs.queries.push_back(texts * num_digests);
    runs.keys.push_back(texts * (lengths[first] + num_digests));
  }
  return runs;
}

}  // namespace

DigestEncoder::DigestEncoder(const DigestNet& net,
                             const at::Tensor& digests,
                             const DigestShape& shape,
                             c10::ScalarType dtype)
    : shape_(shape) {
  std::vector<at::Tensor> key_value;
  for (const CrossAttentionLayer& layer : net.layers) {
    for (const at::Tensor& weight : {layer.key, layer.value})
      key_value.push_back((weight * layer.context_norm).to(dtype));
    layers_.push_back({layer.digest_norm,
                       layer.mlp_norm,
                       ops::PackedWeight(layer.query.to(dtype)),
                       ops::PackedWeight(layer.output.to(dtype)),
                       ops::PackedWeight(at::cat({layer.gate.to(dtype), layer.up.to(dtype)}, 0)),
                       ops::PackedWeight(layer.down.to(dtype))});
  }
  key_width_ = net.layers.front().key.size(0);
  norm_ = net.norm;
  unit_norm_ = at::ones_like(net.norm);
  key_value_ = ops::PackedWeight(at::cat(key_value, 0));
  digests_ = digests.to(dtype);
  digest_key_values_ = key_values(digests_);
  first_query_ = query_of(layers_[0], digests_);
}

at::Tensor DigestEncoder::key_values(const at::Tensor& embeddings) const {
  return key_value_(ops::rms_norm(embeddings, unit_norm_, shape_.rms_norm_epsilon));
}

// [n, heads * head_dim] -> [n, heads, head_dim]
at::Tensor DigestEncoder::heads_of(const at::Tensor& x) const {
  return x.unflatten(1, {x.size(1) / head_dim(), head_dim()});
}

at::Tensor DigestEncoder::query_of(const Layer& layer, const at::Tensor& states) const {
  return layer.query(ops::rms_norm(states, layer.digest_norm, shape_.rms_norm_epsilon));
}

// Sequence bounds for attention of each text's digests over all keys of the text.
ops::PackedSequences DigestEncoder::packed(std::span<const int64_t> lengths) const {
  std::vector<int64_t> queries{0}, keys{0};
  for (const int64_t length : lengths) {
    queries.push_back(queries.back() + num_digests());
    keys.push_back(keys.back() + length + num_digests());
  }
  return ops::packed_sequences(std::move(queries), std::move(keys), digests_.device());
}

// Causal attention, since the digests are the last keys of their text. If one call cannot take all
// texts, each run of equal lengths is a batch. -> [num_texts * k, hidden]
at::Tensor DigestEncoder::attend(const at::Tensor& q,
                                 const at::Tensor& k,
                                 const at::Tensor& v,
                                 std::span<const int64_t> lengths,
                                 const ops::PackedSequences& sequences) const {
  const ops::AttentionOptions options{1.0 / std::sqrt(static_cast<double>(head_dim())), 0};
  if (ops::attention_is_packed(q))
    return ops::packed_attention(q, k, v, sequences, options).flatten(1, 2);
  const Runs runs = runs_of_equal_lengths(lengths, num_digests());
  const auto queries = q.split_with_sizes(runs.queries, 0), keys = k.split_with_sizes(runs.keys, 0),
             values = v.split_with_sizes(runs.keys, 0);
  std::vector<at::Tensor> outputs;
  for (size_t i = 0; i < runs.texts.size(); ++i) {
    const auto batch = [&](const at::Tensor& x) {
      return x.unflatten(0, {runs.texts[i], x.size(0) / runs.texts[i]}).transpose(1, 2);
    };
    const at::Tensor attended =
        ops::dense_attention(batch(queries[i]), batch(keys[i]), batch(values[i]), options);
    outputs.push_back(attended.transpose(1, 2).flatten(0, 1).flatten(1, 2));
  }
  return outputs.size() == 1 ? outputs[0] : at::cat(outputs, 0);
}

at::Tensor DigestEncoder::after_attention(const Layer& layer,
                                          const at::Tensor& states,
                                          const at::Tensor& attended) const {
  const at::Tensor middle = states + layer.output(attended);
  const at::Tensor y = ops::rms_norm(middle, layer.mlp_norm, shape_.rms_norm_epsilon);
  const at::Tensor gated =
      ops::gated_activation(layer.gate_up(y), DecoderConfig::Activation::kSilu);
  return middle + layer.down(gated);
}

at::Tensor DigestEncoder::digest(const at::Tensor& key_values,
                                 std::span<const int64_t> lengths) const {
  const DigestAngles angles =
      digest_angles(lengths, num_digests(), head_dim(), shape_, digests_.options());
  const int64_t num_texts = std::ssize(lengths);
  const ops::PackedSequences sequences = packed(lengths);
  // split() rather than narrow(), whose backward pass would add up full-size gradient matrices.
  const std::vector<at::Tensor> columns = key_values.split(key_width_, 1);
  at::Tensor states = digests_.repeat({num_texts, 1});
  for (size_t i = 0; i < layers_.size(); ++i) {
    const at::Tensor query =
        i == 0 ? first_query_.repeat({num_texts, 1}) : query_of(layers_[i], states);
    const at::Tensor q = ops::rotary(heads_of(query), angles.queries);
    const at::Tensor k = ops::rotary(heads_of(columns[2 * i]), angles.keys);
    const at::Tensor attended = attend(q, k, heads_of(columns[2 * i + 1]), lengths, sequences);
    states = after_attention(layers_[i], states, attended);
  }
  return ops::rms_norm(states, norm_, shape_.rms_norm_epsilon);
}

}  // namespace precis::ic_former
