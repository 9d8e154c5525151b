// SPDX-License-Identifier: Apache-2.0
// The GPU kernels in the harness on the CPU, against the references of their ops.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <utility>
#include <vector>

#include "kernels/cuda/gated_activation.cuh"
#include "kernels/cuda/rms_norm.cuh"
#include "kernels/cuda/rotary.cuh"
#include "kernels/cuda/weight_only_linear.cuh"
#include "ops/gated_activation.h"
#include "ops/linear.h"
#include "ops/quantized_weight.h"
#include "ops/rms_norm.h"
#include "ops/rotary.h"
#include "support/cuda_on_cpu/launch.h"

namespace precis::kernels {
namespace {

using cuda_on_cpu::launch;
using cuda_on_cpu::run;

template <typename T>
constexpr c10::ScalarType kDtype = std::is_same_v<T, float> ? at::kFloat : at::kBFloat16;

// Largest error for values around 1: that of rounding the result.
template <typename T>
constexpr double kTolerance = std::is_same_v<T, float> ? 2e-5 : 2e-2;

unsigned count(int64_t n) { return static_cast<unsigned>(n); }

template <typename T>
class KernelsOnCpu : public testing::Test {
 protected:
  void SetUp() override { at::manual_seed(5); }

  static at::Tensor random(at::IntArrayRef shape) {
    return at::randn(shape, at::kFloat).to(kDtype<T>);
  }
  static at::Tensor empty(at::IntArrayRef shape) {
    return at::full(shape, std::numeric_limits<double>::quiet_NaN(), kDtype<T>);
  }

  // Relative for values above 1, else absolute.
  static void expect_near(const at::Tensor& result, const at::Tensor& expected) {
    ASSERT_EQ(result.sizes(), expected.sizes());
    if (result.numel() == 0) return;
    const at::Tensor wide = expected.to(at::kDouble);
    const at::Tensor error = (result.to(at::kDouble) - wide).abs() / wide.abs().clamp_min(1);
    EXPECT_LT(error.max().template item<double>(), kTolerance<T>) << result.sizes();
  }

  template <int kPack>
  static void expect_rms_norm(int64_t rows, int64_t width, unsigned threads) {
    const at::Tensor x = random({rows, width}), out = empty({rows, width});
    const at::Tensor norm_weight = at::randn({width});
    const RmsNormArguments a{x.const_data_ptr(),
                             norm_weight.const_data_ptr<float>(),
                             out.mutable_data_ptr(),
                             width,
                             1e-5f};
    launch<WarpValues>({{count(rows)}, {threads}, count(width)},
                       [&](WarpValues& per_warp) { rms_norm_row<T, kPack>(a, per_warp); });
    expect_near(out,
                ops::reference::rms_norm(x.to(at::kDouble), norm_weight.to(at::kDouble), 1e-5));
  }

  template <int kPack>
  static void expect_rotary(int64_t rows, int64_t heads, int64_t head_dim, int64_t others) {
    const at::Tensor fused = random({rows, (heads + others) * head_dim});
    const at::Tensor x = fused.narrow(1, 0, heads * head_dim).unflatten(1, {heads, head_dim});
    const at::Tensor angles = at::randn({rows, head_dim / 2});
    const ops::RotaryTable table{angles.cos(), angles.sin()};
    const at::Tensor out = empty(x.sizes());
    const RotaryArguments a{x.const_data_ptr(),
                            table.cos.const_data_ptr<float>(),
                            table.sin.const_data_ptr<float>(),
                            out.mutable_data_ptr(),
                            x.stride(0),
                            heads,
                            head_dim};
    run(
        {{count(rows)}, {64}}, [] {}, [&] { rotary_row<T, kPack>(a); });
    expect_near(out,
                ops::reference::rotary(x.to(at::kDouble),
                                       {table.cos.to(at::kDouble), table.sin.to(at::kDouble)}));
  }

  template <int kPack>
  static void expect_gated_activation(int64_t rows, int64_t width, bool gelu) {
    const at::Tensor gate_up = random({rows, 2 * width}) * 3, out = empty({rows, width});
    const GatedActivationArguments a{gate_up.const_data_ptr(), out.mutable_data_ptr(), width, gelu};
    run(
        {{count(rows), 2}, {32}}, [] {}, [&] { gated_activation_row<T, kPack>(a); });
    expect_near(out,
                ops::reference::gated_activation(gate_up.to(at::kDouble),
                                                 gelu ? DecoderConfig::Activation::kGeluTanh
                                                      : DecoderConfig::Activation::kSilu));
  }

  // Inputs whose products are about 1. kPack: of x.
  template <typename Weight, int kPack, int kRows>
  static void expect_product(int64_t bits, int64_t rows, int64_t width, int64_t outputs) {
    const at::Tensor x = random({rows, width}) / std::sqrt(width), bias = random({outputs});
    const ops::QuantizedWeight weight = ops::quantize(at::randn({outputs, width}), bits);
    const at::Tensor exact = ops::dequantize(weight, at::kFloat).to(at::kDouble);
    for (const bool with_bias : {false, true}) {
      const at::Tensor out = empty({rows, outputs});
      const WeightOnlyLinearArguments a{x.const_data_ptr(),
                                        ops::kernel_matrix(weight),
                                        with_bias ? bias.const_data_ptr() : nullptr,
                                        out.mutable_data_ptr(),
                                        rows,
                                        outputs};
      const int64_t blocks = (outputs + kOutputsOfBlock - 1) / kOutputsOfBlock;
      run(
          {{count(blocks)}, {kLinearThreads}, count(width)},
          [] {},
          [&] { weight_only_outputs<T, Weight, kPack, kRows>(a); });
      const at::Tensor own = with_bias ? bias.to(at::kDouble) : at::Tensor();
      expect_near(out, ops::reference::linear(x.to(at::kDouble), exact, own));
    }
  }
};

using Elements = testing::Types<float, __nv_bfloat16>;
TYPED_TEST_SUITE(KernelsOnCpu, Elements);

TYPED_TEST(KernelsOnCpu, RmsNorm) {
  constexpr int kPack = kWidest<TypeParam>;
  for (const unsigned threads : {32u, 256u}) {
    for (const int64_t width : {1, 7, 63, 257, 576})
      this->template expect_rms_norm<1>(3, width, threads);
    for (const int64_t width : {8, 64, 576, 4096})
      this->template expect_rms_norm<kPack>(2, width, threads);
  }
}

TYPED_TEST(KernelsOnCpu, Rotary) {
  for (const int64_t head_dim : {2, 6, 64}) this->template expect_rotary<1>(3, 3, head_dim, 2);
  for (const int64_t head_dim : {16, 64, 128}) {
    this->template expect_rotary<kWidest<TypeParam>>(5, 9, head_dim, 0);
    this->template expect_rotary<kWidest<TypeParam>>(1, 2, head_dim, 3);
  }
}

TYPED_TEST(KernelsOnCpu, GatedActivation) {
  for (const bool gelu : {false, true}) {
    for (const int64_t width : {1, 31, 200})
      this->template expect_gated_activation<1>(2, width, gelu);
    for (const int64_t width : {8, 512, 1536})
      this->template expect_gated_activation<kWidest<TypeParam>>(3, width, gelu);
  }
}

TYPED_TEST(KernelsOnCpu, WeightOnlyLinear) {
  constexpr int kPack = kWidest<TypeParam>;
  for (const int64_t width : {32, 96, 576, 1024, 1536}) {
    this->template expect_product<Int8Weight, kPack, 1>(8, 1, width, 9);
    this->template expect_product<Int8Weight, 1, 8>(8, 5, width, 1);
    this->template expect_product<Int8Weight, kPack, 16>(8, 13, width, 5);
    this->template expect_product<Int4Weight, kPack, 1>(4, 1, width, 9);
    this->template expect_product<Int4Weight, 1, 4>(4, 3, width, 6);
    this->template expect_product<Int4Weight, kPack, 16>(4, 16, width, 17);
  }
}

}  // namespace
}  // namespace precis::kernels
