// SPDX-License-Identifier: Apache-2.0
#include "precis/extend/segment.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

namespace precis {

const KvCache& SharedPrefix::keys_and_values(const Decoder& decoder) const {
  if (cache_) return *cache_;
  const c10::NoGradGuard no_grad;  // frozen weights and fixed tokens: nothing here is trained
  auto cache = std::make_unique<KvCache>(decoder.config().kv_shape(), decoder.options());
  const at::Tensor ids = at::tensor(tokens_, at::kLong).to(decoder.options().device());
  const at::Tensor positions = at::arange(size(), ids.options());
  DecoderInput input{decoder.embed(ids), positions, {0, size()}, {0}};
  input.output_indices = at::empty({0}, ids.options());
  decoder.forward(input, *cache);
  cache_ = std::move(cache);
  return *cache_;
}

}  // namespace precis
