// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include "compressors/ic_former/digest_net.h"

// The paper's equations in plain ATen, the reference of DigestEncoder's tests.
namespace precis::ic_former::reference {

// One layer for a batch of texts of one length. digests: [batch, k, hidden], the states so far;
// seen: [batch, n + k, hidden], the embeddings of n tokens and then the initial digests, the same
// in every layer. -> [batch, k, hidden]
at::Tensor cross_attention(const CrossAttentionLayer& layer,
                           const at::Tensor& digests,
                           const at::Tensor& seen,
                           const DigestShape& shape);

// All layers and the last norm. digests: [k, hidden]; context: [batch, n, hidden]; the net of their
// dtype. -> [batch, k, hidden]
at::Tensor digest(const DigestNet& net,
                  const at::Tensor& digests,
                  const at::Tensor& context,
                  const DigestShape& shape);

}  // namespace precis::ic_former::reference
