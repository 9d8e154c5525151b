// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <vector>

#include "engine/decode_batch.h"
#include "engine/prepare.h"
#include "precis/completion.h"
#include "precis/engine.h"

namespace precis {

// Answers a closed list of requests with a scheduler of its own, on the calling thread. One
// completion for each, in order; one that fails carries its error. reserved_ids:
// CompressorInfo::reserved_ids.
std::vector<Completion> generate(std::span<const Request> requests,
                                 const Stages& stages,
                                 const DecodeStage& decoding,
                                 std::span<const TokenId> reserved_ids);

}  // namespace precis
