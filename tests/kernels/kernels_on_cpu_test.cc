// SPDX-License-Identifier: Apache-2.0
// The GPU's kernels on the CPU, against the references of the ops that they serve.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cfloat>
#include <limits>
#include <random>
#include <utility>
#include <vector>

#include "kernels/cuda/decode_attention.cuh"
#include "kernels/cuda/gated_activation.cuh"
#include "kernels/cuda/rms_norm.cuh"
#include "kernels/cuda/rotary.cuh"
#include "kernels/cuda/sample.cuh"
#include "kernels/cuda/weight_only_linear.cuh"
#include "ops/decode_attention.h"
#include "ops/gated_activation.h"
#include "ops/linear.h"
#include "ops/quantized_weight.h"
#include "ops/rms_norm.h"
#include "ops/rotary.h"
#include "ops/sample.h"
#include "support/cuda_on_cpu/launch.h"
#include "support/sampling_cases.h"

namespace precis::kernels {
namespace {

using cuda_on_cpu::launch;
using cuda_on_cpu::run;

template <typename T>
constexpr c10::ScalarType kDtype = std::is_same_v<T, float> ? at::kFloat : at::kBFloat16;

// Largest error beside numbers around 1: that of rounding the result.
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

  // Relative to the numbers' size where that is above 1.
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
    const at::Tensor gain = at::randn({width});
    const RmsNormArguments a{
        x.const_data_ptr(), gain.const_data_ptr<float>(), out.mutable_data_ptr(), width, 1e-5f};
    launch<WarpNumbers>({{count(rows)}, {threads}, count(width)},
                        [&](WarpNumbers& numbers) { rms_norm_row<T, kPack>(a, numbers); });
    expect_near(out, ops::reference::rms_norm(x.to(at::kDouble), gain.to(at::kDouble), 1e-5));
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

  // A cache with room to spare: the heads of its rows lie apart.
  static ops::CachedKeysValues cached(int64_t kv_heads, int64_t num_keys, int64_t width) {
    const auto rows = [&] {
      at::Tensor all = empty({kv_heads, num_keys + 5, width});
      const at::Tensor used = all.narrow(1, 0, num_keys);
      used.copy_(random(used.sizes()));
      return used;
    };
    return {rows(), rows()};
  }

  template <int kPack, int kHeads>
  static at::Tensor attended(const at::Tensor& q,
                             const std::vector<ops::CachedKeysValues>& own,
                             const ops::AttentionOptions& options) {
    std::vector<CachedRows> rows;
    int64_t most = 0;
    for (const auto& [keys, values] : own) {
      const int64_t num_keys = keys.size(1);
      const int64_t first =
          options.window > 0 ? std::max<int64_t>(0, num_keys - options.window) : 0;
      rows.push_back(
          {keys.const_data_ptr(), values.const_data_ptr(), keys.stride(0), first, num_keys});
      most = std::max(most, num_keys - first);
    }
    const int64_t sequences = q.size(0), heads = q.size(1), width = q.size(2);
    const int64_t kv_heads = own[0].keys.size(0);
    const int64_t parts = (most + kKeysPerGpuPart - 1) / kKeysPerGpuPart;
    const at::Tensor query = q.to(at::kFloat);
    const double nan = std::numeric_limits<double>::quiet_NaN();
    const at::Tensor out = at::full(q.sizes(), nan, at::kFloat);
    const at::Tensor states = at::full({sequences * heads * parts * (width + 2)}, nan, at::kFloat);
    const DecodeAttentionArguments a{query.const_data_ptr<float>(),
                                     rows.data(),
                                     out.mutable_data_ptr<float>(),
                                     states.mutable_data_ptr<float>(),
                                     heads,
                                     kv_heads,
                                     width,
                                     parts,
                                     static_cast<float>(options.scale)};
    using Shared = DecodeAttentionShared<kHeads>;
    launch<Shared>({{count(sequences * kv_heads * parts)}, {kDecodeThreads}, count(most)},
                   [&](Shared& shared) { decode_attention_task<T, kPack>(a, shared); });
    run(
        {{count(sequences * heads)}, {64}}, [] {}, [&] { merge_decode_attention_head(a); });
    return out;
  }

  template <int kPack, int kHeads>
  static void expect_attention(const at::Tensor& q,
                               const std::vector<ops::CachedKeysValues>& own,
                               const ops::AttentionOptions& options) {
    std::vector<ops::CachedKeysValues> exact;
    for (const auto& [keys, values] : own)
      exact.push_back({keys.to(at::kDouble), values.to(at::kDouble)});
    expect_near(attended<kPack, kHeads>(q, own, options),
                ops::reference::decode_attention(q.to(at::kDouble), exact, options));
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

TYPED_TEST(KernelsOnCpu, DecodeAttentionOfAnyLength) {
  constexpr int kPack = kWidest<TypeParam>;
  for (const int64_t num_keys : {1, 2, 31, 255, 256, 257, 700}) {
    for (const int64_t window : {0, 1, 300}) {
      this->template expect_attention<kPack, 4>(
          this->random({1, 6, 64}), {this->cached(2, num_keys, 64)}, {0.125, window});
    }
  }
}

TYPED_TEST(KernelsOnCpu, DecodeAttentionOfAnyWidth) {
  constexpr int kPack = kWidest<TypeParam>;
  for (const int64_t width : {8, 40, 80, 96, 128, 256})
    this->template expect_attention<kPack, 1>(
        this->random({1, 2, width}), {this->cached(2, 70, width)}, {0.1, 0});
  for (const int64_t width : {1, 3, 33, 100, 255})
    this->template expect_attention<1, 1>(
        this->random({1, 2, width}), {this->cached(2, 70, width)}, {0.1, 0});
}

TYPED_TEST(KernelsOnCpu, DecodeAttentionOfAnyGroup) {
  constexpr int kPack = kWidest<TypeParam>;
  for (const auto& [heads, kv_heads] :
       {std::pair<int64_t, int64_t>{4, 4}, {9, 3}, {14, 2}, {11, 1}}) {
    const at::Tensor q = this->random({2, heads, 64});
    const std::vector<ops::CachedKeysValues> own{this->cached(kv_heads, 90, 64),
                                                 this->cached(kv_heads, 300, 64)};
    this->template expect_attention<kPack, 1>(q, own, {0.1, 0});
    this->template expect_attention<kPack, 4>(q, own, {0.1, 0});
    this->template expect_attention<kPack, 8>(q, own, {0.1, 20});
  }
}

// A score that is no number makes the row of its head none, and no other.
TYPED_TEST(KernelsOnCpu, DecodeAttentionKeepsWhatIsNoNumber) {
  const at::Tensor q = this->random({1, 2, 64});
  ops::CachedKeysValues own = this->cached(2, 300, 64);
  own.keys[1][280][3] = std::numeric_limits<double>::quiet_NaN();
  const at::Tensor out = this->template attended<kWidest<TypeParam>, 1>(q, {own}, {0.125, 0});
  EXPECT_FALSE(out[0][0].isnan().any().template item<bool>());
  EXPECT_TRUE(out[0][1].isnan().all().template item<bool>());
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

int64_t sampled(const at::Tensor& logits, const ops::SamplingOptions& options, uint64_t random) {
  int64_t id = -2;
  const SampleArguments a{
      logits.const_data_ptr<float>(),
      logits.numel(),
      options.temperature == 0 ? 0 : std::max(static_cast<float>(options.temperature), FLT_MIN),
      options.top_k,
      options.top_p,
      options.min_p,
      random,
      &id};
  launch<SampleShared>({{1}, {kSampleThreads}, random},
                       [&](SampleShared& shared) { sample_id(a, shared); });
  return id;
}

TEST(SampleOnCpu, EqualsItsReference) {
  at::manual_seed(4);
  std::mt19937_64 random(1);
  for (const int64_t vocabulary : {1, 2, 1000, 1024, 5003}) {
    for (const ops::SamplingOptions& options : sampling_cases()) {
      const at::Tensor logits = logits_with_ties(vocabulary);
      for (int draw = 0; draw < 3; ++draw) {
        const uint64_t bits = random();
        EXPECT_EQ(sampled(logits, options, bits), ops::reference::sample(logits, options, bits))
            << vocabulary << " ids, temperature " << options.temperature << ", top_k "
            << options.top_k << ", top_p " << options.top_p << ", min_p " << options.min_p;
      }
    }
  }
}

TEST(SampleOnCpu, ZerosOfBothSignsAreEqual) {
  for (const at::Tensor& logits : {at::tensor({-0.0f, 0.0f}), at::tensor({0.0f, -0.0f})}) {
    EXPECT_EQ(sampled(logits, {0}, 0), 0);
    EXPECT_EQ(sampled(logits, {1, 1, 1, 0}, ~uint64_t{0}), 0);
  }
}

TEST(SampleOnCpu, WhatIsNotFiniteIsFound) {
  for (const float bad : {std::nanf(""), INFINITY, -INFINITY}) {
    const at::Tensor logits = at::randn({3000});
    logits[2999] = bad;
    EXPECT_EQ(sampled(logits, {}, 7), -1);
    EXPECT_EQ(sampled(logits, {0}, 7), -1);
  }
}

}  // namespace
}  // namespace precis::kernels
