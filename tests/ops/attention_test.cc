// SPDX-License-Identifier: Apache-2.0
#include "ops/attention.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <hwy/targets.h>

#include <limits>

#include "support/expect_error.h"
#include "support/held_tokens.h"

namespace precis {
namespace {

struct Precision {
  c10::ScalarType dtype;
  double tolerance;
};

class Attention : public testing::TestWithParam<Precision> {
 protected:
  void SetUp() override { at::manual_seed(3); }

  static at::Tensor random(at::IntArrayRef shape) {
    return at::randn(shape, at::kFloat).to(GetParam().dtype);
  }

  static HeldTokens held(int64_t kv_heads, int64_t length, int64_t width) {
    return in_blocks(random({kv_heads, length, width}), random({kv_heads, length, width}));
  }

  // A ragged memory whose head h keeps counts[h] tokens.
  static std::shared_ptr<const RaggedKv> ragged(const std::vector<int64_t>& counts, int64_t width) {
    std::vector<int64_t> starts{0};
    for (const int64_t count : counts) starts.push_back(starts.back() + count);
    return std::make_shared<RaggedKv>(
        RaggedKv{random({starts.back(), width}), random({starts.back(), width}), starts});
  }

  static HeldTokens in_double(const HeldTokens& own) {
    const auto wide = [](const at::Tensor& x) { return x.to(at::kDouble); };
    HeldTokens result = in_blocks(wide(own.keys), wide(own.values));
    for (const auto& memory : own.ragged)
      result.ragged.push_back(std::make_shared<RaggedKv>(
          RaggedKv{wide(memory->keys), wide(memory->values), memory->starts}));
    return result;
  }

  static void expect_near(const at::Tensor& result, const at::Tensor& expected) {
    ASSERT_EQ(result.sizes(), expected.sizes());
    EXPECT_EQ(result.scalar_type(), GetParam().dtype);
    const double difference = (result.to(at::kDouble) - expected).abs().max().item<double>();
    EXPECT_LT(difference, GetParam().tolerance);
  }

  static void expect_reference(const at::Tensor& q,
                               const std::vector<HeldTokens>& own,
                               const std::vector<int64_t>& counts,
                               const ops::AttentionOptions& options) {
    std::vector<HeldTokens> exact;
    for (const HeldTokens& one : own) exact.push_back(in_double(one));
    SCOPED_TRACE(testing::Message()
                 << q.sizes() << " over " << own[0].keys.sizes() << ", window " << options.window);
    expect_near(attend_to(own, q, counts, options, ops::attention),
                attend_to(exact, q.to(at::kDouble), counts, options, ops::reference::attention));
  }
};

TEST_P(Attention, OfOneTokenEqualsItsReference) {
  for (const int64_t width : {1, 6, 32, 64, 100, 256}) {
    for (const int64_t length : {1, 3, 64, 65, 256, 257, 700}) {
      for (const int64_t window : {0, 1, 300})
        expect_reference(random({1, 6, width}), {held(2, length, width)}, {1}, {0.125, window});
    }
  }
}

// Numbers of queries for the kernel for few queries and for libtorch's.
TEST_P(Attention, OfSeveralTokensEqualsItsReference) {
  for (const int64_t count : {2, 3, 4, 5, 17, 70}) {
    for (const int64_t before : {0, 1, 63, 64, 200}) {
      for (const int64_t window : {0, 1, 66})
        expect_reference(
            random({count, 6, 32}), {held(2, before + count, 32)}, {count}, {0.125, window});
    }
  }
}

TEST_P(Attention, EverySequenceReadsItsOwnTokens) {
  std::vector<HeldTokens> own;
  for (const int64_t length : {300, 1, 17, 1000, 256}) own.push_back(held(3, length, 64));
  const at::Tensor q = random({5, 9, 64});
  const std::vector<int64_t> one(5, 1);
  expect_reference(q, own, one, {0.125, 0});
  expect_reference(q, own, one, {0.125, 20});
  expect_reference(random({11, 9, 64}), own, {3, 1, 2, 1, 4}, {0.125, 0});
  expect_reference(random({28, 9, 64}), own, {20, 1, 2, 1, 4}, {0.125, 20});
  // To the last bit, whatever the other sequences are.
  const at::Tensor together = attend_to(own, q, one, {0.125, 0}, ops::attention);
  for (int64_t i = 0; i < 5; ++i) {
    const at::Tensor alone =
        attend_to({own[i]}, q.narrow(0, i, 1), {1}, {0.125, 0}, ops::attention);
    EXPECT_TRUE(at::equal(alone[0], together[i])) << i;
  }
}

TEST_P(Attention, SequencesOfOneLengthWithoutCachedTokens) {
  const std::vector<HeldTokens> own{held(2, 9, 32), held(2, 9, 32), held(2, 9, 32)};
  expect_reference(random({27, 4, 32}), own, {9, 9, 9}, {0.125, 0});
  expect_reference(random({27, 4, 32}), own, {9, 9, 9}, {0.125, 5});
}

// Sequences that share their first blocks get the same results as alone, to the last bit.
TEST_P(Attention, SharedBlocksDoNotChangeResults) {
  std::vector<HeldTokens> own{held(2, 200, 64)};
  for (const int64_t length : {150, 260}) {
    HeldTokens next = held(2, length, 64);
    for (int64_t block = 0; block < 2; ++block) next.blocks[block] = own[0].blocks[block];
    for (at::Tensor* x : {&next.keys, &next.values}) {
      const at::Tensor& source = x == &next.keys ? own[0].keys : own[0].values;
      x->narrow(1, 0, 128).copy_(source.narrow(1, 0, 128));
    }
    own.push_back(next);
  }
  const at::Tensor q = random({3, 4, 64});
  for (const int64_t window : {0, 100}) {
    expect_reference(q, own, {1, 1, 1}, {0.125, window});
    const at::Tensor together = attend_to(own, q, {1, 1, 1}, {0.125, window}, ops::attention);
    for (int64_t i = 0; i < 3; ++i) {
      const at::Tensor alone =
          attend_to({own[i]}, q.narrow(0, i, 1), {1}, {0.125, window}, ops::attention);
      EXPECT_TRUE(at::equal(alone[0], together[i])) << i;
    }
  }
}

// Heads that keep different numbers of tokens, also none, of one or several memories.
TEST_P(Attention, ReadsRaggedMemories) {
  for (const int64_t count : {1, 3, 40}) {
    HeldTokens own = held(3, 10 + count, 32), other = held(3, count, 32), plain = held(3, 70, 32);
    own.ragged = {ragged({70, 0, 129}, 32), ragged({1, 2, 3}, 32)};
    other.ragged = {ragged({64, 200, 5}, 32)};
    expect_reference(random({count, 6, 32}), {own}, {count}, {0.125, 0});
    expect_reference(
        random({2 * count + 1, 6, 32}), {own, other, plain}, {count, count, 1}, {0.125, 0});
  }
}

// A ragged memory with equal numbers of tokens in all heads is the same as tokens in blocks.
TEST_P(Attention, ARaggedMemoryOfEqualHeadsIsAPrefix) {
  const HeldTokens whole = held(2, 80, 32);
  HeldTokens rest = in_blocks(whole.keys.narrow(1, 50, 30), whole.values.narrow(1, 50, 30));
  const auto heads = [](const at::Tensor& x) {
    return x.narrow(1, 0, 50).contiguous().view({100, 32});
  };
  rest.ragged = {
      std::make_shared<RaggedKv>(RaggedKv{heads(whole.keys), heads(whole.values), {0, 50, 100}})};
  for (const int64_t count : {1, 30}) {
    const at::Tensor q = random({count, 4, 32});
    const at::Tensor expected = attend_to(
        {in_double(whole)}, q.to(at::kDouble), {count}, {0.125, 0}, ops::reference::attention);
    expect_near(attend_to({rest}, q, {count}, {0.125, 0}, ops::attention), expected);
  }
}

TEST_P(Attention, GroupsOfAnySize) {
  for (const auto& [heads, kv_heads] : {std::pair<int64_t, int64_t>{4, 4}, {14, 2}, {32, 1}})
    expect_reference(
        random({2, heads, 64}), {held(kv_heads, 90, 64), held(kv_heads, 7, 64)}, {1, 1}, {0.1, 0});
}

// The largest score gets all the weight, wherever its key is and however small the others are.
TEST_P(Attention, LargeScoresDoNotOverflow) {
  for (const int64_t place : {0, 63, 64, 300, 599}) {
    at::Tensor keys = at::full({1, 600, 64}, -8, GetParam().dtype);
    keys.select(1, place).fill_(8);
    const HeldTokens own = in_blocks(keys, random({1, 600, 64}));
    const at::Tensor q = at::full({1, 1, 64}, 8, keys.options());
    const at::Tensor result = attend_to({own}, q, {1}, {1.0, 0}, ops::attention);
    EXPECT_TRUE(at::equal(result[0], own.values.select(1, place))) << place;
  }
}

TEST_P(Attention, NanInAKeyMakesTheOutputNan) {
  at::Tensor keys = random({1, 90, 64});
  keys[0][70][3] = std::numeric_limits<float>::quiet_NaN();
  const HeldTokens own = in_blocks(keys, random({1, 90, 64}));
  const at::Tensor result = attend_to({own}, random({1, 2, 64}), {1}, {0.125, 0}, ops::attention);
  EXPECT_TRUE(result.isnan().all().item<bool>());
}

// Every instruction set that this processor supports, down to the baseline.
TEST_P(Attention, EveryInstructionSetAgrees) {
  for (int64_t targets = hwy::SupportedTargets(); targets != 0; targets &= targets - 1) {
    hwy::SetSupportedTargetsForTest(targets & -targets);
    expect_reference(random({2, 6, 64}), {held(2, 300, 64), held(2, 5, 64)}, {1, 1}, {0.125, 0});
    expect_reference(random({1, 2, 37}), {held(1, 67, 37)}, {1}, {0.125, 0});
  }
  hwy::SetSupportedTargetsForTest(0);
}

INSTANTIATE_TEST_SUITE_P(Cpu,
                         Attention,
                         testing::Values(Precision{at::kFloat, 3e-6},
                                         Precision{at::kBFloat16, 0.03}),
                         [](const auto& test) {
                           return test.param.dtype == at::kFloat ? "float32" : "bfloat16";
                         });

// For every subset of q, k and v that requires gradients, over concatenated tokens.
TEST(AttentionGradients, EqualThoseOfTheReference) {
  at::manual_seed(3);
  const at::Tensor q = at::randn({4, 4, 8}), k = at::randn({2, 5, 8}), v = at::randn({2, 5, 8});
  for (int wanted = 1; wanted < 8; ++wanted) {
    const auto gradients = [&](const auto& attend) {
      std::vector<at::Tensor> leaves;
      int bit = 1;
      for (const at::Tensor& x : {q, k, v}) {
        leaves.push_back(x.detach().clone().requires_grad_((wanted & bit) != 0));
        bit *= 2;
      }
      const std::vector<KvView> views{{{}, 0, 5, leaves[1], leaves[2]}, {{}, 0, 5, k, v}};
      const auto last = [](const at::Tensor& x) { return x.narrow(1, 3, 2).transpose(0, 1); };
      const std::vector<int64_t> cu_seqlens{0, 2, 4};
      attend(ops::AttentionInput{leaves[0],
                                 at::cat({last(leaves[1]), last(k)}, 0),
                                 at::cat({last(leaves[2]), last(v)}, 0),
                                 cu_seqlens,
                                 views},
             ops::AttentionOptions{0.3, 0})
          .square()
          .sum()
          .backward();
      return leaves;
    };
    const auto own = gradients(ops::attention);
    const auto expected = gradients(ops::reference::attention);
    for (int i = 0; i < 3; ++i) {
      ASSERT_EQ(own[i].grad().defined(), (wanted >> i & 1) != 0) << wanted << ", " << i;
      if (!own[i].grad().defined()) continue;
      EXPECT_TRUE(at::allclose(own[i].grad(), expected[i].grad(), 1e-4, 1e-6)) << wanted;
      EXPECT_GT(own[i].grad().abs().max().item<float>(), 0);
    }
  }
}

TEST(AttentionErrors, NameTheMismatch) {
  const at::Tensor q = at::ones({1, 3, 4}), k = at::ones({3, 2, 4});
  const HeldTokens held = in_blocks(k, k);
  const auto refuse = [](const char* what,
                         const at::Tensor& query,
                         const std::vector<HeldTokens>& own,
                         ErrorKind kind = ErrorKind::kInvalidArgument,
                         int64_t window = 0) {
    expect_error(kind, what, [&] {
      attend_to(own, query, std::vector<int64_t>(own.size(), 1), {1.0, window}, ops::attention);
    });
  };
  refuse("2 sequences", q, {held, held});
  refuse("are not the tokens", q, {in_blocks(at::ones({2, 2, 4}), at::ones({2, 2, 4}))});
  refuse("are not the tokens", q.to(at::kDouble), {held});
  HeldTokens other = held;
  other.blocks[0] = other.blocks[0].to(at::kBFloat16);
  refuse("one dtype", q, {other});
  other.blocks = {at::ones({1, 3, 2, ops::kBlockSize, 5})};
  refuse("do not fit", q, {other});
  other.blocks.clear();
  refuse("holds none", q, {other});
  other = held;
  other.ragged = {
      std::make_shared<RaggedKv>(RaggedKv{at::ones({3, 4}), at::ones({3, 4}), {0, 1, 2, 3}})};
  refuse("sliding window", q, {other}, ErrorKind::kUnsupported, 7);
}

}  // namespace
}  // namespace precis
