// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "precis/extend/decoder.h"
#include "precis/extend/memory_tensors.h"
#include "precis/extend/segment.h"
#include "prompt/splice.h"
#include "refine/refine_prompts.h"

namespace precis {

// The beginning of a prompt: a RefineContext with the full text or with a memory in it. Borrows the
// decoder and the context.
class ReadContext {
 public:
  ReadContext(const RefineContext& context, std::span<const TokenId> text, const Decoder& decoder);

  // What precedes the text, and the text. Its keys and values are computed once.
  const SharedPrefix& full_text() const { return *full_text_; }
  SplicedPrompt with_full_text() const;
  // Differentiable with respect to the memory.
  SplicedPrompt with_memory(MemoryTensors memory) const;

 private:
  const RefineContext& context_;
  const Decoder& decoder_;
  std::shared_ptr<const SharedPrefix> full_text_;
  std::shared_ptr<const SharedPrefix> before_memory_;  // null: none
};

// The contexts of RefinePrompts, which they borrow.
struct ReadContexts {
  ReadContexts(const RefinePrompts& prompts, std::span<const TokenId> text, const Decoder& decoder);

  const ReadContext& of(bool in_chat) const { return in_chat ? *chat : plain; }

  ReadContext plain;
  std::optional<ReadContext> chat;
};

}  // namespace precis
