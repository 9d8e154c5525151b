// SPDX-License-Identifier: Apache-2.0
#include "prompt/frame_parts.h"

#include <memory>

#include "io/memory_contents.h"

namespace precis {

Memory memory_of_rows(const at::Tensor& rows, const Decoder& decoder) {
  MemoryContents contents{SoftTokens{rows}, {"frame", decoder.fingerprint(), "", "", 0}};
  return Memory(std::make_shared<MemoryContents>(std::move(contents)));
}

std::vector<PromptPart> frame_parts(std::span<const FramePart> frame, const Decoder& decoder) {
  std::vector<PromptPart> parts;
  for (const FramePart& one : frame) {
    PromptPart& part = parts.emplace_back();
    if (const auto* ids = std::get_if<std::vector<TokenId>>(&one))
      part.tokens = *ids;
    else
      part.memory = memory_of_rows(std::get<at::Tensor>(one), decoder);
  }
  return parts;
}

}  // namespace precis
