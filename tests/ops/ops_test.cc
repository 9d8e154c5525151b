// SPDX-License-Identifier: Apache-2.0
// Every kernel against the reference of its op, over dtypes and odd shapes.
#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>
#include <hwy/targets.h>
#include <torch/csrc/autograd/autograd.h>

#include <functional>

#include "ops/dense_attention.h"
#include "ops/gated_activation.h"
#include "ops/gather_rows.h"
#include "ops/linear.h"
#include "ops/rms_norm.h"
#include "ops/rotary.h"
#include "support/expect_error.h"

namespace precis {
namespace {

struct Precision {
  c10::ScalarType dtype;
  double tolerance;  // relative to the largest value
};

class Ops : public testing::TestWithParam<Precision> {
 protected:
  Ops() { at::manual_seed(7); }

  at::Tensor random(at::IntArrayRef shape) const { return at::randn(shape).to(GetParam().dtype); }

  void expect_close(const at::Tensor& actual, const at::Tensor& expected) const {
    ASSERT_EQ(actual.sizes(), expected.sizes());
    ASSERT_EQ(actual.scalar_type(), GetParam().dtype);
    if (actual.numel() == 0) return;
    const double error =
        (actual.to(at::kFloat) - expected.to(at::kFloat)).abs().max().item<double>();
    EXPECT_LE(error, GetParam().tolerance * expected.to(at::kFloat).abs().max().item<double>());
  }

  c10::NoGradGuard no_grad;
};

TEST_P(Ops, RmsNormEqualsItsReference) {
  for (const int64_t width : {1, 7, 64, 576, 1000}) {
    for (const int64_t rows : {1, 3, 129}) {
      const at::Tensor x = random({rows, width}), norm_weight = at::randn({width});
      expect_close(ops::rms_norm(x, norm_weight, 1e-5),
                   ops::reference::rms_norm(x, norm_weight, 1e-5));
    }
  }
}

TEST_P(Ops, RmsNormOfStridedHeadsEqualsItsReference) {
  const at::Tensor x = random({5, 96}).narrow(1, 32, 48).unflatten(1, {3, 16}),
                   norm_weight = at::randn({16});
  expect_close(ops::rms_norm(x, norm_weight, 1e-6), ops::reference::rms_norm(x, norm_weight, 1e-6));
}

TEST_P(Ops, GatherRowsReadsTwoMatricesAsOne) {
  const at::Tensor first = random({20, 7}), second = random({3, 7});
  const at::Tensor indices = at::tensor({22, 19, 0, 20, 4, 22}, at::kLong);
  const at::Tensor expected =
      at::stack({second[2], first[19], first[0], second[0], first[4], second[2]});
  EXPECT_TRUE(ops::gather_rows(first, second, indices).equal(expected));
  const at::Tensor none = second.narrow(0, 0, 0), some = at::tensor({19, 4}, at::kLong);
  EXPECT_TRUE(ops::gather_rows(first, none, some).equal(first.index_select(0, some)));
  EXPECT_TRUE(ops::gather_rows(none, first, some).equal(first.index_select(0, some)));
  EXPECT_EQ(ops::gather_rows(first, second, some.narrow(0, 0, 0)).size(0), 0);
}

TEST_P(Ops, RotaryEqualsItsReference) {
  for (const int64_t head_dim : {2, 16, 64, 256}) {
    const at::Tensor frequencies = ops::rotary_frequencies({}, head_dim);
    const auto table = ops::rotary_table(frequencies, at::arange(100, 133), 1.0);
    const at::Tensor packed = random({33, 5 * head_dim});
    const at::Tensor x = packed.narrow(1, head_dim, 3 * head_dim).unflatten(1, {3, head_dim});
    expect_close(ops::rotary(x, table), ops::reference::rotary(x, table));
  }
}

TEST_P(Ops, GatedActivationEqualsItsReference) {
  for (const auto activation :
       {DecoderConfig::Activation::kSilu, DecoderConfig::Activation::kGeluTanh}) {
    for (const int64_t width : {1, 33, 1536}) {
      const at::Tensor x = random({17, 2 * width}) * 4;
      expect_close(ops::gated_activation(x, activation),
                   ops::reference::gated_activation(x, activation));
    }
  }
}

TEST_P(Ops, GatedActivationSurvivesExtremeInput) {
  const at::Tensor x =
      at::tensor({-1e4f, -100.f, -0.f, 0.f, 100.f, 1e4f, 1.f, 1.f, 1.f, 1.f, 1.f, 1.f})
          .view({1, 12})
          .to(GetParam().dtype);
  for (const auto activation :
       {DecoderConfig::Activation::kSilu, DecoderConfig::Activation::kGeluTanh}) {
    expect_close(ops::gated_activation(x, activation),
                 ops::reference::gated_activation(x, activation));
  }
}

// Sizes on both sides of the thresholds of kernel, blocks and tails.
TEST_P(Ops, LinearEqualsItsReference) {
  for (const int64_t width : {1, 7, 64, 576}) {
    for (const int64_t outputs : {1, 3, 4, 66, 2000}) {
      const at::Tensor weight = random({outputs, width}), bias = random({outputs});
      for (const int64_t rows : {0, 1, 2, 4, 5, 16, 40}) {
        const at::Tensor x = random({rows, width});
        const at::Tensor expected = at::linear(x.to(at::kDouble), weight.to(at::kDouble));
        expect_close(ops::linear(x, weight), expected);
        expect_close(ops::linear(x, weight, bias), expected + bias.to(at::kDouble));
      }
    }
  }
}

TEST_P(Ops, LinearAgreesOnEveryInstructionSet) {
  const at::Tensor weight = random({37, 150}), x = random({6, 150});
  const at::Tensor expected = at::linear(x.to(at::kDouble), weight.to(at::kDouble));
  for (int64_t targets = hwy::SupportedTargets(); targets != 0; targets &= targets - 1) {
    hwy::SetSupportedTargetsForTest(targets & -targets);
    expect_close(ops::linear(x, weight), expected);
    expect_close(ops::linear(x.narrow(0, 0, 1), weight), expected.narrow(0, 0, 1));
  }
  hwy::SetSupportedTargetsForTest(0);
}

TEST_P(Ops, LinearOfStridedRowsEqualsItsReference) {
  const at::Tensor x = random({3, 96}).narrow(1, 32, 48), weight = random({10, 48});
  expect_close(ops::linear(x, weight), at::linear(x.to(at::kDouble), weight.to(at::kDouble)));
  const at::Tensor turned = random({48, 10}).t();
  expect_close(ops::linear(x, turned), at::linear(x.to(at::kDouble), turned.to(at::kDouble)));
}

TEST_P(Ops, PrefillAttentionEqualsItsReference) {
  for (const auto& [queries, keys] : {std::pair<int64_t, int64_t>{1, 1}, {40, 40}, {5, 33}}) {
    for (const int64_t window : {0, 8}) {
      const at::Tensor q = random({2, 6, queries, 32}), k = random({2, 3, keys, 32}),
                       v = random({2, 3, keys, 32});
      const ops::AttentionOptions options{0.2, window};
      expect_close(ops::dense_attention(q, k, v, options),
                   ops::reference::dense_attention(q, k, v, options));
    }
  }
}

// libtorch's fused kernel takes grouped-query attention, with gradients too; its fallback is slow.
TEST(GroupedQueryAttention, UsesTheFusedKernel) {
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    for (const bool gradients : {false, true}) {
      const auto heads = [&](int64_t count) {
        return at::randn({2, count, 40, 64}, dtype).requires_grad_(gradients);
      };
      const at::Tensor q = heads(9), k = heads(3), v = heads(3);
      const at::Tensor mask = at::ones({40, 40}, at::kBool).tril();
      constexpr int64_t kFlash = 1;  // at::native::SDPBackend, a header of libtorch's own
      EXPECT_EQ(at::_fused_sdp_choice(q, k, v, {}, 0.0, true, 0.125, true), kFlash);
      EXPECT_EQ(at::_fused_sdp_choice(q, k, v, mask, 0.0, false, 0.125, true), kFlash);
    }
  }
}

// The backward passes of short and of long sequences take different paths.
TEST_P(Ops, GradientsOfAttentionEqualThoseOfItsReference) {
  const c10::AutoGradMode gradients_on(true);
  for (const auto& [queries, keys] : {std::pair<int64_t, int64_t>{40, 40}, {5, 33}, {200, 200}}) {
    const auto gradients = [&](const auto& attention, at::ScalarType dtype) {
      at::manual_seed(3);
      std::vector<at::Tensor> leaves;
      for (const auto& [heads, rows] :
           {std::pair<int64_t, int64_t>{6, queries}, {3, keys}, {3, keys}})
        leaves.push_back(at::randn({2, heads, rows, 32}).to(dtype).requires_grad_(true));
      const at::Tensor attended = attention(leaves[0], leaves[1], leaves[2]);
      (attended * at::arange(32).cos().to(dtype)).sum().backward();
      return std::vector{leaves[0].grad(), leaves[1].grad(), leaves[2].grad()};
    };
    const ops::AttentionOptions options{0.2, 0};
    const auto got = gradients(
        [&](const auto& q, const auto& k, const auto& v) {
          return ops::dense_attention(q, k, v, options);
        },
        GetParam().dtype);
    const auto wanted = gradients(
        [&](const auto& q, const auto& k, const auto& v) {
          return ops::reference::dense_attention(q, k, v, options);
        },
        at::kFloat);
    for (size_t i = 0; i < got.size(); ++i) {
      EXPECT_EQ(got[i].scalar_type(), GetParam().dtype);
      const double largest = wanted[i].abs().max().item<double>();
      EXPECT_LT((got[i].to(at::kFloat) - wanted[i]).abs().max().item<double>(),
                (GetParam().dtype == at::kFloat ? 1e-5 : 0.03) * largest)
          << queries << " queries, gradient " << i;
    }
  }
}

// Queries at the positions of keys that are cached, with visible_cache_len as in a causal pass.
TEST_P(Ops, VisibleCacheLenUpToEachQueryEqualsACausalPass) {
  const at::Tensor q = random({2, 6, 20, 32}), k = random({2, 3, 20, 32}),
                   v = random({2, 3, 20, 32});
  const at::Tensor seen = at::tensor({0, 3, 4, 13, 19}, at::kLong);
  const auto own = [&](const at::Tensor& x) { return x.index_select(2, seen); };
  for (const int64_t window : {0, 8}) {
    const ops::AttentionOptions options{0.2, window};
    const at::Tensor pass = ops::reference::dense_attention(q, k, v, options);
    const at::Tensor keys = at::cat({k, own(k)}, 2), values = at::cat({v, own(v)}, 2);
    expect_close(ops::dense_attention(own(q), keys, values, options, seen), own(pass));
    expect_close(ops::reference::dense_attention(own(q), keys, values, options, seen), own(pass));
  }
}

INSTANTIATE_TEST_SUITE_P(Cpu,
                         Ops,
                         testing::Values(Precision{at::kFloat, 2e-6},
                                         Precision{at::kBFloat16, 0.02}),
                         [](const auto& test) {
                           return test.param.dtype == at::kFloat ? "float32" : "bfloat16";
                         });

TEST(OpErrors, NameTheMismatch) {
  expect_error(ErrorKind::kInvalidArgument, "rms_norm", [] {
    ops::rms_norm(at::ones({2, 3}), at::ones({4}), 1e-5);
  });
  expect_error(ErrorKind::kInvalidArgument, "linear", [] {
    ops::linear(at::ones({2, 3}), at::ones({5, 4}));
  });
  expect_error(ErrorKind::kInvalidArgument, "bias", [] {
    ops::linear(at::ones({2, 3}), at::ones({5, 3}), at::ones({4}));
  });
  expect_error(ErrorKind::kInvalidArgument, "attention", [] {
    ops::dense_attention(
        at::ones({1, 3, 1, 4}), at::ones({1, 2, 1, 4}), at::ones({1, 2, 1, 4}), {});
  });
}

TEST(OpErrors, GatherRowsRefusesRowsOfOtherWidths) {
  const at::Tensor table = at::ones({5, 2}), sources = at::tensor({1}, at::kLong);
  expect_error(ErrorKind::kInvalidArgument, "gather_rows", [&] {
    ops::gather_rows(table, at::ones({1, 3}), sources);
  });
  expect_error(ErrorKind::kInvalidArgument, "gather_rows", [&] {
    ops::gather_rows(table, table, sources.to(at::kInt));
  });
}

TEST(OpErrors, AttentionRefusesAVisibleLengthThatIsNotOnePerQuery) {
  const at::Tensor x = at::ones({1, 2, 3, 4});
  for (const at::Tensor& seen :
       {at::ones({2}, at::kLong), at::ones({3}), at::ones({3, 1}, at::kLong)}) {
    ops::AttentionOptions options;
    expect_error(ErrorKind::kInvalidArgument, "each of the 3 queries", [&] {
      ops::dense_attention(x, x, x, {}, seen);
    });
  }
}

// With a cache of another dtype than the decoder's a kernel would read out of bounds.
TEST(OpErrors, AttentionRefusesMixedDtypes) {
  const auto rows = [](int64_t size, c10::ScalarType dtype) {
    return at::ones({1, 2, size, 4}, dtype);
  };
  const auto refuse = [&](const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
    expect_error(
        ErrorKind::kInvalidArgument, "one dtype", [&] { ops::dense_attention(q, k, v, {}); });
  };
  for (const int64_t queries : {1, 3}) {
    const at::Tensor wide = rows(queries, at::kFloat), wide_keys = rows(5, at::kFloat);
    const at::Tensor narrow = rows(queries, at::kBFloat16), narrow_keys = rows(5, at::kBFloat16);
    refuse(wide, narrow_keys, narrow_keys);
    refuse(wide, wide_keys, narrow_keys);
    refuse(narrow, wide_keys, wide_keys);
  }
}

// Backward kernels against autograd over the reference in float64.
class OpGradients : public testing::TestWithParam<Precision> {
 protected:
  using Op = std::function<at::Tensor(const at::Tensor&)>;

  OpGradients() { at::manual_seed(11); }

  static at::Tensor gradient(const Op& op, const at::Tensor& x, const at::Tensor& weights) {
    const at::Tensor own = x.detach().requires_grad_(true);
    op(own).backward(weights.to(own.scalar_type()));
    return own.grad();
  }

  static void expect_equal(const Op& op, const Op& reference, const at::Tensor& wide) {
    const at::Tensor x = wide.to(GetParam().dtype), exact = x.to(at::kDouble);
    const at::Tensor weights = at::randn(op(x).sizes()).to(GetParam().dtype);
    const auto expect_close = [&](const at::Tensor& given) {
      const at::Tensor actual = gradient(op, x, given);
      const at::Tensor expected = gradient(reference, exact, given);
      ASSERT_EQ(actual.scalar_type(), GetParam().dtype);
      const double error = (actual.to(at::kDouble) - expected).abs().max().item<double>();
      EXPECT_LE(error, GetParam().tolerance * expected.abs().max().item<double>());
    };
    expect_close(weights);
    // gradients in the layouts that other ops produce: strided and expanded
    expect_close(at::stack({weights, weights}, -1).select(-1, 1));
    expect_close(at::ones({1}, weights.options()).expand(weights.sizes()));
  }
};

TEST_P(OpGradients, OfRmsNormEqualThoseOfTheReference) {
  for (const int64_t width : {3, 7, 576}) {
    const at::Tensor norm_weight = at::randn({width});
    expect_equal([&](const auto& x) { return ops::rms_norm(x, norm_weight, 1e-5); },
                 [&](const auto& x) { return ops::reference::rms_norm(x, norm_weight, 1e-5); },
                 at::randn({37, width}));
    // strided heads
    expect_equal([&](const auto& x) { return ops::rms_norm(x.narrow(1, 1, 2), norm_weight, 1e-5); },
                 [&](const auto& x) {
                   return ops::reference::rms_norm(x.narrow(1, 1, 2), norm_weight, 1e-5);
                 },
                 at::randn({5, 4, width}));
  }
}

TEST_P(OpGradients, OfRotaryEqualThoseOfTheReference) {
  for (const int64_t head_dim : {2, 64}) {
    const auto table =
        ops::rotary_table(ops::rotary_frequencies({}, head_dim), at::arange(100, 133), 0.7);
    expect_equal([&](const auto& x) { return ops::rotary(x.narrow(1, 1, 3), table); },
                 [&](const auto& x) { return ops::reference::rotary(x.narrow(1, 1, 3), table); },
                 at::randn({33, 5, head_dim}));
  }
}

TEST_P(OpGradients, OfGatedActivationEqualThoseOfTheReference) {
  for (const auto activation :
       {DecoderConfig::Activation::kSilu, DecoderConfig::Activation::kGeluTanh}) {
    for (const int64_t width : {1, 33, 1536}) {
      expect_equal([&](const auto& x) { return ops::gated_activation(x, activation); },
                   [&](const auto& x) { return ops::reference::gated_activation(x, activation); },
                   at::randn({17, 2 * width}) * 4);
    }
  }
}

TEST_P(OpGradients, OfGatedActivationSurviveExtremeInput) {
  const at::Tensor gate = at::tensor({-1e4f, -100.f, -0.f, 0.f, 100.f, 1e4f}).unsqueeze(0);
  const at::Tensor x = at::cat({gate, at::ones_like(gate)}, 1);
  for (const auto activation :
       {DecoderConfig::Activation::kSilu, DecoderConfig::Activation::kGeluTanh}) {
    expect_equal(
        [&](const auto& input) { return ops::gated_activation(input, activation); },
        [&](const auto& input) { return ops::reference::gated_activation(input, activation); },
        x);
  }
}

INSTANTIATE_TEST_SUITE_P(Cpu,
                         OpGradients,
                         testing::Values(Precision{at::kFloat, 3e-6},
                                         Precision{at::kBFloat16, 0.01}),
                         [](const auto& test) {
                           return test.param.dtype == at::kFloat ? "float32" : "bfloat16";
                         });

// There is no backward kernel for the norm weight: autograd takes the reference.
TEST(GradientsOfOps, ReachANormWeight) {
  const at::Tensor x = at::randn({4, 8}).requires_grad_(true);
  const at::Tensor norm_weight = at::ones({8}).requires_grad_(true);
  ops::rms_norm(x, norm_weight, 1e-5).sum().backward();
  EXPECT_GT(norm_weight.grad().abs().sum().item<float>(), 0);
}

TEST(GradientsOfOps, CanBeTakenTwiceWithRetainGraph) {
  const at::Tensor x = at::randn({4, 8}).requires_grad_(true);
  const at::Tensor y = ops::rms_norm(x, at::ones({8}), 1e-5).square().sum();
  const auto take = [&](bool keep) { return torch::autograd::grad({y}, {x}, {}, keep)[0]; };
  const at::Tensor first = take(true);
  EXPECT_TRUE(at::equal(first, take(false)));
  EXPECT_THROW(take(false), c10::Error);
}

TEST(GradientsOfOps, SecondDerivativesAreRefused) {
  const at::Tensor x = at::randn({4, 8}).requires_grad_(true);
  const at::Tensor y = ops::rms_norm(x, at::ones({8}), 1e-5).sum();
  expect_error(ErrorKind::kUnsupported, "gradient of a gradient", [&] {
    torch::autograd::grad({y}, {x}, {}, /*retain_graph=*/true, /*create_graph=*/true);
  });
}

TEST(GradientsOfOps, ReachTheGatheredRows) {
  const at::Tensor table = at::ones({5, 2}), others = at::ones({2, 2}).requires_grad_();
  ops::gather_rows(table, others, at::tensor({5, 3, 5}, at::kLong)).sum().backward();
  EXPECT_TRUE(others.grad().equal(at::tensor({2.f, 2.f, 0.f, 0.f}).view({2, 2})));
}

TEST(GradientsOfOps, FlowThroughEveryOp) {
  const at::Tensor x = at::randn({4, 8}).requires_grad_(true);
  const at::Tensor normed = ops::rms_norm(x, at::ones({8}), 1e-5);
  const auto table = ops::rotary_table(ops::rotary_frequencies({}, 4), at::arange(4), 1.0);
  const at::Tensor heads =
      ops::rotary(normed.unflatten(1, {2, 4}), table).transpose(0, 1).unsqueeze(0);
  const at::Tensor attended = ops::dense_attention(heads, heads, heads, {});
  const at::Tensor gated = ops::gated_activation(attended.squeeze(0).transpose(0, 1).flatten(1),
                                                 DecoderConfig::Activation::kSilu);
  ops::linear(gated, at::ones({3, 4})).sum().backward();
  EXPECT_GT(x.grad().abs().sum().item<float>(), 0);
}

}  // namespace
}  // namespace precis
