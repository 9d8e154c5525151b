// SPDX-License-Identifier: Apache-2.0
#include "ops/rotary.h"

#include <ATen/ATen.h>

#include <cmath>
#include <numbers>

#include "base/check.h"
#include "ops/custom_backward.h"
#include "ops/kernel_arguments.h"

namespace precis::ops {
namespace {

// Llama 3: long wavelengths are stretched by `factor`, short ones kept, those between blended.
double llama3_frequency(double frequency, const RopeConfig& rope) {
  const double wavelength = 2 * std::numbers::pi / frequency;
  if (wavelength < rope.original_context / rope.high_frequency_factor) return frequency;
  if (wavelength > rope.original_context / rope.low_frequency_factor)
    return frequency / rope.factor;
  const double blend = (rope.original_context / wavelength - rope.low_frequency_factor) /
                       (rope.high_frequency_factor - rope.low_frequency_factor);
  return (1 - blend) * frequency / rope.factor + blend * frequency;
}

// YaRN: the dimension whose angle makes `rotations` turns over the original context.
double yarn_dimension(double rotations, const RopeConfig& rope, int64_t head_dim) {
  return static_cast<double>(head_dim) *
         std::log(rope.original_context / (rotations * 2 * std::numbers::pi)) /
         (2 * std::log(rope.base));
}

// YaRN: fast dimensions are extrapolated, slow ones interpolated, with a linear ramp between (arXiv
// 2309.00071, 3.2).
double yarn_frequency(double frequency, int64_t pair, const RopeConfig& rope, int64_t head_dim) {
  double low = yarn_dimension(rope.beta_fast, rope, head_dim);
  double high = yarn_dimension(rope.beta_slow, rope, head_dim);
  if (rope.truncate_correction) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, static_cast<double>(head_dim - 1));
  if (low == high) high += 0.001;  // no division by zero
  const double ramp = std::clamp((static_cast<double>(pair) - low) / (high - low), 0.0, 1.0);
  return frequency / rope.factor * ramp + frequency * (1 - ramp);
}

double scaled_frequency(double frequency, int64_t pair, const RopeConfig& rope, int64_t head_dim) {
  switch (rope.scaling) {
    case RopeConfig::Scaling::kNone:
      return frequency;
    case RopeConfig::Scaling::kLinear:
      return frequency / rope.factor;
    case RopeConfig::Scaling::kLlama3:
      return llama3_frequency(frequency, rope);
    case RopeConfig::Scaling::kYarn:
      return yarn_frequency(frequency, pair, rope, head_dim);
    case RopeConfig::Scaling::kDivisors:
      return frequency / rope.divisors.at(pair);
  }
  fail(ErrorKind::kInternal, "rotary_frequencies: unknown scaling");
}

// x: [n, heads, head_dim], the heads of a token contiguous.
at::Tensor by_kernel(const at::Tensor& x, const RotaryTable& table) {
  at::Tensor out = at::empty(x.sizes(), x.options());
  const kernels::RotaryArguments arguments{x.const_data_ptr(),
                                           table.cos.const_data_ptr<float>(),
                                           table.sin.const_data_ptr<float>(),
                                           out.mutable_data_ptr(),
                                           x.stride(0),
                                           x.size(1),
                                           x.size(2)};
  if (x.is_cuda()) {
    on_gpu(x, "rotary", [&](const kernels::CudaKernelTable& gpu, kernels::Stream stream) {
      gpu.rotary(element_of(x), arguments, x.size(0), stream);
    });
    return out;
  }
  for_row_ranges(x.size(0), x.size(1) * x.size(2), [&](int64_t first, int64_t last) {
    kernels::cpu().rotary(element_of(x), arguments, first, last);
  });
  return out;
}

}  // namespace

at::Tensor rotary_frequencies(const RopeConfig& rope, int64_t head_dim) {
  at::Tensor frequencies = at::empty({head_dim / 2}, at::kFloat);
  float* out = frequencies.mutable_data_ptr<float>();
  for (int64_t pair = 0; pair < head_dim / 2; ++pair) {
    const double exponent = 2.0 * static_cast<double>(pair) / static_cast<double>(head_dim);
    out[pair] =
        static_cast<float>(scaled_frequency(std::pow(rope.base, -exponent), pair, rope, head_dim));
  }
  return frequencies;
}

RotaryTable rotary_table(const at::Tensor& frequencies,
                         const at::Tensor& positions,
                         double attention_factor) {
  const at::Tensor angles = positions.to(at::kFloat).unsqueeze(1) * frequencies.unsqueeze(0);
  RotaryTable table{angles.cos(), angles.sin()};
  if (attention_factor == 1.0) return table;
  return {table.cos * attention_factor, table.sin * attention_factor};
}

at::Tensor reference::rotary(const at::Tensor& x, const RotaryTable& table) {
  const at::Tensor cos = table.cos.unsqueeze(1);
  const at::Tensor sin = table.sin.unsqueeze(1);
  const auto halves = (x.scalar_type() == at::kDouble ? x : x.to(at::kFloat)).chunk(2, -1);
  return at::cat({halves[0] * cos - halves[1] * sin, halves[1] * cos + halves[0] * sin}, -1)
      .to(x.scalar_type());
}

at::Tensor rotary(const at::Tensor& x, const RotaryTable& table) {
  PRECIS_CHECK(x.dim() == 3 && x.size(0) == table.cos.size(0) && x.size(2) == 2 * table.cos.size(1),
               kInvalidArgument,
               "rotary: heads [",
               x.sizes(),
               "] do not fit a table [",
               table.cos.sizes(),
               "]");
  const bool dense_rows = x.stride(2) == 1 && x.stride(1) == x.size(2);
  if (dense_rows && gpu_kernel_applies(x, {table.cos, table.sin})) return by_kernel(x, table);
  if (!dense_rows || !kernel_and_backward_apply(x, {table.cos, table.sin}))
    return reference::rotary(x, table);
  return with_backward(
      x,
      [&](const at::Tensor& input) { return by_kernel(input, table); },
      // The inverse of a rotation is the rotation by the negative angle.
      [table](const at::Tensor& gradient) {
        return by_kernel(gradient.contiguous(), {table.cos, table.sin.neg()});
      });
}

}  // namespace precis::ops
