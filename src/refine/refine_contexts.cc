// SPDX-License-Identifier: Apache-2.0
#include "refine/refine_contexts.h"

#include <ATen/ATen.h>

#include <utility>
#include <vector>

#include "memory/memory_contents.h"
#include "prompt/apply_template.h"
#include "prompt/layout.h"
#include "prompt/tokenize.h"

namespace precis {
namespace {

std::shared_ptr<const SharedPrefix> full_text_of(const RefineContext& context,
                                                 std::span<const TokenId> text) {
  std::vector<TokenId> ids = context.before_text;
  ids.insert(ids.end(), text.begin(), text.end());
  return std::make_shared<const SharedPrefix>(std::move(ids));
}

// The ids that a template starts with; null if there are none.
std::shared_ptr<const SharedPrefix> first_ids(const std::vector<TemplateItem>& items) {
  std::vector<TokenId> ids;
  for (const TemplateItem& item : items) {
    const auto* own = std::get_if<std::vector<TokenId>>(&item);
    if (own == nullptr) break;
    ids.insert(ids.end(), own->begin(), own->end());
  }
  return ids.empty() ? nullptr : std::make_shared<const SharedPrefix>(std::move(ids));
}

}  // namespace

ReadContext::ReadContext(const RefineContext& context,
                         std::span<const TokenId> text,
                         const Decoder& decoder)
    : context_(context),
      decoder_(decoder),
      full_text_(full_text_of(context, text)),
      before_memory_(first_ids(context.around_memory.before)) {}

SplicedPrompt ReadContext::with_full_text() const {
  SplicedPrompt prompt;
  prompt.embeddings = at::empty({0, decoder_.config().hidden_size}, decoder_.options());
  prompt.positions = at::empty({0}, decoder_.options().dtype(at::kLong));
  prompt.start = full_text_->size();
  prompt.prefix = full_text_;
  return prompt;
}

SplicedPrompt ReadContext::with_memory(MemoryTensors memory) const {
  const Prompt::Piece piece =
      Memory(std::make_shared<MemoryContents>(MemoryContents{std::move(memory), {}}));
  MemoryTemplate around;
  around.before = context_.around_memory.before;
  around.after = context_.around_memory.after;
  Prompt prompt;
  apply_template(around, {&piece, 1}, {}, decoder_, prompt);
  return splice(lay_out(tokenize(prompt, {}), decoder_.config(), before_memory_), decoder_);
}

ReadContexts::ReadContexts(const RefinePrompts& prompts,
                           std::span<const TokenId> text,
                           const Decoder& decoder)
    : plain(prompts.plain, text, decoder) {
  if (prompts.chat) chat.emplace(prompts.chat->context, text, decoder);
}

}  // namespace precis
