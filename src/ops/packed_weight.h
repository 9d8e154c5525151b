// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

namespace precis::ops {

// A weight for frequent products with tens to thousands of rows. In bfloat16, on processors with
// bfloat16 products, it keeps a copy in the layout of oneDNN, which every product would otherwise
// create anew (a fifth to a third of its time at 128 rows of width 576). For other processors and
// dtypes, and for a weight that requires a gradient, there is no copy.
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
