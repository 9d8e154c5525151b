// SPDX-License-Identifier: Apache-2.0
#include "ops/linear.h"

#include <ATen/ATen.h>

#include "base/check.h"
#include "base/processor.h"
#include "ops/kernel_arguments.h"

namespace precis::ops {
namespace {

// Most rows for which the kernel is faster than ATen's products (measured at widths 576 and 1,536).
constexpr int64_t kFewRows = 16;
// The same for bfloat16 on processors with bfloat16 products.
constexpr int64_t kFewRowsBesideBFloat16 = 4;

// Elements of a weight that are converted to float32 at a time: 4 MB, which stay in the cache until
// the product has read them.
constexpr int64_t kWidenedElements = 1 << 20;

void check_shapes(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  PRECIS_CHECK(x.dim() == 2 && weight.dim() == 2 && x.size(1) == weight.size(1),
               kInvalidArgument,
               "linear: rows [",
               x.sizes(),
               "] do not fit a weight [",
               weight.sizes(),
               "]");
  PRECIS_CHECK(!bias.defined() || (bias.dim() == 1 && bias.size(0) == weight.size(0)),
               kInvalidArgument,
               "linear: a bias of ",
               bias.defined() ? bias.numel() : 0,
               " elements does not fit a weight [",
               weight.sizes(),
               "]");
}

bool all_of_one_dtype(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  return weight.scalar_type() == x.scalar_type() &&
         (!bias.defined() || bias.scalar_type() == x.scalar_type());
}

// x in the layout that the kernel reads.
at::Tensor arranged(const at::Tensor& x) {
  const at::Tensor rows = x.to(at::kFloat).contiguous();
  if (x.scalar_type() == at::kFloat) return rows;
  at::Tensor out = at::empty_like(rows);
  kernels::cpu().deinterleave_pairs(
      {rows.const_data_ptr<float>(), out.mutable_data_ptr<float>(), rows.size(1)}, 0, rows.size(0));
  return out;
}

at::Tensor wide(const at::Tensor& bias) {
  return bias.defined() ? bias.to(at::kFloat).contiguous() : bias;
}

at::Tensor few_rows(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  const at::Tensor rows = arranged(x), own = wide(bias);
  const int64_t num_rows = x.size(0), width = x.size(1), outputs = weight.size(0);
  const at::Tensor out = at::empty({num_rows, outputs}, rows.options());
  const kernels::LinearArguments arguments{rows.const_data_ptr<float>(),
                                           weight.const_data_ptr(),
                                           own.defined() ? own.const_data_ptr<float>() : nullptr,
                                           out.mutable_data_ptr<float>(),
                                           num_rows,
                                           width,
                                           outputs};
  for_row_ranges(outputs, width, [&](int64_t first, int64_t last) {
    kernels::cpu().linear(element_of(weight), arguments, first, last);
  });
  return out.to(x.scalar_type());
}

// Converts the weight to float32, a block of outputs at a time: for bfloat16 on processors without
// bfloat16 products.
at::Tensor widened(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  const at::Tensor rows = x.to(at::kFloat);
  const int64_t outputs = weight.size(0);
  const int64_t step = std::max<int64_t>(1, kWidenedElements / std::max<int64_t>(1, x.size(1)));
  at::Tensor out = at::empty({x.size(0), outputs}, x.options());
  for (int64_t first = 0; first < outputs; first += step) {
    const int64_t count = std::min(step, outputs - first);
    const at::Tensor block = weight.narrow(0, first, count).to(at::kFloat);
    std::optional<at::Tensor> own;
    if (bias.defined()) own = bias.narrow(0, first, count).to(at::kFloat);
    out.narrow(1, first, count).copy_(at::linear(rows, block, own));
  }
  return out;
}

}  // namespace

at::Tensor reference::linear(const at::Tensor& x,
                             const at::Tensor& weight,
                             const at::Tensor& bias) {
  return at::linear(x, weight, bias.defined() ? std::optional(bias) : std::nullopt);
}

bool linear_by_kernel(const at::Tensor& x, const at::Tensor& weight) {
  if (!weight.is_contiguous()) return false;
  if (x.scalar_type() == at::kFloat) return x.size(0) <= kFewRows;
  const int64_t most = processor_has_bfloat16() ? kFewRowsBesideBFloat16 : kFewRows;
  return x.size(0) <= most && weight.size(1) % 2 == 0;
}

at::Tensor linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  check_shapes(x, weight, bias);
  if (!all_of_one_dtype(x, weight, bias) || !kernel_applies(x, {weight, bias})) {
    return reference::linear(x, weight, bias);
  }
  if (linear_by_kernel(x, weight)) return few_rows(x, weight, bias);
  if (x.scalar_type() == at::kBFloat16 && x.size(0) > 1 && !processor_has_bfloat16()) {
    return widened(x, weight, bias);
  }
  return reference::linear(x, weight, bias);
}

}  // namespace precis::ops
