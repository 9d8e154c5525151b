// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "precis/extend/weights.h"

namespace precis::ic_former {

// Settings that all layers of a digest net share.
struct DigestShape {
  int64_t num_heads = 0;
  double rms_norm_epsilon = 1e-6;
  double rope_base = 10000.0;
  bool spread = false;  // positions of the digests: spread over the text, or all after it
};

// One layer of IC-Former (Wang et al., Findings of EMNLP 2024, arXiv 2406.13618, section 3): digest
// states attend to the context and the initial digests, then pass a gated MLP. No biases. Key and
// value heads may be fewer than query heads (grouped-query attention).
struct CrossAttentionLayer {
  at::Tensor digest_norm;   // [hidden] norm weight, as are all norms
  at::Tensor context_norm;  // of the context and the initial digests
  at::Tensor mlp_norm;
  at::Tensor query;  // [hidden, hidden]
  at::Tensor key;    // [key_width, hidden]
  at::Tensor value;
  at::Tensor output;  // [hidden, hidden]
  at::Tensor gate;    // [ffn, hidden]
  at::Tensor up;
  at::Tensor down;  // [hidden, ffn]
};

struct DigestNet {
  std::vector<CrossAttentionLayer> layers;
  at::Tensor norm;  // [hidden] after the last layer
};

struct DigestNetSize {
  int64_t num_layers = 0;
  int64_t hidden = 0;
  int64_t ffn = 0;
  int64_t key_width = 0;  // key heads x head_dim; 0: hidden
};

// Builds a net of the tensors that `make` returns, asked for by their published names
// ("norm.weight", "layers.0.cross_attn.q_proj.weight", ...): norm weights of one dimension,
// matrices of two.
DigestNet make_digest_net(
    const DigestNetSize& size,
    const std::function<at::Tensor(const std::string& name, at::IntArrayRef shape)>& make);

// Reads those names below `weights`. Throws kBadWeights if one is missing or of another shape.
DigestNet load_digest_net(const Weights& weights, const DigestNetSize& size);

// Calls `visit` with every tensor of the net, in a fixed order.
void for_each_tensor(
    const DigestNet& net,
    const std::function<void(const std::string& name, const at::Tensor& tensor)>& visit);

}  // namespace precis::ic_former
