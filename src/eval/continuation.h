// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <span>

#include "eval/arms.h"
#include "eval/evaluation_items.h"

namespace precis {

// Scores how well the model predicts each text's scored tokens in all arms. Every arm reads the
// kept tokens before them verbatim, since the last words of a text predict the next ones better
// than anything before. Borrows its arguments. Throws kUnsupported if the compressor is not made
// for it, kInvalidArgument if no two texts differ.
std::unique_ptr<MemoryTask> make_continuation(const Engine& engine,
                                              Readings& readings,
                                              std::span<const CutText> texts);

}  // namespace precis
