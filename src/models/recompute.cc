// SPDX-License-Identifier: Apache-2.0
#include "models/recompute.h"

#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>

#include "ops/custom_backward.h"

namespace precis::models {

at::Tensor recomputed(std::function<at::Tensor(const at::Tensor&)> block, const at::Tensor& x) {
  return ops::with_backward(x, block, [block](const at::Tensor& input, const at::Tensor& gradient) {
    const at::AutoGradMode with_gradients(true);
    const at::Tensor again = input.detach().requires_grad_(true);
    return torch::autograd::grad({block(again)}, {again}, {gradient})[0];
  });
}

}  // namespace precis::models
