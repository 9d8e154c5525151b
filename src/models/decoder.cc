// SPDX-License-Identifier: Apache-2.0
#include "precis/extend/decoder.h"

#include <ATen/ATen.h>

namespace precis {

at::Tensor Decoder::embed_spliced(const at::Tensor& ids,
                                  const at::Tensor& embeddings,
                                  const at::Tensor& source_indices) const {
  const at::Tensor sources = ids.size(0) == 0 ? embeddings : at::cat({embed(ids), embeddings}, 0);
  return sources.index_select(0, source_indices);
}

}  // namespace precis
