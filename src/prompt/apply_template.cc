// SPDX-License-Identifier: Apache-2.0
#include "prompt/apply_template.h"

#include "prompt/embeddings.h"

namespace precis {
namespace {

Prompt::Piece piece_of(const TemplateItem& item, const Decoder& decoder) {
  if (const auto* ids = std::get_if<std::vector<TokenId>>(&item)) return Prompt::Ids{*ids};
  return embeddings_of(std::get<at::Tensor>(item), decoder);
}

}  // namespace

void apply_template(const MemoryTemplate& around,
                    std::span<const Prompt::Piece> memories,
                    std::span<const Prompt::Piece> text,
                    const Decoder& decoder,
                    Prompt& prompt) {
  const auto add_items = [&](const std::vector<TemplateItem>& items) {
    for (const TemplateItem& item : items) prompt.add(piece_of(item, decoder));
  };
  add_items(around.before);
  for (const Prompt::Piece& memory : memories) prompt.add(memory);
  add_items(around.after);
  for (const Prompt::Piece& piece : text) prompt.add(piece);
  add_items(around.end);
}

}  // namespace precis
