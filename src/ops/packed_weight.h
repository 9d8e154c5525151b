// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

namespace precis::ops {

// A weight that is multiplied by tens to thousands of rows, often. In bfloat16, on processors that
// multiply it, it keeps a copy in the layout of oneDNN's products, which every product would make
// anew otherwise (a fifth to a third of its time at 128 rows of width 576). Elsewhere, for other
// dtypes, and for a weight that wants a gradient, there is no copy.
class PackedWeight {
 public:
  PackedWeight() = default;
  // weight: [out, in]
  explicit PackedWeight(const at::Tensor& weight);

  const at::Tensor& plain() const { return plain_; }  // [out, in]
  bool is_packed() const { return packed_.defined(); }

  // linear(x, plain()), up to the order of sums; differentiable. x: [n, in] -> [n, out]
  at::Tensor operator()(const at::Tensor& x) const;

 private:
  at::Tensor plain_;
  at::Tensor packed_;  // opaque; undefined: there is no copy
};

}  // namespace precis::ops
