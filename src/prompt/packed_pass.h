// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "precis/extend/decoder.h"
#include "precis/extend/kv_cache.h"
#include "prompt/splice.h"

namespace precis {

// Spliced prompts of any lengths that the decoder reads in one pass without padding, each into a
// sequence of the cache. Differentiable. Borrows decoder and cache.
class PackedPass {
 public:
  PackedPass(const Decoder& decoder, KvCache& cache) : decoder_(decoder), cache_(cache) {
    input_.cu_seqlens.push_back(0);
  }

  // Of the prompt's last `num_outputs` rows, final hidden states are asked for.
  void add(const SplicedPrompt& prompt, int64_t sequence, int64_t num_outputs);

  // The hidden states asked for, [n, hidden], in the order of the prompts.
  at::Tensor read();

 private:
  const Decoder& decoder_;
  KvCache& cache_;
  DecoderInput input_;
  std::vector<at::Tensor> rows_, positions_, wanted_;
};

}  // namespace precis
