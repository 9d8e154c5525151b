// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "ops/packed_attention.h"
#include "ops/packed_weight.h"
#include "precis/extend/weights.h"

namespace precis::ic_former {

// What all layers of a digest net share.
struct DigestShape {
  int64_t num_heads = 0;
  double rms_norm_epsilon = 1e-6;
  double rope_base = 10000.0;
  bool spread = false;  // each digest at the middle of its share of the text, not behind it
};

// One layer of IC-Former (Wang et al., Findings of EMNLP 2024, arXiv 2406.13618, section 3): digest
// states read the context and the initial digests, then pass a gated MLP. No biases. Key and value
// heads may be fewer than query heads: then neighbours share one.
struct CrossAttentionLayer {
  at::Tensor digest_norm;   // [hidden] gain, as are all norms
  at::Tensor context_norm;  // of what is read
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
  int64_t key_width = 0;  // numbers of all key heads; 0: hidden
};

// A net whose tensors `make` gives, asked for by their published names ("norm.weight",
// "layers.0.cross_attn.q_proj.weight", ...): gains of one dimension, matrices of two.
DigestNet make_digest_net(
    const DigestNetSize& size,
    const std::function<at::Tensor(const std::string& name, at::IntArrayRef shape)>& make);

// Reads those names below `weights`. Throws kBadWeights if one is missing or of another shape.
DigestNet load_digest_net(const Weights& weights, const DigestNetSize& size);

// Calls `visit` with every tensor of the net, in a fixed order.
void for_each_tensor(
    const DigestNet& net,
    const std::function<void(const std::string& name, const at::Tensor& tensor)>& visit);

// Matrices in `dtype`, gains in float32 (float64 for float64); autograd sees through.
DigestNet converted(const DigestNet& net, c10::ScalarType dtype);

namespace reference {

// One layer for a batch of texts of one length, differentiable. digests: [batch, k, hidden], the
// state so far; seen: [batch, n + k, hidden], the embeddings of n tokens and then the initial
// digests, whatever the layer. -> [batch, k, hidden]
at::Tensor cross_attention(const CrossAttentionLayer& layer,
                           const at::Tensor& digests,
                           const at::Tensor& seen,
                           const DigestShape& shape);

// All layers and the last norm. digests: [k, hidden]; context: [batch, n, hidden]; the net
// converted to their dtype. -> [batch, k, hidden]
at::Tensor digest(const DigestNet& net,
                  const at::Tensor& digests,
                  const at::Tensor& context,
                  const DigestShape& shape);

}  // namespace reference

// A net prepared for reading without gradients: what does not depend on the text is computed once,
// and the keys and values of all layers are one product, since no layer changes what the digests
// read. Knows the values that the weights had when it was made. All methods are const.
class DigestReader {
 public:
  // digests: [k, hidden]. REQUIRES: at least one layer.
  DigestReader(const DigestNet& net,
               const at::Tensor& digests,
               const DigestShape& shape,
               c10::ScalarType dtype);

  // Columns of keys and values: the keys of layer 0, its values, the keys of layer 1, ...
  int64_t row_width() const { return key_value_.plain().size(0); }

  // What all layers read of each token, keys not yet rotated: a function of the token alone.
  // embeddings: [n, hidden] -> [n, row_width()]
  at::Tensor context_rows(const at::Tensor& embeddings) const;

  // The same for the initial digests: [k, row_width()].
  const at::Tensor& digest_rows() const { return digest_rows_; }

  // Texts side by side. rows: [sum of (length + k), row_width()], for each text its context rows
  // and then the digest rows; neighbours of equal length share one product.
  // -> [num_texts * k, hidden]
  at::Tensor read(const at::Tensor& rows, std::span<const int64_t> lengths) const;

 private:
  struct Layer {
    at::Tensor digest_norm;
    at::Tensor mlp_norm;
    ops::PackedWeight query;
    ops::PackedWeight output;
    ops::PackedWeight gate_up;  // rows of gate, then up
    ops::PackedWeight down;
  };

  int64_t num_digests() const { return digests_.size(0); }
  int64_t head_dim() const { return digests_.size(1) / shape_.num_heads; }
  at::Tensor query_of(const Layer& layer, const at::Tensor& digests) const;
  at::Tensor columns(const at::Tensor& rows, int64_t index) const;
  at::Tensor attend(const at::Tensor& q,
                    const at::Tensor& k,
                    const at::Tensor& v,
                    std::span<const int64_t> lengths,
                    const ops::PackedSequences& sequences) const;
  // Digests as queries over all rows of their text.
  ops::PackedSequences packed(std::span<const int64_t> lengths) const;
  at::Tensor after_attention(const Layer& layer,
                             const at::Tensor& digests,
                             const at::Tensor& attended) const;

  DigestShape shape_;
  std::vector<Layer> layers_;
  at::Tensor norm_;
  at::Tensor unit_gain_;         // [hidden] ones
  int64_t key_width_;            // numbers of all key heads of a layer
  ops::PackedWeight key_value_;  // [2 * layers * key_width, hidden], context gains multiplied in
  at::Tensor digests_;           // [k, hidden]
  at::Tensor digest_rows_;       // [k, row_width()]
  at::Tensor first_query_;       // [k, hidden] of layer 0, before rotation
};

}  // namespace precis::ic_former
