// SPDX-License-Identifier: Apache-2.0
#include "precis/extend/kv_cache.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include "support/expect_error.h"

namespace precis {
namespace {

constexpr KvShape kShape{.num_layers = 2, .num_kv_heads = 3, .head_dim = 4};

// [kv_heads, rows, head_dim], as a decoder has them: its rows come head by head, or row by row.
at::Tensor rows_of(int64_t count, bool row_by_row, c10::ScalarType dtype) {
  const at::Tensor rows =
      row_by_row ? at::randn({count, 3, 4}).transpose(0, 1) : at::randn({3, count, 4});
  return rows.to(dtype);
}

class KvCacheOfLayout : public testing::TestWithParam<KvLayout> {
 protected:
  void SetUp() override { at::manual_seed(1); }

  static KvCache cache(int64_t sequences = 1, c10::ScalarType dtype = at::kFloat) {
    return {kShape, at::TensorOptions(dtype), sequences, GetParam()};
  }

  // So many more rows in every layer, the same in all.
  static void append(KvCache& cache, int64_t sequence, const at::Tensor& rows) {
    for (int64_t layer = 0; layer < kShape.num_layers; ++layer)
      cache.append(layer, sequence, rows, rows + 1);
  }

  static void expect_rows(const KvCache& cache, int64_t sequence, const at::Tensor& rows) {
    ASSERT_EQ(cache.length(sequence), rows.size(1));
    for (int64_t layer = 0; layer < kShape.num_layers; ++layer) {
      const auto [keys, values] = cache.rows(layer, sequence, 0, rows.size(1));
      EXPECT_TRUE(at::equal(keys, rows));
      EXPECT_TRUE(at::equal(values, rows + 1));
    }
  }
};

INSTANTIATE_TEST_SUITE_P(Layouts,
                         KvCacheOfLayout,
                         testing::Values(KvLayout::kContiguous, KvLayout::kPaged),
                         [](const auto& test) {
                           return test.param == KvLayout::kPaged ? "Paged" : "Contiguous";
                         });

TEST_P(KvCacheOfLayout, KeepsWhatIsAppended) {
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    KvCache cache = this->cache(2, dtype);
    std::vector<at::Tensor> keys, values;
    int64_t length = 0;
    for (const int64_t count :
         {1, 5, 1, 0, 70, 200, 1, 32}) {  // beyond what is reserved, several times
      keys.push_back(rows_of(count, count % 2 == 1, dtype));
      values.push_back(rows_of(count, count % 2 == 0, dtype));
      const auto [k, v] = cache.append(1, 1, keys.back(), values.back());
      length += count;
      ASSERT_EQ(k.size(1), length);
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

// Rows of another dtype are converted, and those whose numbers lie apart are gathered.
TEST_P(KvCacheOfLayout, TakesRowsOfAnyLayout) {
  KvCache cache = this->cache();
  const at::Tensor keys = at::randn({3, 4, 2}).transpose(1, 2);
  const at::Tensor values = at::randn({3, 2, 4}).to(at::kBFloat16);
  const auto [k, v] = cache.append(0, 0, keys, values);
  const auto [held_keys, held_values] = cache.rows(0, 0, 0, 2);
  for (const at::Tensor& own : {k, held_keys}) EXPECT_TRUE(at::equal(own, keys));
  for (const at::Tensor& own : {v, held_values}) EXPECT_TRUE(at::equal(own, values.to(at::kFloat)));
}

TEST_P(KvCacheOfLayout, RefusesRowsOfAnotherShape) {
  KvCache cache = this->cache();
  const at::Tensor rows = at::ones({3, 2, 4});
  const auto refuse = [&](const at::Tensor& keys, const at::Tensor& values) {
    expect_error(ErrorKind::kInvalidArgument, "no rows of 3 heads of 4", [&] {
      cache.append(0, 0, keys, values);
    });
  };
  refuse(at::ones({4, 2, 4}), at::ones({4, 2, 4}));
  refuse(at::ones({3, 2, 5}), at::ones({3, 2, 5}));
  refuse(at::ones({3, 4}), at::ones({3, 4}));
  refuse(rows, rows.narrow(1, 0, 1));
  EXPECT_EQ(cache.length(0), 0);
}

// What a sequence gets after it was copied, or cut, is its own.
TEST_P(KvCacheOfLayout, CopiesPartWays) {
  KvCache first = cache(), second = cache(3);
  const at::Tensor rows = at::randn({3, 70, 4}), more = at::randn({3, 9, 4});
  append(first, 0, rows);
  second.copy_sequence(first, 0, 1);
  second.copy_sequence(second, 1, 2);
  append(second, 1, more);
  second.truncate(2, 20);
  append(second, 2, more);
  append(first, 0, more + 3);
  expect_rows(second, 1, at::cat({rows, more}, 1));
  expect_rows(second, 2, at::cat({rows.narrow(1, 0, 20), more}, 1));
  expect_rows(first, 0, at::cat({rows, more + 3}, 1));
  EXPECT_EQ(second.length(0), 0);
}

TEST_P(KvCacheOfLayout, CopiesFromTheOtherLayout) {
  const bool paged = GetParam() == KvLayout::kPaged;
  KvCache other(
      kShape, at::TensorOptions(at::kFloat), 1, paged ? KvLayout::kContiguous : KvLayout::kPaged);
  const at::Tensor rows = at::randn({3, 40, 4});
  append(other, 0, rows);
  KvCache cache = this->cache();
  cache.copy_sequence(other, 0, 0);
  expect_rows(cache, 0, rows);
}

TEST_P(KvCacheOfLayout, GradientsGoThroughRows) {
  KvCache cache = this->cache();
  const at::Tensor before = at::randn({3, 33, 4}), rows = at::randn({3, 2, 4}).requires_grad_();
  append(cache, 0, before);
  append(cache, 0, rows);
  cache.rows(1, 0, 30, 5).first.sum().backward();
  EXPECT_TRUE(at::equal(rows.grad(), at::ones({3, 2, 4})));
  const c10::NoGradGuard no_grad;
  append(cache, 0, before);
  expect_rows(cache, 0, at::cat({before, rows, before}, 1));
}

// Rows that were concatenated under gradients lie anyhow; after extend() there is room, and what
// was held is where it was.
TEST_P(KvCacheOfLayout, MakesRoomForRowsThatOthersWrite) {
  for (const int64_t length : {5, 31, 32, 40}) {
    KvCache cache = this->cache();
    const at::Tensor keys = rows_of(length, true, at::kFloat).requires_grad_();
    for (int64_t layer = 0; layer < 2; ++layer) cache.append(layer, 0, keys, keys + 1);
    const c10::NoGradGuard no_grad;
    cache.extend(0, 2);
    ASSERT_EQ(cache.length(0), length + 2);
    for (int64_t layer = 0; layer < 2; ++layer) {
      const auto [k, v] = cache.rows(layer, 0, 0, length);
      EXPECT_TRUE(at::equal(k, keys));
      EXPECT_TRUE(at::equal(v, keys + 1));
    }
    if (GetParam() == KvLayout::kPaged) {
      EXPECT_GE(std::ssize(cache.pages(0)) * 32, length + 2);
      continue;
    }
    const auto [k, v] = cache.buffers(1, 0);
    EXPECT_TRUE(k.is_contiguous() && v.is_contiguous());
    EXPECT_GE(k.size(1), length + 2);
  }
}

// Pages of a common beginning are shared until they are written to.
TEST(KvCache, SharesPages) {
  KvCache cache(kShape, at::TensorOptions(at::kFloat), 2, KvLayout::kPaged);
  const at::Tensor rows = at::randn({3, 70, 4});
  for (int64_t layer = 0; layer < 2; ++layer) cache.append(layer, 0, rows, rows);
  cache.copy_sequence(cache, 0, 1);
  const auto same = [&](int64_t page) {
    return cache.pages(0)[page].data_ptr() == cache.pages(1)[page].data_ptr();
  };
  EXPECT_TRUE(same(0) && same(1) && same(2));
  cache.extend(1, 1);
  EXPECT_TRUE(same(0) && same(1));
  EXPECT_FALSE(same(2));
  // Nor what is only reserved.
  cache.reserve(0, 200);
  cache.copy_sequence(cache, 0, 1);
  EXPECT_EQ(cache.pages(1).size(), 3u);
}

}  // namespace
}  // namespace precis
