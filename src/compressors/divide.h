// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

namespace precis {

struct TokenRange {
  int64_t first;
  int64_t size;
};

// Divides `num_tokens` into as few chunks of at most `max_chunk` as possible, of equal size but for
// the last: 513 tokens in chunks of 512 become 257 and 256, not 512 and 1. REQUIRES: both at least
// 1.
std::vector<TokenRange> divide(int64_t num_tokens, int64_t max_chunk);

// Number of memory tokens of `num_tokens` text tokens at `ratio` text tokens for each: rounded
// down, but at least 1. REQUIRES: both at least 1.
int64_t tokens_at_ratio(int64_t num_tokens, double ratio);

}  // namespace precis
