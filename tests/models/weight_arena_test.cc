// SPDX-License-Identifier: Apache-2.0
#include "models/weight_arena.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <optional>
#include <vector>

namespace precis::models {
namespace {

// Small weights, one that is larger than a block of the arena, and small ones after it.
TEST(WeightArena, KeepsValuesWhichOutliveTheArena) {
  at::manual_seed(2);
  std::vector<at::Tensor> weights, moved;
  std::optional<WeightArena> arena(std::in_place);
  for (const int64_t rows : {1, 7, 300, 20000, 3}) {
    weights.push_back(at::randn({rows, 1000}));
    moved.push_back(arena->move(weights.back()));
  }
  weights.push_back(at::randint(-127, 127, {5, 64}, at::kChar).t());
  moved.push_back(arena->move(weights.back()));
  arena.reset();
  for (size_t i = 0; i < weights.size(); ++i) {
    EXPECT_TRUE(at::equal(moved[i], weights[i]));
    EXPECT_EQ(moved[i].scalar_type(), weights[i].scalar_type());
    EXPECT_TRUE(moved[i].is_contiguous());
    EXPECT_EQ(reinterpret_cast<uintptr_t>(moved[i].const_data_ptr()) % 64, 0);
    EXPECT_NE(moved[i].const_data_ptr(), weights[i].const_data_ptr());
  }
}

TEST(WeightArena, PlacesWeightsInOrder) {
  WeightArena arena;
  const at::Tensor first = arena.move(at::ones({3, 16})), second = arena.move(at::ones({2}));
  EXPECT_EQ(static_cast<const char*>(second.const_data_ptr()),
            static_cast<const char*>(first.const_data_ptr()) + 192);
}

TEST(WeightArena, ReturnsUndefinedAndEmptyWeights) {
  WeightArena arena;
  EXPECT_FALSE(arena.move({}).defined());
  EXPECT_EQ(arena.move(at::empty({0, 4})).sizes(), at::IntArrayRef({0, 4}));
}

}  // namespace
}  // namespace precis::models
