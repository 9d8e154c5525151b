// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <vector>

#include "compressors/chunks.h"
#include "compressors/connector.h"
#include "compressors/ic_former/digest_encoder.h"
#include "compressors/ic_former/ic_former.h"
#include "ops/packed_weight.h"

namespace precis::ic_former {

// Maps token ids to memory tokens: the model's embeddings, the digest net and the connector, for
// training and inference. With gradients on, the result is differentiable in the weights. Borrows
// the decoder.
class IcFormerEncoder {
 public:
  // token_table: keep the keys and values of the whole vocabulary. REQUIRES: gradients off for
  // that.
  IcFormerEncoder(const IcFormerConfig& config,
                  const IcFormerWeights& weights,
                  const Decoder& decoder,
                  bool token_table);

  // The memories of non-empty chunks, one after the other. -> [num_chunks * slots, hidden] in the
  // decoder's dtype
  at::Tensor encode(std::span<const Chunk> chunks) const;

 private:
  at::Tensor make_table() const;
  at::Tensor look_up(std::span<const Chunk> chunks) const;
  at::Tensor multiply(std::span<const Chunk> chunks) const;

  const Decoder& decoder_;
  DigestEncoder net_;
  Connector connector_;
  ops::PackedWeight connector_weight_;  // in the decoder's dtype, if there is a connector
  at::Tensor table_;  // [vocab_size + slots, key_value_width]: of each id, then of each digest
};

}  // namespace precis::ic_former
