// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "engine/compress.h"
#include "refine/refine_prompts.h"

namespace precis {

// What a memory of this compressor is refined with: the text as it is continued, in the template of
// the compressor, and prompts about it in the model's chat, if it has one that can be rendered.
RefinePrompts refine_prompts(const CompressionStage& stage);

}  // namespace precis
