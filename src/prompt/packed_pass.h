// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <vector>

#include "precis/extend/decoder.h"
#include "precis/extend/kv_cache.h"
#include "prompt/splice.h"

namespace precis {

// One pass of the decoder over spliced prompts of any lengths, packed without padding, each into
// its own sequence of the cache. Without gradients, prompts that begin with the same prefix and
// memories share their blocks. Differentiable. Borrows decoder and cache.
class PackedPass {
 public:
  // recompute_activations: see DecoderInput.
  PackedPass(const Decoder& decoder, KvCache& cache, bool recompute_activations = false)
      : decoder_(decoder), cache_(cache) {
    input_.cu_seqlens.push_back(0);
    input_.recompute_activations = recompute_activations;
  }

  // num_outputs: read() returns the hidden states of so many of the prompt's last inputs.
  void add(const SplicedPrompt& prompt, int64_t sequence, int64_t num_outputs);

  // Runs the pass. Final hidden states, [n, hidden], in the order of the prompts.
  at::Tensor read();

 private:
  struct Beginning {
    std::shared_ptr<const SharedPrefix> prefix;
    std::vector<PlacedMemory> cached;
    int64_t sequence;
  };

  void preload_or_share(const SplicedPrompt& prompt, int64_t sequence);

  const Decoder& decoder_;
  KvCache& cache_;
  DecoderInput input_;
  std::vector<at::Tensor> embeddings_, positions_, output_indices_;
  std::vector<Beginning> beginnings_;  // of sequences with preloaded tokens only
};

}  // namespace precis
