// SPDX-License-Identifier: Apache-2.0
#include "compressors/ic_former/cross_attention.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/check.h"
#include "base/spread_position.h"
#include "ops/dense_attention.h"
#include "ops/copy_to_device.h"
#include "ops/gated_activation.h"
#include "ops/packed_attention.h"
#include "ops/rms_norm.h"
#include "ops/rotary.h"

namespace precis::ic_former {
namespace {

enum class Side { kNone, kHidden, kKeys, kFfn };

struct LayerPart {
  const char* name;
  at::Tensor CrossAttentionLayer::*tensor;
  Side out;
  Side in;  // kNone: a gain
};

constexpr LayerPart kLayerParts[] = {
    {"cross_input_layernorm", &CrossAttentionLayer::digest_norm, Side::kHidden, Side::kNone},
    {"context_layernorm", &CrossAttentionLayer::context_norm, Side::kHidden, Side::kNone},
    {"cross_attn.q_proj", &CrossAttentionLayer::query, Side::kHidden, Side::kHidden},
    {"cross_attn.k_proj", &CrossAttentionLayer::key, Side::kKeys, Side::kHidden},
    {"cross_attn.v_proj", &CrossAttentionLayer::value, Side::kKeys, Side::kHidden},
    {"cross_attn.o_proj", &CrossAttentionLayer::output, Side::kHidden, Side::kHidden},
    {"post_attention_layernorm", &CrossAttentionLayer::mlp_norm, Side::kHidden, Side::kNone},
    {"mlp.gate_proj", &CrossAttentionLayer::gate, Side::kFfn, Side::kHidden},
    {"mlp.up_proj", &CrossAttentionLayer::up, Side::kFfn, Side::kHidden},
    {"mlp.down_proj", &CrossAttentionLayer::down, Side::kHidden, Side::kFfn},
};

constexpr char kNormName[] = "norm.weight";

std::string name_of(const LayerPart& part, int64_t layer) {
  return concat("layers.", layer, ".", part.name, ".weight");
}

std::vector<int64_t> shape_of(const LayerPart& part, const DigestNetSize& size) {
  const auto width = [&](Side side) {
    if (side == Side::kFfn) return size.ffn;
    return side == Side::kKeys && size.key_width > 0 ? size.key_width : size.hidden;
  };
  if (part.in == Side::kNone) return {width(part.out)};
  return {width(part.out), width(part.in)};
}

c10::ScalarType gain_dtype(c10::ScalarType dtype) {
  return dtype == at::kDouble ? at::kDouble : at::kFloat;
}

// Cosines and sines of the positions 0 .. count - 1. Angles are taken in float64 and rounded once.
ops::RotaryTable rotary_table(int64_t count,
                              int64_t head_dim,
                              const DigestShape& shape,
                              const at::TensorOptions& rows) {
  const auto wide = rows.dtype(at::kDouble);
  const at::Tensor exponents = at::arange(0, head_dim, 2, wide) / static_cast<double>(head_dim);
  const at::Tensor frequencies = at::pow(shape.rope_base, exponents.neg());
  const at::Tensor angles = at::arange(count, wide).unsqueeze(1) * frequencies;
  const auto dtype = gain_dtype(c10::typeMetaToScalarType(rows.dtype()));
  return {angles.cos().to(dtype), angles.sin().to(dtype)};
}

ops::RotaryTable at_positions(const ops::RotaryTable& table, const at::Tensor& positions) {
  return {table.cos.index_select(0, positions), table.sin.index_select(0, positions)};
}

double attention_scale(int64_t head_dim) { return 1.0 / std::sqrt(static_cast<double>(head_dim)); }

// [..., heads * head_dim] -> [..., heads, head_dim]
at::Tensor heads_of(const at::Tensor& x, int64_t head_dim) {
  return x.unflatten(-1, {x.size(-1) / head_dim, head_dim});
}

// Positions of the digests of one text, [num_digests] int64.
at::Tensor digest_positions(int64_t length,
                            int64_t num_digests,
                            const DigestShape& shape,
                            c10::Device device) {
  const auto options = at::TensorOptions(at::kLong).device(device);
  if (!shape.spread) return at::arange(length, length + num_digests, options);
  std::vector<int64_t> positions;
  for (int64_t i = 0; i < num_digests; ++i)
    positions.push_back(spread_position(i, num_digests, length));
  return ops::copy_to_device_async(at::tensor(positions, at::kLong), device);
}

// Positions of packed texts: of every row, and of the digests, which stand last in each.
struct PackedPositions {
  at::Tensor rows;     // [sum of (length + k)] int64
  at::Tensor digests;  // [num_texts * k] int64
  int64_t count = 0;   // above the largest
};

PackedPositions packed_positions(std::span<const int64_t> lengths,
                                 int64_t num_digests,
                                 const DigestShape& shape,
                                 c10::Device device) {
  const auto options = at::TensorOptions(at::kLong).device(device);
  std::vector<at::Tensor> rows, digests;
  const int64_t longest = *std::max_element(lengths.begin(), lengths.end());
  const at::Tensor all = at::arange(longest, options);
  for (const int64_t length : lengths) {
    digests.push_back(digest_positions(length, num_digests, shape, device));
    rows.push_back(all.narrow(0, 0, length));
    rows.push_back(digests.back());
  }
  return {at::cat(rows, 0), at::cat(digests, 0), longest + num_digests};
}

}  // namespace

DigestNet make_digest_net(
    const DigestNetSize& size,
    const std::function<at::Tensor(const std::string& name, at::IntArrayRef shape)>& make) {
  DigestNet net;
  for (int64_t i = 0; i < size.num_layers; ++i) {
    CrossAttentionLayer& layer = net.layers.emplace_back();
    for (const LayerPart& part : kLayerParts)
      layer.*part.tensor = make(name_of(part, i), shape_of(part, size));
  }
  net.norm = make(kNormName, {size.hidden});
  return net;
}

DigestNet load_digest_net(const Weights& weights, const DigestNetSize& size) {
  return make_digest_net(size, [&](const std::string& name, at::IntArrayRef shape) {
    return weights.take(name, shape);
  });
}

void for_each_tensor(
    const DigestNet& net,
    const std::function<void(const std::string& name, const at::Tensor& tensor)>& visit) {
  for (size_t i = 0; i < net.layers.size(); ++i) {
    for (const LayerPart& part : kLayerParts)
      visit(name_of(part, static_cast<int64_t>(i)), net.layers[i].*part.tensor);
  }
  visit(kNormName, net.norm);
}

DigestNet converted(const DigestNet& net, c10::ScalarType dtype) {
  DigestNet result = net;
  for (CrossAttentionLayer& layer : result.layers) {
    for (const LayerPart& part : kLayerParts) {
      at::Tensor& tensor = layer.*part.tensor;
      tensor = tensor.to(part.in == Side::kNone ? gain_dtype(dtype) : dtype);
    }
  }
  result.norm = result.norm.to(gain_dtype(dtype));
  return result;
}

at::Tensor reference::cross_attention(const CrossAttentionLayer& layer,
                                      const at::Tensor& digests,
                                      const at::Tensor& seen,
                                      const DigestShape& shape) {
  const int64_t head_dim = digests.size(2) / shape.num_heads, queries = digests.size(1);
  const int64_t length[] = {seen.size(1) - queries};
  const auto positions = packed_positions(length, queries, shape, seen.device());
  const auto all = rotary_table(positions.count, head_dim, shape, seen.options());
  const auto table = at_positions(all, positions.rows), last = at_positions(all, positions.digests);
  const auto norm = [&](const at::Tensor& x, const at::Tensor& gain) {
    return ops::reference::rms_norm(x, gain, shape.rms_norm_epsilon);
  };
  const auto project = [&](const at::Tensor& x, const at::Tensor& weight) {
    return heads_of(at::linear(x, weight), head_dim);
  };
  const at::Tensor context = norm(seen, layer.context_norm);
  const at::Tensor q =
      ops::reference::rotary(project(norm(digests, layer.digest_norm), layer.query), last);
  const at::Tensor k = ops::reference::rotary(project(context, layer.key), table);
  const at::Tensor v = project(context, layer.value);
  const at::Tensor attended = ops::reference::dense_attention(
      q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), {attention_scale(head_dim), 0});
  const at::Tensor middle = digests + at::linear(attended.transpose(1, 2).flatten(2), layer.output);
  const at::Tensor y = norm(middle, layer.mlp_norm);
  const at::Tensor gated = at::silu(at::linear(y, layer.gate)) * at::linear(y, layer.up);
  return middle + at::linear(gated, layer.down);
}

at::Tensor reference::digest(const DigestNet& net,
                             const at::Tensor& digests,
                             const at::Tensor& context,
                             const DigestShape& shape) {
  const at::Tensor initial = digests.expand({context.size(0), digests.size(0), digests.size(1)});
  const at::Tensor seen = at::cat({context, initial}, 1);
  at::Tensor state = initial;
  for (const CrossAttentionLayer& layer : net.layers)
    state = cross_attention(layer, state, seen, shape);
  return ops::reference::rms_norm(state, net.norm, shape.rms_norm_epsilon);
}

DigestReader::DigestReader(const DigestNet& net,
                           const at::Tensor& digests,
                           const DigestShape& shape,
                           c10::ScalarType dtype)
    : shape_(shape) {
  const c10::NoGradGuard no_grad;
  std::vector<at::Tensor> key_value;
  for (const CrossAttentionLayer& layer : net.layers) {
    for (const at::Tensor& weight : {layer.key, layer.value})
      key_value.push_back((weight * layer.context_norm).to(dtype));
    layers_.push_back({layer.digest_norm,
                       layer.mlp_norm,
                       ops::PackedWeight(layer.query.to(dtype)),
                       ops::PackedWeight(layer.output.to(dtype)),
                       ops::PackedWeight(at::cat({layer.gate, layer.up}, 0).to(dtype)),
                       ops::PackedWeight(layer.down.to(dtype))});
  }
  key_width_ = net.layers.front().key.size(0);
  norm_ = net.norm;
  unit_gain_ = at::ones_like(net.norm);
  key_value_ = ops::PackedWeight(at::cat(key_value, 0));
  digests_ = digests.to(dtype);
  digest_rows_ = context_rows(digests_);
  first_query_ = query_of(layers_[0], digests_);
}

at::Tensor DigestReader::context_rows(const at::Tensor& embeddings) const {
  return key_value_(ops::rms_norm(embeddings, unit_gain_, shape_.rms_norm_epsilon));
}

at::Tensor DigestReader::query_of(const Layer& layer, const at::Tensor& digests) const {
  return layer.query(ops::rms_norm(digests, layer.digest_norm, shape_.rms_norm_epsilon));
}

// One projection of all rows, [num_rows, key heads, head_dim].
at::Tensor DigestReader::columns(const at::Tensor& rows, int64_t index) const {
  return heads_of(rows.narrow(1, index * key_width_, key_width_), head_dim());
}

ops::PackedSequences DigestReader::packed(std::span<const int64_t> lengths) const {
  std::vector<int64_t> queries{0}, keys{0};
  for (const int64_t length : lengths) {
    queries.push_back(queries.back() + num_digests());
    keys.push_back(keys.back() + length + num_digests());
  }
  return ops::packed_sequences(std::move(queries), std::move(keys), digests_.device());
}

// On a GPU all texts in one call, elsewhere each run of one length in one product: the digests are
// the last of its rows, which is just what causal attention wants. -> [num_texts * k, hidden]
at::Tensor DigestReader::attend(const at::Tensor& q,
                                const at::Tensor& k,
                                const at::Tensor& v,
                                std::span<const int64_t> lengths,
                                const ops::PackedSequences& sequences) const {
  const ops::AttentionOptions options{attention_scale(head_dim()), 0};
  if (sequences.cu_seqlens_q.defined())
    return ops::packed_attention(q, k, v, sequences, options).flatten(1, 2);
  const int64_t num_texts = std::ssize(lengths);
  std::vector<at::Tensor> outputs;
  int64_t row = 0;
  for (int64_t first = 0, last = 0; first < num_texts; first = last) {
    while (last < num_texts && lengths[last] == lengths[first]) ++last;
    const int64_t count = last - first, rows = lengths[first] + num_digests();
    const auto batch = [&](const at::Tensor& x, int64_t start, int64_t length) {
      return x.narrow(0, start, count * length).unflatten(0, {count, length}).transpose(1, 2);
    };
    const at::Tensor attended = ops::dense_attention(batch(q, first * num_digests(), num_digests()),
                                               batch(k, row, rows),
                                               batch(v, row, rows),
                                               options);
    outputs.push_back(attended.transpose(1, 2).flatten(0, 1).flatten(1, 2));
    row += count * rows;
  }
  return outputs.size() == 1 ? outputs[0] : at::cat(outputs, 0);
}

at::Tensor DigestReader::after_attention(const Layer& layer,
                                         const at::Tensor& digests,
                                         const at::Tensor& attended) const {
  const at::Tensor middle = digests + layer.output(attended);
  const at::Tensor y = ops::rms_norm(middle, layer.mlp_norm, shape_.rms_norm_epsilon);
  const at::Tensor gated =
      ops::gated_activation(layer.gate_up(y), DecoderConfig::Activation::kSilu);
  return middle + layer.down(gated);
}

at::Tensor DigestReader::read(const at::Tensor& rows, std::span<const int64_t> lengths) const {
  const auto positions = packed_positions(lengths, num_digests(), shape_, rows.device());
  const auto table = rotary_table(positions.count, head_dim(), shape_, digests_.options());
  const auto of_rows = at_positions(table, positions.rows),
             of_digests = at_positions(table, positions.digests);
  const int64_t num_texts = std::ssize(lengths);
  const ops::PackedSequences sequences = packed(lengths);
  at::Tensor state = digests_.repeat({num_texts, 1});
  for (int64_t i = 0; i < std::ssize(layers_); ++i) {
    const at::Tensor query =
        i == 0 ? first_query_.repeat({num_texts, 1}) : query_of(layers_[i], state);
    const at::Tensor q = ops::rotary(heads_of(query, head_dim()), of_digests);
    const at::Tensor k = ops::rotary(columns(rows, 2 * i), of_rows);
    const at::Tensor attended = attend(q, k, columns(rows, 2 * i + 1), lengths, sequences);
    state = after_attention(layers_[i], state, attended);
  }
  return ops::rms_norm(state, norm_, shape_.rms_norm_epsilon);
}

}  // namespace precis::ic_former
