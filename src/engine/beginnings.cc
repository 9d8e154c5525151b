// SPDX-License-Identifier: Apache-2.0
#include "engine/beginnings.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <utility>

#include "ops/kv_blocks.h"

namespace precis {

Beginnings::Beginnings(const Decoder& decoder, std::shared_ptr<BlockPool> pool)
    : decoder_(decoder), pool_(std::move(pool)) {}

std::shared_ptr<const Beginning> Beginnings::of(const SplicedPrompt& prompt) {
  if (!prompt.prefix && prompt.cached.empty()) return nullptr;
  std::erase_if(held_, [](const auto& beginning) { return beginning.expired(); });
  for (const auto& held : held_) {
    auto beginning = held.lock();
    if (starts_with(prompt, beginning->prefix.get(), beginning->cached)) return beginning;
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
