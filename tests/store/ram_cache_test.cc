// SPDX-License-Identifier: Apache-2.0
#include "store/ram_cache.h"

#include "store/store_fixture.h"

namespace precis {
namespace {

class RamCacheTest : public testing::Test {
 protected:
  static EntryKey key(int i, std::string tenant = "tenant") {
    return {std::move(tenant), std::to_string(i)};
  }
  void put(int i, int64_t rows = 1) {
    cache.put(key(i), {make_memory(SoftTokens{at::ones({rows, 8})}), {}});
  }
  bool has(int i) { return cache.get(key(i)).has_value(); }

  RamCache cache{100};  // a row takes 32 bytes: three of them fit
};

TEST_F(RamCacheTest, CountsBytesOfTensors) {
  EXPECT_EQ(cache.bytes(), 0);
  put(1);
  put(2, 2);
  EXPECT_EQ(cache.bytes(), 96);
  EXPECT_EQ(cache.entries(), 2);
  cache.erase(key(1));
  EXPECT_EQ(cache.bytes(), 64);
  cache.erase(key(1));
  EXPECT_EQ(cache.bytes(), 64);
  EXPECT_EQ(cache.entries(), 1);
  EXPECT_EQ(cache.evictions(), 0);
}

TEST_F(RamCacheTest, TheLeastRecentlyUsedLeavesFirst) {
  put(1);
  put(2);
  put(3);
  EXPECT_TRUE(has(1));
  put(4);
  EXPECT_FALSE(has(2));
  EXPECT_TRUE(has(1));
  put(5, 2);
  EXPECT_FALSE(has(3));
  EXPECT_FALSE(has(4));
  EXPECT_TRUE(has(1));
  EXPECT_TRUE(has(5));
  EXPECT_EQ(cache.evictions(), 3);
  EXPECT_EQ(cache.bytes(), 96);
}

TEST_F(RamCacheTest, AReplacedItemIsCountedOnce) {
  put(1);
  put(2);
  put(1, 2);
  EXPECT_EQ(cache.bytes(), 96);
  EXPECT_EQ(cache.entries(), 2);
  EXPECT_EQ(cache.get(key(1))->memory.num_tokens(), 2);
}

TEST_F(RamCacheTest, DoesNotKeepWhatIsLargerThanTheWhole) {
  put(1);
  put(2, 4);
  EXPECT_TRUE(has(1));
  EXPECT_FALSE(has(2));
  EXPECT_EQ(cache.bytes(), 32);
  put(1, 4);  // in place of one that fitted
  EXPECT_FALSE(has(1));
  EXPECT_EQ(cache.bytes(), 0);
}

TEST_F(RamCacheTest, DistinguishesTenants) {
  put(1);
  EXPECT_FALSE(cache.get(key(1, "another")));
}

}  // namespace
}  // namespace precis
