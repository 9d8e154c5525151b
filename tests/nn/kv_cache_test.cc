// SPDX-License-Identifier: Apache-2.0
#include "precis/kv_cache.h"

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

TEST(KvCache, KeepsWhatIsAppended) {
  at::manual_seed(1);
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    KvCache cache(kShape, at::TensorOptions(dtype), 2);
    std::vector<at::Tensor> keys, values;
    int64_t length = 0;
    for (const int64_t count :
         {1, 5, 1, 0, 70, 200, 1}) {  // beyond what is reserved, several times
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
  }
}

// Rows of another dtype are converted, and those whose numbers lie apart are gathered.
TEST(KvCache, TakesRowsOfAnyLayout) {
  KvCache cache(kShape, at::TensorOptions(at::kFloat));
  const at::Tensor keys = at::randn({3, 4, 2}).transpose(1, 2);
  const at::Tensor values = at::randn({3, 2, 4}).to(at::kBFloat16);
  const auto [k, v] = cache.append(0, 0, keys, values);
  EXPECT_TRUE(at::equal(k, keys));
  EXPECT_TRUE(at::equal(v, values.to(at::kFloat)));
}

TEST(KvCache, RefusesRowsOfAnotherShape) {
  KvCache cache(kShape, at::TensorOptions(at::kFloat));
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

// Rows that were concatenated under gradients lie anyhow; after extend() there is room, and what
// was held is where it was.
TEST(KvCache, MakesRoomForRowsThatOthersWrite) {
  KvCache cache(kShape, at::TensorOptions(at::kFloat));
  const at::Tensor keys = rows_of(5, true, at::kFloat).requires_grad_(),
                   values = at::randn({3, 5, 4});
  for (int64_t layer = 0; layer < 2; ++layer) cache.append(layer, 0, keys, values);
  const c10::NoGradGuard no_grad;
  cache.extend(0, 2);
  EXPECT_EQ(cache.length(0), 7);
  for (int64_t layer = 0; layer < 2; ++layer) {
    const auto [k, v] = cache.buffers(layer, 0);
    EXPECT_TRUE(k.is_contiguous() && v.is_contiguous());
    EXPECT_GE(k.size(1), 7);
    EXPECT_TRUE(at::equal(k.narrow(1, 0, 5), keys));
    EXPECT_TRUE(at::equal(v.narrow(1, 0, 5), values));
  }
}

}  // namespace
}  // namespace precis
