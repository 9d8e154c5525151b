// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>

#include "precis/extend/decoder.h"
#include "prompt/splice.h"

namespace precis {

// Ids that are read behind the beginning of a prompt.
struct IdsBehind {
  std::span<const TokenId> ids;
  int64_t num_outputs = 0;  // of the last ids, the hidden states are returned
};

// One pass over several sequences that begin alike: the beginning is read once. Final hidden
// states, [sum of num_outputs, hidden], in order. Differentiable with respect to the memory in the
// beginning. REQUIRES: ids in every sequence.
at::Tensor read_behind(const SplicedPrompt& beginning,
                       std::span<const IdsBehind> sequences,
                       const Decoder& decoder);

}  // namespace precis
