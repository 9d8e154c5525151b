// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

namespace precis::ops {

// Losses over the vocabulary. Logits are the largest tensors of a training step, and autograd would
// keep several of their size. Here the gradient is computed with the loss, a few rows at a time,
// while these are in the processor's cache.
//
// Both return the sum over rows in nats, [] float64, and do not record a backward pass. logits: [n,
// vocab]; `gradient`: [n, vocab] of any dtype, filled with scale times the gradient of the sum by
// the logits; undefined: not computed.

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
