// SPDX-License-Identifier: Apache-2.0
#include "engine/prefill.h"

#include <ATen/ATen.h>

#include "base/check.h"
#include "compressors/passes.h"

namespace precis {

CachedTokens prefill(const SoftTokens& memory, const Decoder& decoder) {
  const DecoderConfig& config = decoder.config();
  const at::Tensor& rows = memory.embeddings;
  const int64_t n = rows.size(0);
  PRECIS_CHECK(rows.size(1) == config.hidden_size,
               kInvalidArgument,
               "prefill: a memory has rows of ",
               rows.size(1),
               ", the model ",
               config.hidden_size);
  PRECIS_CHECK(n <= config.context_length,
               kInvalidArgument,
               "prefill: a memory of ",
               n,
               " rows does not fit the model's window of ",
               config.context_length);
  KvCache cache(config.kv_shape(), decoder.options());
  const at::Tensor own = rows.to(decoder.options());
  fill_cache(decoder, {&own, 1}, cache);
  const TokenRange all[] = {{0, n}};
  CachedTokens read = cached_rows(cache, 0, all, {0, n});
  PRECIS_CHECK(
      read.keys.isfinite().all().item<bool>() && read.values.isfinite().all().item<bool>(),
      kBadWeights,
      "prefill: the model's keys and values are not finite; its weights or the memory are damaged");
  return read;
}

}  // namespace precis
