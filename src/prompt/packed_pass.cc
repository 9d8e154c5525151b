// SPDX-License-Identifier: Apache-2.0
#include "prompt/packed_pass.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>

#include "precis/extend/forward_outputs.h"

namespace precis {
namespace {

bool same_prefix(const SharedPrefix* a, const SharedPrefix* b) {
  return a == b || (a != nullptr && b != nullptr && a->tokens() == b->tokens());
}

// Compares values and positions only: rebasing keeps the values, and keys follow from the
// positions.
bool same_memory(const CachedTokens& a, const CachedTokens& b) {
  return a.values.const_data_ptr() == b.values.const_data_ptr() &&
         a.values.sizes() == b.values.sizes() && a.values.strides() == b.values.strides() &&
         a.first_position == b.first_position && a.next_position == b.next_position;
}

}  // namespace

void PackedPass::preload_or_share(const SplicedPrompt& prompt, int64_t sequence) {
  const auto same = [&](const Beginning& other) {
    return same_prefix(other.prefix.get(), prompt.prefix.get()) &&
           std::ranges::equal(other.cached, prompt.cached, same_memory);
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
