// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <vector>

#include "compressors/ic_former/digest_net.h"
#include "ops/packed_attention.h"
#include "ops/packed_weight.h"

namespace precis::ic_former {

// Runs a digest net over texts, for training and inference: with gradients on, its matrix products
// read the net's tensors (PackedWeight), otherwise faster packed copies. Intermediate results that
// do not depend on the text are computed once. Keys and values of all layers are one matrix
// product, since no layer changes what the digests attend to. Uses the weights as they were at
// construction: with gradients on, construct one for each backward pass. All methods are const.
class DigestEncoder {
 public:
  // digests: [k, hidden]; dtype: of the decoder, in which it computes. REQUIRES: at least one
  // layer.
  DigestEncoder(const DigestNet& net,
                const at::Tensor& digests,
                const DigestShape& shape,
                c10::ScalarType dtype);

  // Width of keys and values: the keys of layer 0, its values, the keys of layer 1, ...
  int64_t key_value_width() const { return key_value_.plain().size(0); }

  // Unrotated keys and values of all layers for each token. They depend on its embedding alone.
  // embeddings: [n, hidden] -> [n, key_value_width()]
  at::Tensor key_values(const at::Tensor& embeddings) const;

  // The same of the initial digests: [k, key_value_width()].
  const at::Tensor& digest_key_values() const { return digest_key_values_; }

  // The final digest states of packed texts. key_values: [sum of (length + k), key_value_width()],
  // for each text those of its tokens, then those of the digests. Consecutive texts of equal length
  // are one batch. -> [num_texts * k, hidden]
  at::Tensor digest(const at::Tensor& key_values, std::span<const int64_t> lengths) const;

 private:
  struct Layer {
    at::Tensor digest_norm;
    at::Tensor mlp_norm;
    ops::PackedWeight query;
    ops::PackedWeight output;
    ops::PackedWeight gate_up;  // gate and up, concatenated
    ops::PackedWeight down;
  };

  int64_t num_digests() const { return digests_.size(0); }
  int64_t head_dim() const { return digests_.size(1) / shape_.num_heads; }
  at::Tensor heads_of(const at::Tensor& x) const;
  at::Tensor query_of(const Layer& layer, const at::Tensor& states) const;
  at::Tensor attend(const at::Tensor& q,
                    const at::Tensor& k,
                    const at::Tensor& v,
                    std::span<const int64_t> lengths,
                    const ops::PackedSequences& sequences) const;
  ops::PackedSequences packed(std::span<const int64_t> lengths) const;
  at::Tensor after_attention(const Layer& layer,
                             const at::Tensor& states,
                             const at::Tensor& attended) const;

  DigestShape shape_;
  std::vector<Layer> layers_;
  at::Tensor norm_;
  at::Tensor unit_norm_;          // [hidden] ones
  int64_t key_width_;             // key heads x head_dim of one layer
  ops::PackedWeight key_value_;   // [2 * layers * key_width, hidden], context norms multiplied in
  at::Tensor digests_;            // [k, hidden]
  at::Tensor digest_key_values_;  // [k, key_value_width()]
  at::Tensor first_query_;        // [k, hidden] of layer 0, before rotation
};

}  // namespace precis::ic_former
