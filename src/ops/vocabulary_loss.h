// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

namespace precis::ops {

// Losses over the vocabulary, whose logits are the widest rows of a training step. What autograd
// would keep of them are several tensors as wide; here the gradient is written beside the loss, a
// few rows at a time, while they are in the processor's cache.
//
// Both return the sum over rows in nats, [] float64, without a backward pass. logits: [n, vocab];
// `gradient`: [n, vocab] of any dtype, filled with scale times the sum's gradient by the logits;
// undefined: not wanted.

// Cross entropy: -log softmax(logits)[target]. targets: [n] int64.
at::Tensor cross_entropy_sum(const at::Tensor& logits,
                             const at::Tensor& targets,
                             double scale,
                             const at::Tensor& gradient);

// KL divergence of softmax(logits) from softmax(teacher), [n, vocab].
at::Tensor divergence_sum(const at::Tensor& logits,
                          const at::Tensor& teacher,
                          double scale,
                          const at::Tensor& gradient);

namespace reference {
at::Tensor cross_entropy_sum(const at::Tensor& logits, const at::Tensor& targets);
at::Tensor divergence_sum(const at::Tensor& logits, const at::Tensor& teacher);
}  // namespace reference

}  // namespace precis::ops
