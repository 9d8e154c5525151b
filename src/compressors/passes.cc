// SPDX-License-Identifier: Apache-2.0
#include "compressors/passes.h"

#include <ATen/ATen.h>

#include "base/check.h"
#include "ops/copy_to_device.h"

namespace precis {
namespace {

constexpr int64_t kTokensPerPass = 4096;

}  // namespace

void report_progress(const CompressProgress& progress, double done) {
  PRECIS_CHECK(!progress || progress(done), kCancelled, "compress: cancelled");
}

void read_in_passes(int64_t count,
                    const std::function<int64_t(int64_t input)>& num_tokens,
                    const std::function<void(int64_t first, int64_t last)>& read,
                    const CompressProgress& progress) {
  for (int64_t first = 0, last = 0; first < count; first = last) {
    for (int64_t tokens = 0; last < count && (last == first || tokens < kTokensPerPass); ++last)
      tokens += num_tokens(last);
    read(first, last);
    report_progress(progress, static_cast<double>(last) / static_cast<double>(count));
  }
}

at::Tensor embed(const Decoder& decoder, std::span<const TokenId> ids) {
  const at::Tensor index = at::tensor(at::ArrayRef<TokenId>(ids.data(), ids.size()), at::kLong);
  return decoder.embed(ops::copy_to_device_async(index, decoder.options().device()));
}

DecoderInput pack(const Decoder& decoder,
                  std::span<const at::Tensor> sequences,
                  const KvCache& cache) {
  const auto index = at::TensorOptions(at::kLong).device(decoder.options().device());
  DecoderInput input;
  std::vector<at::Tensor> positions;
  input.cu_seqlens.push_back(0);
  for (int64_t i = 0; i < std::ssize(sequences); ++i) {
    const int64_t start = cache.length(i), length = sequences[i].size(0);
    positions.push_back(at::arange(start, start + length, index));
    input.cu_seqlens.push_back(input.cu_seqlens.back() + length);
    input.cache_sequences.push_back(i);
  }
  input.embeddings = at::cat(at::TensorList(sequences.data(), sequences.size()), 0);
  input.positions = at::cat(positions, 0);
  return input;
}

void fill_cache(const Decoder& decoder, std::span<const at::Tensor> sequences, KvCache& cache) {
  DecoderInput input = pack(decoder, sequences, cache);
  input.output_indices = at::empty({0}, input.positions.options());
  decoder.forward(input, cache);
}

void fill_cache_observed(const Decoder& decoder,
                         std::span<const at::Tensor> sequences,
                         KvCache& cache,
                         const LayerObserver& observer,
                         const char* method) {
  DecoderInput input = pack(decoder, sequences, cache);
  input.output_indices = at::empty({0}, input.positions.options());
  int64_t observed = 0;
  const LayerObserver counting = [&](const ObservedLayer& layer) {
    ++observed;
    observer(layer);
  };
  decoder.forward(input, cache, nullptr, &counting);
  PRECIS_CHECK(observed == decoder.config().num_layers,
               kUnsupported,
               method,
               ": the decoder reported the queries of ",
               observed,
               " layers of ",
               decoder.config().num_layers,
               "; Decoder::forward has to call its observer");
}

CachedTokens cached_rows(const KvCache& cache,
                         int64_t sequence,
                         std::span<const TokenRange> kept,
                         std::pair<int64_t, int64_t> positions) {
  std::vector<at::Tensor> keys, values;
  for (int64_t layer = 0; layer < cache.shape().num_layers; ++layer) {
    std::vector<at::Tensor> k, v;
    for (const TokenRange& range : kept) {
      const auto rows = cache.rows(layer, sequence, range.first, range.size);
      k.push_back(rows.first);
      v.push_back(rows.second);
    }
    keys.push_back(k.size() == 1 ? k[0] : at::cat(k, 1));
    values.push_back(v.size() == 1 ? v[0] : at::cat(v, 1));
  }
  return {at::stack(keys), at::stack(values), positions.first, positions.second};
}

at::Tensor last_rows(const DecoderInput& input, std::span<const int64_t> sizes) {
  std::vector<at::Tensor> rows;
  for (size_t i = 0; i < sizes.size(); ++i) {
    const int64_t end = input.cu_seqlens[i + 1];
    rows.push_back(at::arange(end - sizes[i], end, input.positions.options()));
  }
  return at::cat(rows, 0);
}

}  // namespace precis
