// SPDX-License-Identifier: Apache-2.0
#include "ops/quantized_linear.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "base/check.h"
#include "base/processor.h"
#include "ops/kernel_arguments.h"
#include "ops/linear.h"

namespace precis::ops {
namespace {

// Elements of a weight that are dequantised at a time: 4 MB in float32, which stay in the cache
// until the product has read them.
constexpr int64_t kWidenedElements = 1 << 20;

void check_shapes(const at::Tensor& x, const QuantizedWeight& weight, const at::Tensor& bias) {
  PRECIS_CHECK(x.dim() == 2 && x.size(1) == weight.width(),
               kInvalidArgument,
               "linear: rows ",
               x.sizes(),
               " do not fit a weight of ",
               weight.outputs(),
               " outputs and width ",
               weight.width());
  PRECIS_CHECK(!bias.defined() || (bias.dim() == 1 && bias.size(0) == weight.outputs()),
               kInvalidArgument,
               "linear: a bias of ",
               bias.defined() ? bias.numel() : 0,
               " elements does not fit ",
               weight.outputs(),
               " outputs");
}

// Rows as quantize_rows writes them, in one allocation.
struct QuantizedRows {
  at::Tensor scratch;
  float* scales;
  float* sums;  // bits 4 only, else null
  int16_t* codes;
};

QuantizedRows room_for(int64_t rows, int64_t width, int64_t block, int64_t bits) {
  const int64_t scales = rows * (width / block);
  const int64_t sums = bits == 4 ? rows * (width / kernels::kQuantizedGroup) : 0;
  const int64_t floats = scales + sums + (rows * width + 1) / 2;  // two codes a float
  const at::Tensor scratch = at::empty({floats}, at::kFloat);
  float* const begin = scratch.mutable_data_ptr<float>();
  return {scratch,
          begin,
          bits == 4 ? begin + scales : nullptr,
          reinterpret_cast<int16_t*>(begin + scales + sums)};
}

at::Tensor few_rows(const at::Tensor& x, const QuantizedWeight& weight, const at::Tensor& bias) {
  const int64_t rows = x.size(0), width = x.size(1), block = block_of_codes(weight);
  const at::Tensor input = x.contiguous();
  const QuantizedRows own = room_for(rows, width, block, weight.bits);
  const at::Tensor out = at::empty({rows, weight.outputs()}, at::kFloat);
  const at::Tensor wide = bias.defined() ? bias.to(at::kFloat).contiguous() : bias;
  const kernels::QuantizeRowsArguments quantize{
      input.const_data_ptr(), own.codes, own.scales, own.sums, width, block};
  for_row_ranges(rows, width, [&](int64_t first, int64_t last) {
    kernels::cpu().quantize_rows(element_of(x), quantize, first, last);
  });
  const kernels::QuantizedLinearArguments arguments{
      kernel_matrix(weight),
      own.codes,
      own.scales,
      own.sums,
      wide.defined() ? wide.const_data_ptr<float>() : nullptr,
      out.mutable_data_ptr<float>(),
      rows,
      weight.outputs(),
      block};
  for_row_ranges(
      arguments.tiles(), kernels::kOutputsPerTile * width, [&](int64_t first, int64_t last) {
        kernels::cpu().quantized_linear(arguments, first, last);
      });
  return out.to(x.scalar_type());
}

QuantizedWeight outputs_of(const QuantizedWeight& weight, int64_t first, int64_t count) {
  QuantizedWeight result{
      weight.bits, weight.codes.narrow(0, first, count), weight.scales.narrow(0, first, count), {}};
  if (weight.mins.defined()) result.mins = weight.mins.narrow(0, first, count);
  return result;
}

at::Tensor many_rows(const at::Tensor& x, const QuantizedWeight& weight) {
  const bool narrow = x.scalar_type() == at::kBFloat16 && processor_has_bfloat16();
  const auto dtype = narrow ? at::kBFloat16 : at::kFloat;
  const at::Tensor rows = x.to(dtype);
  const int64_t step = std::max<int64_t>(1, kWidenedElements / std::max<int64_t>(1, x.size(1)));
  at::Tensor out = at::empty({x.size(0), weight.outputs()}, x.options());
  for (int64_t first = 0; first < weight.outputs(); first += step) {
    const int64_t count = std::min(step, weight.outputs() - first);
    const at::Tensor block = dequantize(outputs_of(weight, first, count), dtype);
    out.narrow(1, first, count).copy_(at::linear(rows, block));
  }
  return out;
}

bool on_one_gpu(const at::Tensor& x, const QuantizedWeight& weight, const at::Tensor& bias) {
  return gpu_kernel_applies(x, {weight.codes, weight.scales, weight.mins, bias}) &&
         may_be_read_in_packs(weight.codes) &&
         (!bias.defined() || bias.scalar_type() == x.scalar_type());
}

at::Tensor few_rows_on_gpu(const at::Tensor& x,
                           const QuantizedWeight& weight,
                           const at::Tensor& bias) {
  const at::Tensor input = x.contiguous();
  at::Tensor out = at::empty({x.size(0), weight.outputs()}, x.options());
  const kernels::WeightOnlyLinearArguments arguments{
      input.const_data_ptr(),
      kernel_matrix(weight),
      bias.defined() ? bias.const_data_ptr() : nullptr,
      out.mutable_data_ptr(),
      x.size(0),
      weight.outputs()};
  on_gpu(x, "linear", [&](const kernels::CudaKernelTable& gpu, kernels::Stream stream) {
    gpu.weight_only_linear(element_of(x), arguments, stream);
  });
  return out;
}

}  // namespace

int64_t block_of_codes(const QuantizedWeight& weight) {
  if (weight.bits == 4) return kernels::kQuantizedGroup;  // one scale for each group of the weight
  const int64_t width = weight.width();
  for (const int64_t block : {128, 64})
    if (width % block == 0) return block;
  return kernels::kQuantizedGroup;
}

at::Tensor reference::linear(const at::Tensor& x,
                             const QuantizedWeight& weight,
                             const at::Tensor& bias) {
  return reference::linear(x, reference::dequantize(weight, x.scalar_type()), bias);
}

at::Tensor linear(const at::Tensor& x, const QuantizedWeight& weight, const at::Tensor& bias) {
  check_shapes(x, weight, bias);
  if (x.size(0) <= kernels::WeightOnlyLinearArguments::kMostRows && on_one_gpu(x, weight, bias))
    return few_rows_on_gpu(x, weight, bias);
  if (!kernel_applies(x, {weight.codes, weight.scales, weight.mins, bias}))
    return reference::linear(x, weight, bias);
  if (x.size(0) <= kFewQuantizedRows) return few_rows(x, weight, bias);
  const at::Tensor out = many_rows(x, weight);
  return bias.defined() ? out + bias : out;
}

}  // namespace precis::ops
