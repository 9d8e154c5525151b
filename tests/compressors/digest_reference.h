// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/ATen.h>

#include <cmath>
#include <cstdint>

#include "compressors/ic_former/digest_net.h"
#include "compressors/ic_former/digest_positions.h"
#include "ops/dense_attention.h"
#include "ops/rms_norm.h"

// The paper's equations in plain ATen, the reference of DigestEncoder's tests.
namespace precis::ic_former::reference {

// One layer for a batch of texts of one length. digests: [batch, k, hidden], the states so far;
// seen: [batch, n + k, hidden], the embeddings of n tokens and then the initial digests, the same
// in every layer. -> [batch, k, hidden]
inline at::Tensor cross_attention(const CrossAttentionLayer& layer,
                                  const at::Tensor& digests,
                                  const at::Tensor& seen,
                                  const DigestShape& shape) {
  const int64_t head_dim = digests.size(2) / shape.num_heads, num_digests = digests.size(1);
  const int64_t lengths[] = {seen.size(1) - num_digests};
  const DigestAngles angles =
      digest_angles(lengths, num_digests, head_dim, shape, digests.options());
  const auto norm = [&](const at::Tensor& x, const at::Tensor& weight) {
    return ops::reference::rms_norm(x, weight, shape.rms_norm_epsilon);
  };
  const auto project = [&](const at::Tensor& x, const at::Tensor& weight) {
    return at::linear(x, weight).unflatten(-1, {weight.size(0) / head_dim, head_dim});
  };
  const at::Tensor context = norm(seen, layer.context_norm);
  const at::Tensor q = ops::reference::rotary(
      project(norm(digests, layer.digest_norm), layer.query), angles.queries);
  const at::Tensor k = ops::reference::rotary(project(context, layer.key), angles.keys);
  const at::Tensor v = project(context, layer.value);
  const double scale = 1.0 / std::sqrt(static_cast<double>(head_dim));
  const at::Tensor attended = ops::reference::dense_attention(
      q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), {scale, 0});
  const at::Tensor middle = digests + at::linear(attended.transpose(1, 2).flatten(2), layer.output);
  const at::Tensor y = norm(middle, layer.mlp_norm);
  const at::Tensor gated = at::silu(at::linear(y, layer.gate)) * at::linear(y, layer.up);
  return middle + at::linear(gated, layer.down);
}

// All layers and the last norm. digests: [k, hidden]; context: [batch, n, hidden]; the net of their
// dtype. -> [batch, k, hidden]
inline at::Tensor digest(const DigestNet& net,
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

}  // namespace precis::ic_former::reference
