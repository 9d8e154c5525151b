// SPDX-License-Identifier: Apache-2.0
#include "ops/quantized_weight.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/check.h"
#include "kernels/kernels.h"
#include "ops/kernel_arguments.h"

namespace precis::ops {
namespace {

using kernels::kQuantizedGroup;

constexpr int64_t kSmallestInt4Grid = 8;  // steps between a group's smallest and largest value
constexpr int64_t kLargestInt4Code = 15;
constexpr double kLargestInt8Code = 127;
constexpr double kLargestFloat16 = 65504;
constexpr int64_t kElementsAtATime = 1 << 22;  // of a weight, in float32

QuantizedWeight quantize_int8(const at::Tensor& weight) {
  const at::Tensor scales = weight.abs().amax(1) / kLargestInt8Code;
  const at::Tensor codes = (weight / scales.clamp_min(1e-30).unsqueeze(1)).round();
  return {8, codes.to(at::kChar), scales, {}};
}

// Groups of values quantised on one grid, [outputs, groups, ...].
struct Grid {
  at::Tensor scale;    // float16 values in float32, [outputs, groups, 1]
  at::Tensor minimum;  // likewise
  at::Tensor codes;    // float32 [outputs, groups, 32]
  at::Tensor error;    // [outputs, groups, 1]
};

Grid grid_of(const at::Tensor& groups,
             const at::Tensor& low,
             const at::Tensor& high,
             int64_t steps) {
  const auto as_stored = [](const at::Tensor& x) { return x.to(at::kHalf).to(at::kFloat); };
  Grid grid;
  grid.scale = as_stored((high - low) / static_cast<double>(steps));
  grid.minimum = as_stored(low);
  grid.codes = ((groups - grid.minimum) / grid.scale.clamp_min(1e-30))
                   .round()
                   .clamp(0, static_cast<double>(kLargestInt4Code));
  grid.error = (grid.codes * grid.scale + grid.minimum - groups).square().sum(-1, true);
  return grid;
}

at::Tensor packed(const at::Tensor& codes) {
  const at::Tensor bytes = codes.to(at::kByte);
  const at::Tensor lower = bytes.narrow(2, 0, kQuantizedGroup / 2),
                   upper = bytes.narrow(2, kQuantizedGroup / 2, kQuantizedGroup / 2);
  return (lower + upper * 16).flatten(1);
}

QuantizedWeight reference_int4(const at::Tensor& weight) {
  const at::Tensor groups = weight.unflatten(1, {-1, kQuantizedGroup});
  const at::Tensor low = groups.amin(-1, true), high = groups.amax(-1, true);
  Grid best = grid_of(groups, low, high, kLargestInt4Code);
  for (int64_t steps = kLargestInt4Code - 1; steps >= kSmallestInt4Grid; --steps) {
    const Grid grid = grid_of(groups, low, high, steps);
    const at::Tensor better = grid.error < best.error;
    best = {at::where(better, grid.scale, best.scale),
            at::where(better, grid.minimum, best.minimum),
            at::where(better, grid.codes, best.codes),
            at::minimum(grid.error, best.error)};
  }
  return {4,
          packed(best.codes),
          best.scale.squeeze(-1).to(at::kHalf),
          best.minimum.squeeze(-1).to(at::kHalf)};
}

uint16_t* float16_data(const at::Tensor& x) { return static_cast<uint16_t*>(x.mutable_data_ptr()); }

QuantizedWeight kernel_int4(const at::Tensor& weight) {
  const int64_t rows = weight.size(0), width = weight.size(1);
  const at::Tensor values = weight.contiguous();
  const auto halves = weight.options().dtype(at::kHalf);
  QuantizedWeight result{4,
                         at::empty({rows, width / 2}, weight.options().dtype(at::kByte)),
                         at::empty({rows, width / kQuantizedGroup}, halves),
                         at::empty({rows, width / kQuantizedGroup}, halves)};
  const kernels::QuantizeInt4Arguments arguments{values.const_data_ptr<float>(),
                                                 result.codes.mutable_data_ptr<uint8_t>(),
                                                 float16_data(result.scales),
                                                 float16_data(result.mins),
                                                 width};
  for_row_ranges(rows, width * kLargestInt4Code, [&](int64_t first, int64_t last) {
    kernels::cpu().quantize_int4(arguments, first, last);
  });
  return result;
}

at::Tensor unpacked(const at::Tensor& bytes) {
  const at::Tensor halves = bytes.unflatten(1, {-1, kQuantizedGroup / 2});
  return at::cat({halves.bitwise_and(15), halves.bitwise_right_shift(4)}, 2);
}

using QuantizeInt4 = QuantizedWeight (*)(const at::Tensor& rows);

void check(const WeightRows& weight, int64_t bits) {
  PRECIS_CHECK(bits == 4 || bits == 8,
               kInvalidArgument,
               "quantize: ",
               bits,
               " bits were asked for, 4 and 8 are known");
  PRECIS_CHECK(weight.outputs > 0 && can_be_quantized(weight.width),
               kInvalidArgument,
               "quantize: a weight [",
               weight.outputs,
               ", ",
               weight.width,
               "], expected a width that is a multiple of ",
               kQuantizedGroup);
}

QuantizedWeight quantize_rows(const at::Tensor& rows, int64_t bits, QuantizeInt4 int4) {
  const auto largest = rows.abs().amax().item<double>();
  PRECIS_CHECK(std::isfinite(largest) && (bits == 8 || largest <= kLargestFloat16),
               kInvalidArgument,
               "quantize: the weight holds ",
               largest,
               ", expected finite numbers, for 4 bits up to ",
               kLargestFloat16);
  return bits == 8 ? quantize_int8(rows) : int4(rows);
}

QuantizedWeight quantize_with(const WeightRows& weight, int64_t bits, QuantizeInt4 int4) {
  check(weight, bits);
  const int64_t step = std::max<int64_t>(1, kElementsAtATime / weight.width);
  QuantizedWeight result{bits, {}, {}, {}};
  const auto put = [&](at::Tensor& whole, const at::Tensor& block, int64_t first) {
    if (!block.defined()) return;
    if (!whole.defined()) {
      std::vector<int64_t> shape = block.sizes().vec();
      shape[0] = weight.outputs;
      whole = at::empty(shape, block.options());
    }
    whole.narrow(0, first, block.size(0)).copy_(block);
  };
  for (int64_t first = 0; first < weight.outputs; first += step) {
    const int64_t count = std::min(step, weight.outputs - first);
    const at::Tensor rows = weight.rows(first, count).detach().to(at::kFloat);
    const QuantizedWeight block = quantize_rows(rows, bits, int4);
    put(result.codes, block.codes, first);
    put(result.scales, block.scales, first);
    put(result.mins, block.mins, first);
  }
  return result;
}

WeightRows rows_of(const at::Tensor& weight) {
  PRECIS_CHECK(weight.dim() == 2,
               kInvalidArgument,
               "quantize: a weight ",
               weight.sizes(),
               ", expected [outputs, width]");
  return {weight.size(0), weight.size(1), [weight](int64_t first, int64_t count) {
            return weight.narrow(0, first, count);
          }};
}

}  // namespace

int64_t QuantizedWeight::nbytes() const {
  size_t bytes = codes.nbytes() + scales.nbytes();
  if (mins.defined()) bytes += mins.nbytes();
  return static_cast<int64_t>(bytes);
}

bool can_be_quantized(int64_t width) { return width > 0 && width % kQuantizedGroup == 0; }

QuantizedWeight reference::quantize(const at::Tensor& weight, int64_t bits) {
  return quantize_with(rows_of(weight), bits, reference_int4);
}

QuantizedWeight quantize(const at::Tensor& weight, int64_t bits) {
  return quantize(rows_of(weight), bits);
}

QuantizedWeight quantize(const WeightRows& weight, int64_t bits) {
  return quantize_with(weight, bits, [](const at::Tensor& rows) {
    return rows.is_cpu() ? kernel_int4(rows) : reference_int4(rows);
  });
}

at::Tensor reference::dequantize(const QuantizedWeight& weight, c10::ScalarType dtype) {
  const auto wide = dtype == at::kDouble ? at::kDouble : at::kFloat;
  if (weight.bits == 8)
    return (weight.codes.to(wide) * weight.scales.to(wide).unsqueeze(1)).to(dtype);
  const at::Tensor codes = unpacked(weight.codes).to(wide);
  const at::Tensor scales = weight.scales.to(wide).unsqueeze(2),
                   mins = weight.mins.to(wide).unsqueeze(2);
  return (codes * scales + mins).flatten(1).to(dtype);
}

at::Tensor dequantize(const QuantizedWeight& weight, c10::ScalarType dtype) {
  const bool known = dtype == at::kFloat || dtype == at::kBFloat16;
  if (!known || !weight.codes.is_cpu()) return reference::dequantize(weight, dtype);
  at::Tensor out =
      at::empty({weight.outputs(), weight.width()}, weight.codes.options().dtype(dtype));
  const kernels::DequantizeArguments arguments{kernel_matrix(weight), out.mutable_data_ptr()};
  for_row_ranges(weight.outputs(), weight.width(), [&](int64_t first, int64_t last) {
    kernels::cpu().dequantize(element_of(out), arguments, first, last);
  });
  return out;
}

kernels::QuantizedMatrix kernel_matrix(const QuantizedWeight& weight) {
  const auto float16 = [](const at::Tensor& x) {
    return static_cast<const uint16_t*>(x.const_data_ptr());
  };
  kernels::QuantizedMatrix matrix{
      weight.bits, weight.width(), weight.codes.const_data_ptr(), nullptr, nullptr, nullptr};
  if (weight.bits == 8) {
    matrix.scales = weight.scales.const_data_ptr<float>();
  } else {
    matrix.group_scales = float16(weight.scales);
    matrix.group_mins = float16(weight.mins);
  }
  return matrix;
}

at::Tensor dequantize_rows(const QuantizedWeight& weight,
                           const at::Tensor& index,
                           c10::ScalarType dtype) {
  QuantizedWeight rows{
      weight.bits, weight.codes.index_select(0, index), weight.scales.index_select(0, index), {}};
  if (weight.mins.defined()) rows.mins = weight.mins.index_select(0, index);
  return dequantize(rows, dtype);
}

}  // namespace precis::ops
