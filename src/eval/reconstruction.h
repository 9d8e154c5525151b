// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <span>

#include "eval/arms.h"
#include "eval/evaluation_items.h"

namespace precis {

// Reconstructs texts from their memories by greedy decoding: BLEU-4, and the share of a text's
// tokens before the first wrong one. unsupported_reason() names a compressor that was not made for
// it. Borrows its arguments.
std::unique_ptr<MemoryTask> make_reconstruction(const Engine& engine,
                                                std::span<const CutText> texts);

}  // namespace precis
