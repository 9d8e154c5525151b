// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>

namespace precis::models {

// block(x), where of all that lies between only x is kept for the backward pass: the block is
// computed once more there. As block(x) alone where x takes no gradients. Tensors that the block
// captures take none.
at::Tensor recomputed(std::function<at::Tensor(const at::Tensor&)> block, const at::Tensor& x);

}  // namespace precis::models
