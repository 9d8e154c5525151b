// SPDX-License-Identifier: Apache-2.0
#include "prompt/template_items.h"

#include <memory>

#include "memory/memory_contents.h"

namespace precis {

Memory memory_of_rows(const at::Tensor& rows, const Decoder& decoder) {
  MemoryContents contents{SoftTokens{rows}, {"template", decoder.fingerprint(), "", "", 0}};
  return Memory(std::make_shared<MemoryContents>(std::move(contents)));
}

std::vector<PromptPart> template_items(std::span<const TemplateItem> items,
                                       const Decoder& decoder) {
  std::vector<PromptPart> parts;
  for (const TemplateItem& one : items) {
    PromptPart& part = parts.emplace_back();
    if (const auto* ids = std::get_if<std::vector<TokenId>>(&one))
      part.tokens = *ids;
    else
      part.memory = memory_of_rows(std::get<at::Tensor>(one), decoder);
  }
  return parts;
}

}  // namespace precis
