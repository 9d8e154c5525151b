// SPDX-License-Identifier: Apache-2.0
#include "refine/read_behind.h"

#include <ATen/ATen.h>

#include <vector>

#include "ops/copy_to_device.h"
#include "precis/extend/forward_outputs.h"
#include "prompt/packed_pass.h"

namespace precis {
namespace {

// Into sequence 0 of the cache.
void read_beginning(const SplicedPrompt& beginning, const Decoder& decoder, KvCache& cache) {
  if (beginning.embeddings.size(0) == 0) return preload(beginning, decoder, cache, 0);
  PackedPass pass(decoder, cache);
  pass.add(beginning, 0, /*num_outputs=*/0);
  pass.read();
}

// Sequence i continues sequence i + 1 of the cache.
DecoderInput pack(std::span<const IdsBehind> sequences, int64_t start, const Decoder& decoder) {
  std::vector<TokenId> ids;
  std::vector<int64_t> positions, outputs;
  DecoderInput input;
  input.cu_seqlens.push_back(0);
  for (const IdsBehind& own : sequences) {
    for (int64_t i = 0; i < std::ssize(own.ids); ++i) positions.push_back(start + i);
    ids.insert(ids.end(), own.ids.begin(), own.ids.end());
    const int64_t end = std::ssize(ids);
    for (int64_t i = end - own.num_outputs; i < end; ++i) outputs.push_back(i);
    input.cu_seqlens.push_back(end);
    input.cache_sequences.push_back(std::ssize(input.cache_sequences) + 1);
  }
  const auto on_device = [&](const std::vector<int64_t>& values) {
    return ops::copy_to_device_async(at::tensor(values, at::kLong), decoder.options().device());
  };
  input.embeddings = decoder.embed(on_device(ids));
  input.positions = on_device(positions);
  input.output_indices = on_device(outputs);
  return input;
}

}  // namespace

at::Tensor read_behind(const SplicedPrompt& beginning,
                       std::span<const IdsBehind> sequences,
                       const Decoder& decoder) {
  const int64_t count = std::ssize(sequences);
  KvCache cache(decoder.config().kv_shape(), decoder.options(), count + 1);
  read_beginning(beginning, decoder, cache);
  for (int64_t i = 1; i <= count; ++i) cache.copy_sequence(cache, 0, i);
  const int64_t start = beginning.start + beginning.embeddings.size(0);
  return forward_outputs(decoder, pack(sequences, start, decoder), cache);
}

}  // namespace precis
