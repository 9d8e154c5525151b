// SPDX-License-Identifier: Apache-2.0
#include "prompt/packed_pass.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>

#include "precis/extend/forward_outputs.h"

namespace precis {

void PackedPass::preload_or_share(const SplicedPrompt& prompt, int64_t sequence) {
  const auto same = [&](const Beginning& other) {
    return starts_with(prompt, other.prefix.get(), other.cached);
  };
  const auto shared = std::ranges::find_if(beginnings_, same);
  if (shared != beginnings_.end()) return cache_.copy_sequence(cache_, shared->sequence, sequence);
  preload(prompt, decoder_, cache_, sequence);
  if (!c10::GradMode::is_enabled()) beginnings_.push_back({prompt.prefix, prompt.cached, sequence});
}

void PackedPass::add(const SplicedPrompt& prompt, int64_t sequence, int64_t num_outputs) {
  preload_or_share(prompt, sequence);
  embeddings_.push_back(prompt.embeddings);
  positions_.push_back(prompt.positions);
  const int64_t end = input_.cu_seqlens.back() + prompt.embeddings.size(0);
  output_indices_.push_back(at::arange(end - num_outputs, end, prompt.positions.options()));
  input_.cu_seqlens.push_back(end);
  input_.cache_sequences.push_back(sequence);
}

at::Tensor PackedPass::read() {
  input_.embeddings = at::cat(embeddings_, 0);
  input_.positions = at::cat(positions_, 0);
  input_.output_indices = at::cat(output_indices_, 0);
  return forward_outputs(decoder_, input_, cache_);
}

}  // namespace precis
