// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <span>

#include "compressors/divide.h"
#include "precis/extend/compressor.h"
#include "precis/extend/decoder.h"
#include "precis/extend/memory_tensors.h"
#include "precis/extend/tokenizer.h"

namespace precis {

// Runs `count` inputs in passes, in order, each of about 4096 tokens or of one longer input, which
// bounds the activations of a pass. `read` gets the range [first, last) of the pass's inputs;
// `progress`, if any, is called after each pass with the share of inputs that are done.
void read_in_passes(int64_t count,
                    const std::function<int64_t(int64_t input)>& num_tokens,
                    const std::function<void(int64_t first, int64_t last)>& read,
                    const CompressProgress& progress);

// The model's embeddings of ids, [n, hidden]. REQUIRES: ids inside the vocabulary.
at::Tensor embed(const Decoder& decoder, std::span<const TokenId> ids);

// Packs sequences of embeddings, [n, hidden] each; sequence i continues sequence i of the cache.
DecoderInput pack(const Decoder& decoder,
                  std::span<const at::Tensor> sequences,
                  const KvCache& cache);

// Packs and runs such sequences for their keys and values alone, which are appended to the cache.
void fill_cache(const Decoder& decoder, std::span<const at::Tensor> sequences, KvCache& cache);

// The same with an observer. Throws kUnsupported, naming `method`, if the decoder does not call the
// observer for each layer.
void fill_cache_observed(const Decoder& decoder,
                         std::span<const at::Tensor> sequences,
                         KvCache& cache,
                         const LayerObserver& observer,
                         const char* method);

// Copies ranges of a sequence's cached tokens to a memory, so that the cache can be freed.
// positions: first_position and next_position of the memory.
CachedTokens cached_rows(const KvCache& cache,
                         int64_t sequence,
                         std::span<const TokenRange> kept,
                         std::pair<int64_t, int64_t> positions);

// Indices of the last sizes[i] tokens of each sequence of a pass, [n] int64, for
// DecoderInput::output_indices.
at::Tensor last_rows(const DecoderInput& input, std::span<const int64_t> sizes);

}  // namespace precis
