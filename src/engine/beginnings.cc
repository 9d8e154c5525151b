// SPDX-License-Identifier: Apache-2.0
#include "engine/beginnings.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <utility>

#include "ops/kv_blocks.h"

namespace precis {
namespace {

bool same_prefix(const SharedPrefix* a, const SharedPrefix* b) {
  return a == b || (a != nullptr && b != nullptr && a->tokens() == b->tokens());
}

// As of PackedPass: rebasing keeps the values, and keys follow from the positions. A beginning
// holds the tensors that it was loaded from, so that no other memory has their address.
bool same_memory(const CachedTokens& a, const CachedTokens& b) {
  return a.values.const_data_ptr() == b.values.const_data_ptr() &&
         a.values.sizes() == b.values.sizes() && a.values.strides() == b.values.strides() &&
         a.first_position == b.first_position && a.next_position == b.next_position;
}

bool is_beginning_of(const SplicedPrompt& prompt, const Beginning& beginning) {
  return same_prefix(beginning.prefix.get(), prompt.prefix.get()) &&
         std::ranges::equal(beginning.cached, prompt.cached, same_memory);
}

}  // namespace

Beginnings::Beginnings(const Decoder& decoder, std::shared_ptr<BlockPool> pool)
    : decoder_(decoder), pool_(std::move(pool)) {}

std::shared_ptr<const Beginning> Beginnings::of(const SplicedPrompt& prompt) {
  if (!prompt.prefix && prompt.cached.empty()) return nullptr;
  std::erase_if(held_, [](const auto& beginning) { return beginning.expired(); });
  for (const auto& held : held_) {
    auto beginning = held.lock();
    if (is_beginning_of(prompt, *beginning)) return beginning;
  }
  auto loaded =
      std::make_shared<Beginning>(Beginning{prompt.prefix, prompt.cached, KvCache(pool_, 1)});
  preload(prompt, decoder_, loaded->cache, 0);
  held_.push_back(loaded);
  return loaded;
}

int64_t Beginnings::blocks() const {
  int64_t blocks = 0;
  for (const auto& held : held_) {
    if (const auto beginning = held.lock()) blocks += ops::blocks_for(beginning->cache.length(0));
  }
  return blocks;
}

}  // namespace precis
