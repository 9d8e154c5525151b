// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "cache/block_pool.h"
#include "precis/extend/decoder.h"
#include "precis/extend/kv_cache.h"
#include "precis/extend/segment.h"
#include "prompt/splice.h"

namespace precis {

// What prompts begin with in the cache: a prefix and cached memories.
struct Beginning {
  std::shared_ptr<const SharedPrefix> prefix;
  std::vector<PlacedMemory> cached;
  KvCache cache;  // one sequence; those of prompts are copies of it, which share its blocks
};

// The beginnings of the sequences of a batch, each loaded once and held as long as a sequence holds
// it. Borrows the decoder; not safe for use from several threads at once.
class Beginnings {
 public:
  Beginnings(const Decoder& decoder, std::shared_ptr<BlockPool> pool);

  // The beginning of this prompt; loads it if no sequence has it. Null: the prompt has neither
  // prefix nor cached memories. Throws as preload().
  std::shared_ptr<const Beginning> of(const SplicedPrompt& prompt);

  int64_t blocks() const;  // of all beginnings that are held

 private:
  const Decoder& decoder_;
  std::shared_ptr<BlockPool> pool_;
  std::vector<std::weak_ptr<const Beginning>> held_;
};

}  // namespace precis
