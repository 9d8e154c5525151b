// SPDX-License-Identifier: Apache-2.0
#include "precis/extend/kv_cache.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <c10/core/InferenceMode.h>
#include <gtest/gtest.h>

#include <optional>

#include "cache/block_pool.h"
#include "support/expect_error.h"

namespace precis {
namespace {

constexpr KvShape kShape{.num_layers = 2, .num_kv_heads = 3, .head_dim = 4};
constexpr int64_t kBlock = 64;

// [kv_heads, n, head_dim] in the layouts that decoders append: contiguous by head or by token.
at::Tensor tokens_of(int64_t count, bool token_by_token, c10::ScalarType dtype) {
  const at::Tensor tokens =
      token_by_token ? at::randn({count, 3, 4}).transpose(0, 1) : at::randn({3, count, 4});
  return tokens.to(dtype);
}

class KvCacheTest : public testing::Test {
 protected:
  void SetUp() override { at::manual_seed(1); }

  // Appends `count` tokens, the same to every layer.
  static void append(KvCache& cache, int64_t sequence, const at::Tensor& tokens) {
    for (int64_t layer = 0; layer < kShape.num_layers; ++layer)
      cache.append(layer, sequence, tokens, tokens + 1);
  }

  static void expect_tokens(const KvCache& cache, int64_t sequence, const at::Tensor& tokens) {
    ASSERT_EQ(cache.length(sequence), tokens.size(1));
    for (int64_t layer = 0; layer < kShape.num_layers; ++layer) {
      const auto [keys, values] = cache.rows(layer, sequence, 0, tokens.size(1));
      EXPECT_TRUE(at::equal(keys, tokens));
      EXPECT_TRUE(at::equal(values, tokens + 1));
    }
  }
};

TEST_F(KvCacheTest, KeepsWhatIsAppended) {
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    KvCache cache(kShape, at::TensorOptions(dtype), 2);
    std::vector<at::Tensor> keys, values;
    int64_t length = 0;
    for (const int64_t count : {1, 5, 1, 0, 70, 200, 1, 32}) {
      keys.push_back(tokens_of(count, count % 2 == 1, dtype));
      values.push_back(tokens_of(count, count % 2 == 0, dtype));
      cache.append(1, 1, keys.back(), values.back());
      length += count;
      const auto [k, v] = cache.rows(1, 1, 0, length);
      EXPECT_TRUE(at::equal(k, at::cat(keys, 1)));
      EXPECT_TRUE(at::equal(v, at::cat(values, 1)));
    }
    EXPECT_EQ(cache.length(0), 0);
    EXPECT_EQ(cache.length(1), length);
    const auto [k, v] = cache.rows(1, 1, 60, 50);
    EXPECT_TRUE(at::equal(k, at::cat(keys, 1).narrow(1, 60, 50)));
    EXPECT_TRUE(at::equal(v, at::cat(values, 1).narrow(1, 60, 50)));
  }
}

// Tokens of another dtype are converted, and strided ones are copied.
TEST_F(KvCacheTest, TakesTokensOfAnyLayout) {
  KvCache cache(kShape, at::kFloat);
  const at::Tensor keys = at::randn({3, 4, 2}).transpose(1, 2);
  const at::Tensor values = at::randn({3, 2, 4}).to(at::kBFloat16);
  cache.append(0, 0, keys, values);
  const auto [k, v] = cache.rows(0, 0, 0, 2);
  EXPECT_TRUE(at::equal(k, keys));
  EXPECT_TRUE(at::equal(v, values.to(at::kFloat)));
}

TEST_F(KvCacheTest, RefusesTokensOfAnotherShape) {
  KvCache cache(kShape, at::kFloat);
  const at::Tensor tokens = at::ones({3, 2, 4});
  const auto refuse = [&](const at::Tensor& keys, const at::Tensor& values) {
    expect_error(ErrorKind::kInvalidArgument, "do not have 3 heads of 4", [&] {
      cache.append(0, 0, keys, values);
    });
  };
  refuse(at::ones({4, 2, 4}), at::ones({4, 2, 4}));
  refuse(at::ones({3, 2, 5}), at::ones({3, 2, 5}));
  refuse(at::ones({3, 4}), at::ones({3, 4}));
  refuse(tokens, tokens.narrow(1, 0, 1));
  EXPECT_EQ(cache.length(0), 0);
}

// Tokens appended after a copy or a truncation belong to one sequence only.
TEST_F(KvCacheTest, CopiesAreIndependent) {
  KvCache first(kShape, at::kFloat), second(kShape, at::kFloat, 3);
  const at::Tensor tokens = at::randn({3, 70, 4}), more = at::randn({3, 9, 4});
  append(first, 0, tokens);
  second.copy_sequence(first, 0, 1);
  second.copy_sequence(second, 1, 2);
  append(second, 1, more);
  second.truncate(2, 20);
  append(second, 2, more);
  append(first, 0, more + 3);
  expect_tokens(second, 1, at::cat({tokens, more}, 1));
  expect_tokens(second, 2, at::cat({tokens.narrow(1, 0, 20), more}, 1));
  expect_tokens(first, 0, at::cat({tokens, more + 3}, 1));
  EXPECT_EQ(second.length(0), 0);
}

TEST_F(KvCacheTest, CopiesFromACacheOfAnotherDtype) {
  KvCache other(kShape, at::kBFloat16), cache(kShape, at::kFloat);
  const at::Tensor tokens = at::randn({3, 70, 4}).to(at::kBFloat16);
  for (int64_t layer = 0; layer < 2; ++layer) other.append(layer, 0, tokens, tokens);
  append(cache, 0, at::ones({3, 5, 4}));
  cache.copy_sequence(other, 0, 0);
  ASSERT_EQ(cache.length(0), 70);
  EXPECT_TRUE(at::equal(cache.rows(1, 0, 0, 70).first, tokens.to(at::kFloat)));
}

TEST_F(KvCacheTest, GradientsFlowThroughTokens) {
  KvCache cache(kShape, at::kFloat);
  const at::Tensor before = at::randn({3, 33, 4}), tokens = at::randn({3, 2, 4}).requires_grad_();
  append(cache, 0, before);
  append(cache, 0, tokens);
  cache.rows(1, 0, 30, 5).first.sum().backward();
  EXPECT_TRUE(at::equal(tokens.grad(), at::ones({3, 2, 4})));
  const c10::NoGradGuard no_grad;
  append(cache, 0, before);
  expect_tokens(cache, 0, at::cat({before, tokens, before}, 1));
  cache.truncate(0, 34);
  append(cache, 0, before);
  expect_tokens(cache, 0, at::cat({before, tokens.narrow(1, 0, 1), before}, 1));
}

// Tokens that were concatenated under gradients move to blocks, with room for new ones.
TEST_F(KvCacheTest, ExtendsByTokensThatTheCallerWrites) {
  for (const int64_t length : {5, 63, 64, 80}) {
    KvCache cache(kShape, at::kFloat);
    const at::Tensor keys = tokens_of(length, true, at::kFloat).requires_grad_();
    for (int64_t layer = 0; layer < 2; ++layer) cache.append(layer, 0, keys, keys + 1);
    const c10::NoGradGuard no_grad;
    cache.extend(0, 2);
    ASSERT_EQ(cache.length(0), length + 2);
    for (int64_t layer = 0; layer < 2; ++layer) {
      const auto [k, v] = cache.rows(layer, 0, 0, length);
      EXPECT_TRUE(at::equal(k, keys));
      EXPECT_TRUE(at::equal(v, keys + 1));
    }
    EXPECT_GE(std::ssize(cache.blocks(0)) * kBlock, length + 2);
  }
}

// Blocks of a common prefix are shared until they are written to.
TEST_F(KvCacheTest, SharesBlocks) {
  const auto pool = std::make_shared<BlockPool>(kShape, at::kFloat);
  KvCache cache(pool, 2);
  const at::Tensor tokens = at::randn({3, 140, 4});
  append(cache, 0, tokens);
  cache.copy_sequence(cache, 0, 1);
  EXPECT_EQ(pool->blocks_in_use(), 3);
  const auto same = [&](int64_t block) {
    return cache.blocks(0)[block].data_ptr() == cache.blocks(1)[block].data_ptr();
  };
  EXPECT_TRUE(same(0) && same(1) && same(2));
  cache.extend(1, 1);
  EXPECT_TRUE(same(0) && same(1));
  EXPECT_FALSE(same(2));
  EXPECT_EQ(pool->blocks_in_use(), 4);
  // Blocks that are only reserved are not shared.
  cache.reserve(0, 400);
  cache.copy_sequence(cache, 0, 1);
  EXPECT_EQ(cache.blocks(1).size(), 3u);
}

TEST_F(KvCacheTest, ViewsHaveTheLengthAskedFor) {
  KvCache cache(kShape, at::kFloat);
  const at::Tensor tokens = at::randn({3, 70, 4});
  append(cache, 0, tokens);
  EXPECT_EQ(cache.view(1, 0).length, 70);
  EXPECT_EQ(cache.view(1, 0, 7).length, 7);
  EXPECT_EQ(cache.view(1, 0).blocks.size(), 2u);
  KvCache trained(kShape, at::kFloat);
  const at::Tensor own = at::randn({3, 9, 4}).requires_grad_();
  trained.append(1, 0, own, own);
  EXPECT_TRUE(at::equal(trained.view(1, 0, 4).keys, own.narrow(1, 0, 4)));
}

TEST_F(KvCacheTest, RaggedMemoriesAreSharedAndChecked) {
  KvCache cache(kShape, at::kFloat, 2);
  const auto memory = std::make_shared<RaggedKv>(
      RaggedKv{at::ones({9, 4}), at::ones({9, 4}), {0, 1, 1, 4, 5, 9, 9}});
  cache.add_ragged(0, memory);
  append(cache, 0, at::ones({3, 2, 4}));
  cache.copy_sequence(cache, 0, 1);
  ASSERT_EQ(cache.view(1, 1).ragged.size(), 1u);
  EXPECT_EQ(cache.view(1, 1).ragged[0].get(), memory.get());
  EXPECT_EQ(cache.length(1), 2);
  const auto refuse = [&](const RaggedKv& other) {
    expect_error(ErrorKind::kInvalidArgument, "does not fit 2 layers of 3 heads of 4", [&] {
      cache.add_ragged(0, std::make_shared<RaggedKv>(other));
    });
  };
  refuse({at::ones({9, 4}), at::ones({9, 4}), {0, 1, 1, 4, 9}});
  refuse({at::ones({9, 4}), at::ones({9, 4}), {0, 1, 1, 4, 5, 9, 8}});
  refuse({at::ones({9, 4}), at::ones({9, 4}), {0, 5, 1, 4, 5, 9, 9}});
  refuse({at::ones({9, 5}), at::ones({9, 5}), memory->starts});
  refuse({at::ones({9, 4}, at::kBFloat16), at::ones({9, 4}, at::kBFloat16), memory->starts});
}

TEST(BlockPoolTest, CountsAndReusesBlocks) {
  std::optional<BlockPool> pool(std::in_place, kShape, at::kFloat, 2);
  EXPECT_EQ(pool->block_bytes(), 2 * 2 * 3 * kBlock * 4 * 4);
  at::Tensor first = pool->allocate();
  const at::Tensor second = pool->clone(first);
  EXPECT_EQ(first.sizes(), (at::IntArrayRef{2, 3, 2, kBlock, 4}));
  EXPECT_EQ(pool->blocks_in_use(), 2);
  expect_error(ErrorKind::kOutOfMemory, "all 2 blocks", [&] { pool->allocate(); });
  const void* const memory = first.data_ptr();
  first.reset();
  EXPECT_EQ(pool->blocks_in_use(), 1);
  EXPECT_EQ(pool->allocate().data_ptr(), memory);
  // A block outlives its pool, and the inference mode in which it was allocated.
  at::Tensor third;
  {
    const c10::InferenceMode inference;
    third = pool->allocate();
  }
  pool.reset();
  EXPECT_FALSE(third.is_inference());
  third.fill_(2);
  EXPECT_EQ(third.sum().item<float>(), 2.0f * static_cast<float>(third.numel()));
}

TEST(BlockPoolTest, ACacheWithoutFreeBlocksThrowsOutOfMemory) {
  KvCache cache(std::make_shared<BlockPool>(kShape, at::kFloat, 1), 1);
  const at::Tensor tokens = at::ones({3, 65, 4});
  expect_error(ErrorKind::kOutOfMemory, "block pool", [&] { cache.append(0, 0, tokens, tokens); });
  EXPECT_EQ(cache.length(0), 0);
}

}  // namespace
}  // namespace precis
