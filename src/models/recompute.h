// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>

namespace precis::models {

// block(x), of which only x is kept for the backward pass, which computes the block once more
// (activation checkpointing, Chen et al. 2016, arXiv 1604.06174). Just block(x) where x requires no
// gradient. Tensors that the block captures get no gradients.
at::Tensor recomputed(std::function<at::Tensor(const at::Tensor&)> block, const at::Tensor& x);

}  // namespace precis::models
