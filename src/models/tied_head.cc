// SPDX-License-Identifier: Apache-2.0
#include "models/tied_head.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace precis {
namespace {

// Compares blocks of rows, since the two are the largest tensors of a model.
bool have_equal_rows(const Weights& weights, int64_t rows, int64_t width) {
  constexpr int64_t kBlockSize = int64_t{1} << 22;  // elements
  const int64_t step = std::max<int64_t>(1, kBlockSize / std::max<int64_t>(1, width));
  for (int64_t first = 0; first < rows; first += step) {
    const int64_t count = std::min(step, rows - first);
    const auto block = [&](const char* name) {
      return weights.take_rows(name, {rows, width}, first, count);
    };
    if (!at::equal(block(kEmbeddingName), block(kHeadName))) return false;
  }
  return true;
}

}  // namespace

bool has_tied_head(const DecoderConfig& config, const Weights& weights) {
  if (!config.tied_head) return false;
  const bool both = weights.has(kEmbeddingName) && weights.has(kHeadName);
  return !both || have_equal_rows(weights, config.vocab_size, config.hidden_size);
}

const char* embedding_name(bool tied_head, const Weights& weights) {
  const bool head_alone = !weights.has(kEmbeddingName) && weights.has(kHeadName);
  return tied_head && head_alone ? kHeadName : kEmbeddingName;
}

}  // namespace precis
