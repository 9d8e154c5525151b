// SPDX-License-Identifier: Apache-2.0
#include "engine/prefill.h"

#include <ATen/ATen.h>

#include "base/check.h"

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
  const auto index = at::TensorOptions(at::kLong).device(decoder.options().device());
  KvCache cache(config.kv_shape(), decoder.options());
  DecoderInput input{rows.to(decoder.options()), at::arange(n, index), {0, n}, {0}};
  input.wanted_rows = at::empty({0}, index);
  decoder.forward(input, cache);
  std::vector<at::Tensor> keys, values;
  for (int64_t layer = 0; layer < config.num_layers; ++layer) {
    const auto [k, v] = cache.rows(layer, 0, 0, n);
    keys.push_back(k);
    values.push_back(v);
  }
  CachedTokens read{at::stack(keys), at::stack(values), 0, n};
  PRECIS_CHECK(
      read.keys.isfinite().all().item<bool>() && read.values.isfinite().all().item<bool>(),
      kBadWeights,
      "prefill: the model's keys and values are not finite; its weights or the memory are damaged");
  return read;
}

}  // namespace precis
