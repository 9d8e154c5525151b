// SPDX-License-Identifier: Apache-2.0
#include "compressors/divide.h"

#include <algorithm>
#include <cmath>

namespace precis {

std::vector<TokenRange> divide(int64_t num_tokens, int64_t max_chunk) {
  const int64_t count = (num_tokens - 1) / max_chunk + 1;
  const int64_t size = (num_tokens - 1) / count + 1;
  std::vector<TokenRange> chunks;
  for (int64_t first = 0; first < num_tokens; first += size) {
    chunks.push_back({first, std::min(size, num_tokens - first)});
  }
  return chunks;
}

int64_t tokens_at_ratio(int64_t num_tokens, double ratio) {
  return std::max<int64_t>(
      1, static_cast<int64_t>(std::floor(static_cast<double>(num_tokens) / ratio)));
}

}  // namespace precis
