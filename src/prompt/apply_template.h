// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "precis/extend/compressor.h"
#include "precis/extend/decoder.h"
#include "precis/prompt.h"

namespace precis {

// Adds memories, and text about them, to a prompt in the template of their compressor: template
// items `before`, memories, items `after`, text, items at the `end`. Memories and text may be
// empty, and other pieces may be given in place of memories. Trained embeddings of the template
// keep their gradients.
void apply_template(const MemoryTemplate& around,
                    std::span<const Prompt::Piece> memories,
                    std::span<const Prompt::Piece> text,
                    const Decoder& decoder,
                    Prompt& prompt);

}  // namespace precis
