// SPDX-License-Identifier: Apache-2.0
#include "precis/extend/decoder.h"

#include <ATen/ATen.h>

#include "ops/gather_rows.h"

namespace precis {

at::Tensor Decoder::embed_spliced(const at::Tensor& ids, const at::Tensor& rows) const {
  return rows.size(0) == 0 ? embed(ids) : ops::with_rows(embed(ids.clamp_min(0)), rows, ids);
}

}  // namespace precis
