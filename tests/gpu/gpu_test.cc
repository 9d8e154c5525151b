// SPDX-License-Identifier: Apache-2.0
// Ops on a GPU against their references on the CPU; skipped if there is no GPU. What kernels
// compute is tested without one in tests/kernels; this tests launches, copies and streams.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "ops/gated_activation.h"
#include "ops/kernel_arguments.h"
#include "ops/linear.h"
#include "ops/packed_attention.h"
#include "ops/quantized_linear.h"
#include "ops/rms_norm.h"
#include "ops/rotary.h"
#include "support/sampling_cases.h"

namespace precis {
namespace {

struct Precision {
  c10::ScalarType dtype;
  double tolerance;
};

// Copies to the GPU and checks that its kernels apply: otherwise the ops would compare references.
at::Tensor on_gpu(const at::Tensor& x) {
  at::Tensor own = x.to(at::kCUDA);
  const bool known = own.scalar_type() == at::kFloat || own.scalar_type() == at::kBFloat16;
  EXPECT_EQ(ops::gpu_kernel_applies(own), known);
  return own;
}

class OnGpu : public testing::TestWithParam<Precision> {
 protected:
  void SetUp() override {
    if (!at::hasCUDA()) GTEST_SKIP() << "no GPU";
    at::manual_seed(6);
  }

  static at::Tensor random(at::IntArrayRef shape) {
    return at::randn(shape, at::kFloat).to(GetParam().dtype);
  }

  static void expect_near(const at::Tensor& result, const at::Tensor& expected) {
    ASSERT_TRUE(result.is_cuda());
    ASSERT_EQ(result.sizes(), expected.sizes());
    const at::Tensor wide = expected.to(at::kDouble);
    const at::Tensor error = (result.cpu().to(at::kDouble) - wide).abs() / wide.abs().clamp_min(1);
    EXPECT_LT(error.max().item<double>(), GetParam().tolerance) << result.sizes();
  }
};

TEST_P(OnGpu, RmsNorm) {
  for (const int64_t rows : {1, 3, 70000}) {
    for (const int64_t width : {7, 576}) {
      const at::Tensor x = random({rows, width}), norm_weight = at::randn({width});
      expect_near(ops::rms_norm(on_gpu(x), on_gpu(norm_weight), 1e-5),
                  ops::reference::rms_norm(x, norm_weight, 1e-5));
    }
  }
}

TEST_P(OnGpu, Rotary) {
  for (const int64_t head_dim : {6, 64, 128}) {
    const at::Tensor fused = random({500, 5 * head_dim}), angles = at::randn({500, head_dim / 2});
    const auto heads = [&](const at::Tensor& x) {
      return x.narrow(1, 0, 3 * head_dim).unflatten(1, {3, head_dim});
    };
    expect_near(ops::rotary(heads(on_gpu(fused)), {on_gpu(angles.cos()), on_gpu(angles.sin())}),
                ops::reference::rotary(heads(fused), {angles.cos(), angles.sin()}));
  }
}

TEST_P(OnGpu, GatedActivation) {
  for (const int64_t rows : {1, 70000}) {
    for (const int64_t width : {31, 1536}) {
      if (rows * width > 10'000'000) continue;
      const at::Tensor gate_up = random({rows, 2 * width});
      for (const auto activation :
           {DecoderConfig::Activation::kSilu, DecoderConfig::Activation::kGeluTanh})
        expect_near(ops::gated_activation(on_gpu(gate_up), activation),
                    ops::reference::gated_activation(gate_up.to(at::kDouble), activation));
    }
  }
}

TEST_P(OnGpu, PackedAttention) {
  const std::vector<int64_t> queries{0, 3, 4, 300}, keys{0, 3, 21, 900};
  const auto here = ops::packed_sequences(queries, keys, at::kCPU);
  const auto there = ops::packed_sequences(queries, keys, at::kCUDA);
  for (const auto& [heads, kv_heads] : {std::pair<int64_t, int64_t>{4, 4}, {9, 3}, {14, 2}}) {
    for (const int64_t width : {36, 64, 128, 256}) {
      const at::Tensor q = random({300, heads, width}), k = random({900, kv_heads, width});
      const auto part = [&](const at::Tensor& x) { return x.narrow(1, kv_heads, kv_heads); };
      const at::Tensor v = random({900, 3 * kv_heads, width});
      for (const int64_t window : {0, 50}) {
        const ops::AttentionOptions options{0.1, window};
        expect_near(
            ops::packed_attention(on_gpu(q), on_gpu(k), part(on_gpu(v)), there, options),
            ops::reference::packed_attention(
                q.to(at::kDouble), k.to(at::kDouble), part(v).to(at::kDouble), here, options));
      }
    }
  }
}

TEST_P(OnGpu, ProductsOfQuantizedWeights) {
  for (const int64_t bits : {4, 8}) {
    const ops::QuantizedWeight here = ops::quantize(at::randn({1000, 576}), bits);
    ops::QuantizedWeight weight{bits, on_gpu(here.codes), on_gpu(here.scales), {}};
    if (here.mins.defined()) weight.mins = on_gpu(here.mins);
    for (const int64_t rows : {1, 3, 8, 16, 40}) {
      const at::Tensor x = random({rows, 576}) / 24, bias = random({1000});
      const at::Tensor exact = ops::dequantize(here, at::kFloat).to(at::kDouble);
      expect_near(ops::linear(on_gpu(x), weight, on_gpu(bias)),
                  ops::reference::linear(x.to(at::kDouble), exact, bias.to(at::kDouble)));
    }
  }
}

TEST_P(OnGpu, GradientsUseTheReference) {
  const at::Tensor x = on_gpu(random({3, 64})).requires_grad_();
  ops::rms_norm(x, on_gpu(at::ones({64})), 1e-5).sum().backward();
  EXPECT_TRUE(x.grad().isfinite().all().item<bool>());
}

INSTANTIATE_TEST_SUITE_P(Dtypes,
                         OnGpu,
                         testing::Values(Precision{at::kFloat, 1e-4},
                                         Precision{at::kBFloat16, 3e-2}),
                         [](const auto& test) { return at::toString(test.param.dtype); });

TEST(SampleOnGpu, EqualsItsReference) {
  if (!at::hasCUDA()) GTEST_SKIP() << "no GPU";
  at::manual_seed(4);
  std::mt19937_64 random(1);
  for (const int64_t vocabulary : {1, 1000, 49152, 262144}) {
    for (const ops::SamplingOptions& options : sampling_cases()) {
      const at::Tensor logits = logits_with_ties(vocabulary);
      const uint64_t bits = random();
      EXPECT_EQ(sample_row(on_gpu(logits), options, bits),
                ops::reference::sample(logits, options, bits))
          << vocabulary << " ids, temperature " << options.temperature;
    }
  }
}

}  // namespace
}  // namespace precis
