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

// Reads `count` inputs in passes, in order, each over as many as have about 4096 rows together, or
// over one: that bounds the activations of a batch. `read` gets the first input of a pass and the
// one after its last; `progress`, if any, is called after each pass with the share of inputs that
// are done.
void read_in_passes(int64_t count,
                    const std::function<int64_t(int64_t input)>& num_rows,
                    const std::function<void(int64_t first, int64_t last)>& read,
                    const CompressProgress& progress);

// Embeddings of the model, [n, hidden]. REQUIRES: ids inside the vocabulary.
at::Tensor embed(const Decoder& decoder, std::span<const TokenId> ids);

// Sequences of rows, [n, hidden] each, side by side; sequence i continues sequence i of the cache.
DecoderInput pack(const Decoder& decoder,
                  std::span<const at::Tensor> sequences,
                  const KvCache& cache);

// Reads such sequences into the cache; no hidden states are asked for.
void fill_cache(const Decoder& decoder, std::span<const at::Tensor> sequences, KvCache& cache);

// The same with an observer. Throws kUnsupported, naming `method`, for a decoder that does not call
// it for each layer.
void fill_cache_observed(const Decoder& decoder,
                         std::span<const at::Tensor> sequences,
                         KvCache& cache,
                         const LayerObserver& observer,
                         const char* method);

// Ranges of a sequence's rows as a memory, copied, so that the rest of the cache can go.
// positions: of the memory's first row, and of the token that follows.
CachedTokens cached_rows(const KvCache& cache,
                         int64_t sequence,
                         std::span<const TokenRange> kept,
                         std::pair<int64_t, int64_t> positions);

// The last sizes[i] rows of each sequence of a pass, [n] int64, for DecoderInput::output_indices.
at::Tensor last_rows(const DecoderInput& input, std::span<const int64_t> sizes);

}  // namespace precis
