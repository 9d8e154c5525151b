// SPDX-License-Identifier: Apache-2.0
#include "prompt/packed_pass.h"

#include <ATen/ATen.h>

#include "precis/wanted_states.h"

namespace precis {

void PackedPass::add(const SplicedPrompt& prompt, int64_t sequence, int64_t num_wanted) {
  preload(prompt, decoder_, cache_, sequence);
  rows_.push_back(prompt.embeddings);
  positions_.push_back(prompt.positions);
  const int64_t end = input_.sequence_starts.back() + prompt.embeddings.size(0);
  wanted_.push_back(at::arange(end - num_wanted, end, prompt.positions.options()));
  input_.sequence_starts.push_back(end);
  input_.cache_sequences.push_back(sequence);
}

at::Tensor PackedPass::read() {
  input_.embeddings = at::cat(rows_, 0);
  input_.positions = at::cat(positions_, 0);
  input_.wanted_rows = at::cat(wanted_, 0);
  return wanted_states(decoder_, input_, cache_);
}

}  // namespace precis
