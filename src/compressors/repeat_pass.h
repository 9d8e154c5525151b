// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>

#include "precis/extend/compressor.h"
#include "precis/extend/decoder.h"
#include "precis/extend/kv_cache.h"

namespace precis {

// Length in tokens of the longest text that can be repeated in a window, which has to hold the
// text, the prompt and a chunk of the text of 256 tokens (all of a short one).
int64_t longest_repeated(int64_t window, int64_t prompt_tokens);

// Text tokens that are repeated in one pass: at most 2,048, and what the window has room for.
int64_t repeat_chunk(int64_t num_tokens, int64_t prompt_tokens, int64_t window);

struct RepeatPass {
  std::span<const TokenId> ids;     // of the text, which is in the cache at positions 0 .. n - 1
  std::span<const TokenId> prompt;  // asks for the text; read before each chunk of it; may be empty
  const LayerObserver* observer = nullptr;  // sees each pass's layers too; null: none
  CompressProgress progress;                // 0 to 1
  const char* method = "";                  // for messages
};

// Scores of KVzip (arXiv 2505.23416, section 3): the model repeats the text chunk by chunk over the
// cache; the score of a text token, in each layer and head, is the largest attention that it
// receives. -> [num_layers, num_kv_heads, n] float32. The cache is as before afterwards. Throws
// kBadWeights for scores that are not finite, kUnsupported for a decoder that does not call its
// observer, kCancelled.
at::Tensor repeat_scores(const RepeatPass& pass, const Decoder& decoder, KvCache& cache);

}  // namespace precis
