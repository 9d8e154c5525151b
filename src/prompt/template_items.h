// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <span>
#include <vector>

#include "precis/extend/compressor.h"
#include "precis/extend/decoder.h"
#include "prompt/prompt_part.h"

namespace precis {

// Trained rows [n, hidden] as a prompt carries them: a memory of no text.
Memory memory_of_rows(const at::Tensor& rows, const Decoder& decoder);

// What a compressor wants beside its memories, as parts of a prompt; they carry the gradients of
// trained rows.
std::vector<PromptPart> template_items(std::span<const TemplateItem> items, const Decoder& decoder);

}  // namespace precis
