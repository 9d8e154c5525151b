// SPDX-License-Identifier: Apache-2.0
#include "prompt/packed_pass.h"

#include <ATen/ATen.h>

#include "precis/extend/forward_outputs.h"

namespace precis {

void PackedPass::add(const SplicedPrompt& prompt, int64_t sequence, int64_t num_outputs) {
  preload(prompt, decoder_, cache_, sequence);
  rows_.push_back(prompt.embeddings);
  positions_.push_back(prompt.positions);
  const int64_t end = input_.cu_seqlens.back() + prompt.embeddings.size(0);
  wanted_.push_back(at::arange(end - num_outputs, end, prompt.positions.options()));
  input_.cu_seqlens.push_back(end);
  input_.cache_sequences.push_back(sequence);
}

at::Tensor PackedPass::read() {
  input_.embeddings = at::cat(rows_, 0);
  input_.positions = at::cat(positions_, 0);
  input_.output_indices = at::cat(wanted_, 0);
  return forward_outputs(decoder_, input_, cache_);
}

}  // namespace precis
