// SPDX-License-Identifier: Apache-2.0
// Tokens read from a cache, and memories rebased to other positions.
#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include <limits>

#include "gisting_fixture.h"
#include "support/expect_error.h"

namespace precis {
namespace {

TEST(CacheRows, AreTheTokensThatWereAppended) {
  const c10::NoGradGuard no_grad;
  KvCache cache({2, 3, 4}, at::kFloat, 2);
  const at::Tensor keys = at::arange(60, at::kFloat).view({3, 5, 4}), values = keys + 100;
  for (int64_t layer = 0; layer < 2; ++layer) cache.append(layer, 1, keys + layer, values + layer);
  const auto [k, v] = cache.rows(1, 1, 2, 3);
  EXPECT_TRUE(at::equal(k, (keys + 1).narrow(1, 2, 3)));
  EXPECT_TRUE(at::equal(v, (values + 1).narrow(1, 2, 3)));
}

TEST(CacheRows, AreDifferentiable) {
  KvCache cache({1, 1, 2}, at::kDouble);
  const at::Tensor constant = at::ones({1, 2, 2}, at::kDouble);
  const at::Tensor trained = at::ones({1, 3, 2}, at::kDouble).requires_grad_(true);
  cache.append(0, 0, constant, constant);
  cache.append(0, 0, trained * 2, trained * 3);
  const auto [k, v] = cache.rows(0, 0, 3, 2);
  (k + v).sum().backward();
  EXPECT_TRUE(
      at::equal(trained.grad().sum(2).squeeze(0), at::tensor({0.0, 10.0, 10.0}, at::kDouble)));
}

TEST(CacheRows, OutOfRangeAreRefused) {
  const c10::NoGradGuard no_grad;
  KvCache cache({1, 1, 2}, at::kFloat);
  const auto refuse = [&](int64_t first, int64_t count) {
    expect_error(ErrorKind::kInvalidArgument, "cache", [&] { cache.rows(0, 0, first, count); });
  };
  refuse(0, 1);
  cache.append(0, 0, at::ones({1, 3, 2}), at::ones({1, 3, 2}));
  refuse(2, 2);
  refuse(-1, 2);
  refuse(0, 0);
  refuse(0, 4);
}

class Rebase : public testing::TestWithParam<const char*> {
 protected:
  static constexpr int64_t kText = 17, kGists = 3;

  Rebase() : decoder(load_model(GetParam(), at::kDouble)) {}

  // The last tokens of a text whose first token has the position `start`.
  CachedTokens memory_at(int64_t start) const {
    const int64_t length = kText + kGists;
    KvCache cache(decoder->config().kv_shape(), decoder->options());
    decoder->forward({decoder->embed(at::arange(5, 5 + length, at::kLong)),
                      at::arange(start, start + length, at::kLong),
                      {0, length},
                      {0}},
                     cache);
    std::vector<at::Tensor> keys, values;
    for (int64_t layer = 0; layer < decoder->config().num_layers; ++layer) {
      const auto [k, v] = cache.rows(layer, 0, kText, kGists);
      keys.push_back(k);
      values.push_back(v);
    }
    return {at::stack(keys), at::stack(values), start + kText, start + length};
  }

  at::Tensor logits_after(const CachedTokens& memory) const {
    return decoder->logits(read(
        splice(std::vector{memory_item(memory), text_item({30, 31, 32, 33})}, *decoder), *decoder));
  }

  CachedTokens rebased(const CachedTokens& memory, int64_t first) const {
    return rebase(memory, decoder->config(), first);
  }

  c10::NoGradGuard no_grad;
  std::unique_ptr<Decoder> decoder;
};

// A ragged memory whose heads all keep the same tokens.
TEST_P(Rebase, ARaggedMemoryIsReadAndMovedAsAUniformOne) {
  const c10::NoGradGuard no_grad;
  if (decoder->config().window > 0) GTEST_SKIP() << "ragged memories are not read over windows";
  const CachedTokens uniform = memory_at(20);
  CachedTokens ragged = uniform;
  ragged.keys = uniform.keys.flatten(0, 2);
  ragged.values = uniform.values.flatten(0, 2);
  ragged.lengths = at::full(uniform.keys.sizes().slice(0, 2), kGists, at::kLong);
  EXPECT_LT(largest_difference(logits_after(ragged), logits_after(uniform)), 1e-9);
  const CachedTokens moved = rebased(ragged, 3);
  EXPECT_EQ(moved.first_position, 3);
  EXPECT_EQ(moved.next_position, 3 + kGists);
  EXPECT_LT(largest_difference(logits_after(moved), logits_after(rebased(uniform, 3))), 1e-5);
}

TEST_P(Rebase, EqualsComputingItThere) {
  const CachedTokens near = memory_at(0), far = memory_at(40);
  EXPECT_GT(largest_difference(near.keys, far.keys), 0.05);
  expect_alike(rebased(near, 40 + kText), far, 1e-4);
  expect_alike(rebased(far, kText), near, 1e-4);
}

TEST_P(Rebase, BackAndForthIsTheIdentity) {
  const CachedTokens memory = memory_at(3);
  expect_alike(rebased(memory, memory.first_position), memory, 1e-12);
  const CachedTokens there = rebased(memory, 400);
  EXPECT_EQ(there.first_position, 400);
  EXPECT_EQ(there.next_position, 400 + kGists);
  expect_alike(rebased(there, memory.first_position), memory, 1e-12);
  CachedTokens narrow = memory;
  narrow.keys = narrow.keys.to(at::kFloat);
  const CachedTokens back = rebased(rebased(narrow, 400), memory.first_position);
  EXPECT_EQ(back.keys.scalar_type(), at::kFloat);
  EXPECT_LT(largest_difference(back.keys, narrow.keys), 1e-6);
}

TEST_P(Rebase, TheTextThatFollowsHasTheSameHiddenStates) {
  const CachedTokens memory = memory_at(0);
  EXPECT_LT(largest_difference(logits_after(rebased(memory, 90)), logits_after(memory)), 1e-4);
  CachedTokens misplaced = memory;
  misplaced.first_position += 73;
  misplaced.next_position += 73;
  EXPECT_GT(largest_difference(logits_after(misplaced), logits_after(memory)), 1e-3);
}

TEST_P(Rebase, RefusesPositionsOutsideTheWindowAndOtherShapes) {
  const CachedTokens memory = memory_at(0);
  const auto refuse = [&](const CachedTokens& wrong, int64_t first, const std::string& message) {
    expect_error(ErrorKind::kInvalidArgument, message, [&] { rebased(wrong, first); });
  };
  const int64_t window = decoder->config().context_length;
  EXPECT_EQ(rebased(memory, window - kGists).next_position, window);
  refuse(memory, window - kGists + 1, "outside the model's window");
  refuse(memory, std::numeric_limits<int64_t>::max(), "outside the model's window");
  refuse(memory, -1, "outside the model's window");
  CachedTokens wrong = memory;
  wrong.keys = memory.keys.narrow(0, 0, 1);
  refuse(wrong, 0, "rebase: the memory has keys");
}

INSTANTIATE_TEST_SUITE_P(
    Models,
    Rebase,
    testing::Values("llama", "llama3_rope", "llama_yarn_rope", "mistral_window", "gemma3_text"),
    [](const auto& test) { return std::string(test.param); });

}  // namespace
}  // namespace precis
