// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <span>

#include "eval/arms.h"
#include "eval/evaluation_rows.h"

namespace precis {

// Says texts again from their memories, greedily: BLEU-4 of the text, and the share of its tokens
// before the first wrong one. Its obstacle() is a compressor that is not made for it.
std::unique_ptr<MemoryTask> make_reconstruction(const Engine& engine,
                                                std::span<const CutText> texts);

}  // namespace precis
