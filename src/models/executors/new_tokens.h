// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "base/check.h"
#include "precis/extend/decoder.h"

namespace precis::models {

// Extends each of the input's sequences by one token and calls run(lengths before), which writes
// their keys and values. If it throws, the sequences are truncated again. Throws kInvalidArgument
// for a cache of another shape.
template <typename Run>
auto with_new_tokens(const DecoderInput& input,
                     KvCache& cache,
                     const DecoderConfig& config,
                     const Run& run) {
  const std::vector<int64_t>& sequences = input.cache_sequences;
  PRECIS_CHECK(cache.shape() == config.kv_shape(),
               kInvalidArgument,
               "decoder: the cache is one of ",
               cache.shape().num_layers,
               " layers, ",
               cache.shape().num_kv_heads,
               " heads of ",
               cache.shape().head_dim,
               ", not of this model");
  std::vector<int64_t> lengths;
  for (const int64_t sequence : sequences) lengths.push_back(cache.length(sequence));
  try {
    for (const int64_t sequence : sequences) cache.extend(sequence, 1);
    return run(lengths);
  } catch (...) {
    for (size_t i = 0; i < sequences.size(); ++i) cache.truncate(sequences[i], lengths[i]);
    throw;
  }
}

}  // namespace precis::models
