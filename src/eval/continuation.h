// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <span>

#include "eval/arms.h"
#include "eval/evaluation_rows.h"

namespace precis {

// Goes on with texts: the scored tokens after the kept ones, in all arms. The kept ones stand
// verbatim in every arm, since much of what a text tells about its next words its last words tell.
// What is passed is borrowed.
// Throws kUnsupported if the compressor is not made for it, kInvalidArgument if no two texts
// differ.
std::unique_ptr<MemoryTask> make_continuation(const Engine& engine,
                                              Readings& readings,
                                              std::span<const CutText> texts);

}  // namespace precis
