// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <vector>

#include "engine/decode_batch.h"
#include "precis/completion.h"

namespace precis {

// The last stage: decodes all requests in one batch until each is finished. One completion for each
// request, in order; savings and compress_ms are not filled in. A request that fails carries its
// error.
// REQUIRES: options that check_options() accepts.
std::vector<Completion> decode(const DecodeStage& stage, std::span<const DecodeRequest> requests);

}  // namespace precis
