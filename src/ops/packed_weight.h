// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

namespace precis::ops {

// A weight that is multiplied often by tens to thousands of rows. In bfloat16, where the processor
// multiplies it, a copy lies in the order in which oneDNN's products read it, which is otherwise
// made anew in every product (a fifth to a third of its time at 128 rows of width 576). Elsewhere,
// and for other dtypes, there is no copy.
class PackedWeight {
 public:
  PackedWeight() = default;
  // weight: [out, in]. REQUIRES: gradients off.
  explicit PackedWeight(const at::Tensor& weight);

  const at::Tensor& plain() const { return plain_; }  // [out, in]
  bool is_packed() const { return packed_.defined(); }

  // What linear(x, plain()) gives, up to the order of sums.
  at::Tensor operator()(const at::Tensor& x) const;

 private:
  at::Tensor plain_;
  at::Tensor packed_;  // opaque; undefined: there is no copy
};

}  // namespace precis::ops
