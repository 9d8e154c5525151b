// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>

namespace precis::kernels {
struct QuantizedMatrix;
}

namespace precis::ops {

// A quantised matrix, [outputs, width].
//   bits 8: value = scale of its output * code, codes -127 .. 127
//   bits 4: value = scale of its group * code + min of its group, codes 0 .. 15, groups of 32
//           neighbours of an output; byte i of a group holds code i in its low half and code i + 16
//           in its high half
struct QuantizedWeight {
  int64_t bits = 0;
  at::Tensor codes;   // int8 [outputs, width], or uint8 [outputs, width / 2]
  at::Tensor scales;  // float32 [outputs], or float16 [outputs, width / 32]
  at::Tensor mins;    // bits 4: float16 [outputs, width / 32]

  bool defined() const { return bits != 0; }
  int64_t outputs() const { return codes.size(0); }
  int64_t width() const { return bits == 8 ? codes.size(1) : 2 * codes.size(1); }
  int64_t numel() const { return outputs() * width(); }
  int64_t nbytes() const;
};

// Whether quantize() takes weights of this width.
bool can_be_quantized(int64_t width);

// weight: [outputs, width], of any floating dtype. bits 8: the scale of an output is its largest
// magnitude / 127. bits 4: of several grids between a group's smallest and largest value it takes
// the one with the smallest error, so that values which were dequantised from such a grid are
// quantised exactly. Throws kInvalidArgument for other bits, a width that is no multiple of 32, and
// values that are not finite or, for bits 4, too large for float16 scales.
QuantizedWeight quantize(const at::Tensor& weight, int64_t bits);

// A weight [outputs, width] that is read a few rows at a time and never held in memory as a whole.
struct WeightRows {
  int64_t outputs = 0;
  int64_t width = 0;
  std::function<at::Tensor(int64_t first, int64_t count)> rows;  // [count, width]
};
// As quantize(weight). Calls rows() for all rows in order; rows are of any floating dtype, on one
// device.
QuantizedWeight quantize(const WeightRows& weight, int64_t bits);

// The values of the weight, [outputs, width].
at::Tensor dequantize(const QuantizedWeight& weight, c10::ScalarType dtype);

// The weight as kernels read it (kernels/kernels.h). REQUIRES: contiguous tensors of one device,
// which outlive the result.
kernels::QuantizedMatrix kernel_matrix(const QuantizedWeight& weight);

// Rows of dequantize(weight). index: [n] int64 -> [n, width].
at::Tensor dequantize_rows(const QuantizedWeight& weight,
                           const at::Tensor& index,
                           c10::ScalarType dtype);

namespace reference {
QuantizedWeight quantize(const at::Tensor& weight, int64_t bits);
at::Tensor dequantize(const QuantizedWeight& weight, c10::ScalarType dtype);
}  // namespace reference

}  // namespace precis::ops
