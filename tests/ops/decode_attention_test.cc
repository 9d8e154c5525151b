// SPDX-License-Identifier: Apache-2.0
#include "ops/decode_attention.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <hwy/targets.h>

#include <limits>

#include "support/expect_error.h"

namespace precis {
namespace {

struct Precision {
  c10::ScalarType dtype;
  double tolerance;
};

class DecodeAttention : public testing::TestWithParam<Precision> {
 protected:
  void SetUp() override { at::manual_seed(3); }

  at::Tensor random(at::IntArrayRef shape) const {
    return at::randn(shape, at::kFloat).to(GetParam().dtype);
  }

  // A cache with room to spare: the heads of its rows lie apart.
  ops::CachedKeysValues cached(int64_t kv_heads, int64_t num_keys, int64_t width) const {
    const auto rows = [&] {
      return random({kv_heads, num_keys + 5, width}).narrow(1, 0, num_keys);
    };
    return {rows(), rows()};
  }

  void expect_reference(const at::Tensor& q,
                        const std::vector<ops::CachedKeysValues>& own,
                        const ops::AttentionOptions& options) const {
    const at::Tensor result = ops::decode_attention(q, own, options);
    std::vector<ops::CachedKeysValues> exact;
    for (const auto& [keys, values] : own)
      exact.push_back({keys.to(at::kDouble), values.to(at::kDouble)});
    const at::Tensor expected = ops::reference::decode_attention(q.to(at::kDouble), exact, options);
    ASSERT_EQ(result.sizes(), expected.sizes());
    EXPECT_EQ(result.scalar_type(), GetParam().dtype);
    const double difference = (result.to(at::kDouble) - expected).abs().max().item<double>();
    EXPECT_LT(difference, GetParam().tolerance)
        << q.sizes() << " over " << own[0].keys.sizes() << ", window " << options.window;
  }
};

TEST_P(DecodeAttention, EqualsItsReference) {
  for (const int64_t width : {1, 6, 32, 64, 100, 256}) {
    for (const int64_t num_keys : {1, 3, 64, 65, 256, 257, 700}) {
      for (const int64_t window : {0, 1, 300}) {
        expect_reference(random({1, 6, width}), {cached(2, num_keys, width)}, {0.125, window});
      }
    }
  }
}

TEST_P(DecodeAttention, EverySequenceReadsItsOwnRows) {
  std::vector<ops::CachedKeysValues> own;
  for (const int64_t num_keys : {300, 1, 17, 1000, 256}) own.push_back(cached(3, num_keys, 64));
  const at::Tensor q = random({5, 9, 64});
  expect_reference(q, own, {0.125, 0});
  expect_reference(q, own, {0.125, 20});
  // Whatever stands beside it, to the last bit.
  const at::Tensor together = ops::decode_attention(q, own, {0.125, 0});
  for (int64_t i = 0; i < 5; ++i) {
    const at::Tensor alone = ops::decode_attention(q.narrow(0, i, 1), {own[i]}, {0.125, 0});
    EXPECT_TRUE(at::equal(alone[0], together[i])) << i;
  }
}

TEST_P(DecodeAttention, GroupsOfAnySize) {
  for (const auto& [heads, kv_heads] : {std::pair<int64_t, int64_t>{4, 4}, {14, 2}, {32, 1}})
    expect_reference(
        random({2, heads, 64}), {cached(kv_heads, 90, 64), cached(kv_heads, 7, 64)}, {0.1, 0});
}

// The largest score decides, wherever it stands and however far the others are below.
TEST_P(DecodeAttention, LargeScoresDoNotOverflow) {
  ops::CachedKeysValues own = cached(1, 600, 64);
  for (const int64_t place : {0, 63, 64, 300, 599}) {
    own.keys.fill_(-8);
    own.keys.select(1, place).fill_(8);
    const at::Tensor q = at::full({1, 1, 64}, 8, own.keys.options());
    const at::Tensor result = ops::decode_attention(q, {own}, {1.0, 0});
    EXPECT_TRUE(at::equal(result[0], own.values.select(1, place))) << place;
  }
}

TEST_P(DecodeAttention, WhatIsNotFiniteIsNotHidden) {
  ops::CachedKeysValues own = cached(1, 90, 64);
  own.keys[0][70][3] = std::numeric_limits<float>::quiet_NaN();
  const at::Tensor result = ops::decode_attention(random({1, 2, 64}), {own}, {0.125, 0});
  EXPECT_TRUE(result.isnan().all().item<bool>());
}

// Every instruction set that this processor has, down to the smallest.
TEST_P(DecodeAttention, EveryInstructionSetAgrees) {
  for (int64_t targets = hwy::SupportedTargets(); targets != 0; targets &= targets - 1) {
    hwy::SetSupportedTargetsForTest(targets & -targets);
    expect_reference(random({2, 6, 64}), {cached(2, 300, 64), cached(2, 5, 64)}, {0.125, 0});
    expect_reference(random({1, 2, 37}), {cached(1, 67, 37)}, {0.125, 0});
  }
  hwy::SetSupportedTargetsForTest(0);
}

INSTANTIATE_TEST_SUITE_P(Cpu,
                         DecodeAttention,
                         testing::Values(Precision{at::kFloat, 2e-6},
                                         Precision{at::kBFloat16, 0.02}),
                         [](const auto& test) {
                           return test.param.dtype == at::kFloat ? "float32" : "bfloat16";
                         });

// Whichever of the three need gradients.
TEST(DecodeAttentionGradients, EqualTheReferences) {
  at::manual_seed(3);
  const at::Tensor q = at::randn({2, 4, 8}), k = at::randn({2, 5, 8}), v = at::randn({2, 5, 8});
  for (int wanted = 1; wanted < 8; ++wanted) {
    const auto gradients = [&](const auto& attend) {
      std::vector<at::Tensor> leaves;
      int bit = 1;
      for (const at::Tensor& x : {q, k, v}) {
        leaves.push_back(x.detach().clone().requires_grad_((wanted & bit) != 0));
        bit *= 2;
      }
      const std::vector<ops::CachedKeysValues> cached{{leaves[1], leaves[2]}, {k, v}};
      attend(leaves[0], cached, ops::AttentionOptions{0.3, 0}).square().sum().backward();
      return leaves;
    };
    const auto own = gradients(ops::decode_attention);
    const auto expected = gradients(ops::reference::decode_attention);
    for (int i = 0; i < 3; ++i) {
      ASSERT_EQ(own[i].grad().defined(), (wanted >> i & 1) != 0) << wanted << ", " << i;
      if (!own[i].grad().defined()) continue;
      EXPECT_TRUE(at::allclose(own[i].grad(), expected[i].grad(), 1e-4, 1e-6)) << wanted;
      EXPECT_GT(own[i].grad().abs().max().item<float>(), 0);
    }
  }
}

TEST(DecodeAttentionErrors, NameWhatDoesNotFit) {
  const at::Tensor q = at::ones({1, 3, 4}), k = at::ones({3, 2, 4});
  const auto refuse = [](const char* what,
                         const at::Tensor& query,
                         std::vector<ops::CachedKeysValues> own) {
    expect_error(ErrorKind::kInvalidArgument, what, [&] { ops::decode_attention(query, own, {}); });
  };
  refuse("0 sequences", q.narrow(0, 0, 0), {});
  refuse("2 sequences", q, {{k, k}, {k, k}});
  refuse("do not fit", q, {{at::ones({2, 2, 4}), at::ones({2, 2, 4})}});
  refuse("do not fit", q, {{k, k.narrow(1, 0, 1)}});
  refuse("do not fit", q, {{k.narrow(1, 0, 0), k.narrow(1, 0, 0)}});
  refuse("one dtype", q, {{k, k.to(at::kBFloat16)}});
}

}  // namespace
}  // namespace precis
