// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <functional>
#include <set>
#include <utility>

#include "precis/store.h"
#include "store/store_ids.h"
#include "support/make_memory.h"

namespace precis {
namespace {

const std::vector<TokenId> kPrefix{1, 2}, kIds{3, 4, 5};

MemorySource some_source() {
  MemorySource source;
  source.method = "kvzip";
  source.model_fingerprint = "the model";
  source.compressor_fingerprint = "the compressor";
  source.variant = "int8";
  source.options.ratio = 4.0;
  source.options.chaining = Chaining::kConcat;
  source.options.segment = 512;
  source.options.positions = MemoryPositions::kRows;
  source.options.refine_seconds = 2.5;
  source.prefix = kPrefix;
  source.ids = kIds;
  return source;
}

// Expected values: Python's hashlib over all fields, each behind its length in 8 bytes.
TEST(MemoryId, IsAHashOfTenantAndSource) {
  EXPECT_EQ(memory_id("alice", some_source()),
            "mem_2d10db5b06c9166378cf520c5c9603eeb84333c6e94ad4a177dd07f5d435046b");
  MemorySource plain;
  plain.ids = std::span(kIds).first(1);
  EXPECT_EQ(memory_id("alice", plain),
            "mem_2f47fa9c81376d2033e1aa2f62f2480622558dc23e7fe40c44b77429ae1248b8");
  EXPECT_EQ(tenant_hash("alice"),
            "d7ddfd853105eb9328ede3d9a2f8666e00f8dce2f6a23fe8a11daee22de1ceda");
}

TEST(MemoryId, DependsOnEverythingThatChangesTheMemory) {
  std::set<std::string> ids{memory_id("alice", some_source())};
  const auto expect_other = [&](const std::function<void(MemorySource&)>& change) {
    MemorySource source = some_source();
    change(source);
    EXPECT_TRUE(ids.insert(memory_id("alice", source)).second);
  };
  expect_other([](MemorySource& source) { source.method = "gisting"; });
  expect_other([](MemorySource& source) { source.model_fingerprint = "another"; });
  expect_other([](MemorySource& source) { source.compressor_fingerprint = "another"; });
  expect_other([](MemorySource& source) { source.variant = "int4"; });
  expect_other([](MemorySource& source) { source.options.ratio = 8.0; });
  expect_other([](MemorySource& source) { source.options.ratio.reset(); });
  expect_other([](MemorySource& source) { source.options.chaining = Chaining::kRecursive; });
  expect_other([](MemorySource& source) { source.options.segment = 256; });
  expect_other([](MemorySource& source) { source.options.segment.reset(); });
  expect_other([](MemorySource& source) { source.options.positions = MemoryPositions::kText; });
  expect_other([](MemorySource& source) { source.options.positions.reset(); });
  expect_other([](MemorySource& source) { source.options.refine_seconds = 0; });
  expect_other([](MemorySource& source) { source.prefix = std::span(kPrefix).first(1); });
  expect_other([](MemorySource& source) { source.ids = std::span(kIds).first(2); });
  EXPECT_TRUE(ids.insert(memory_id("bob", some_source())).second);
}

TEST(MemoryId, DoesNotDependOnProgress) {
  MemorySource source = some_source();
  source.options.progress = [](double) { return true; };
  EXPECT_EQ(memory_id("alice", source), memory_id("alice", some_source()));
}

// Fields with the same bytes one after another, divided elsewhere.
TEST(MemoryId, DependsOnWhereFieldsEnd) {
  const auto id_of = [](std::string_view tenant, std::string method, std::string model) {
    MemorySource source;
    source.method = std::move(method);
    source.model_fingerprint = std::move(model);
    return memory_id(tenant, source);
  };
  EXPECT_NE(id_of("a", "bc", "d"), id_of("ab", "c", "d"));
  EXPECT_NE(id_of("a", "bc", "d"), id_of("a", "b", "cd"));
  EXPECT_NE(id_of("", "abc", ""), id_of("abc", "", ""));
  MemorySource left, right;
  left.prefix = kIds;
  right.ids = kIds;
  EXPECT_NE(memory_id("a", left), memory_id("a", right));
}

TEST(MemoryId, OfAMemoryDependsOnTenantAndMemory) {
  const Memory memory = soft_memory({{1, 2}}), other = soft_memory({{1, 3}});
  EXPECT_EQ(memory_id("alice", memory), memory_id("alice", soft_memory({{1, 2}})));
  EXPECT_NE(memory_id("alice", memory), memory_id("bob", memory));
  EXPECT_NE(memory_id("alice", memory), memory_id("alice", other));
  EXPECT_TRUE(is_memory_id(memory_id("alice", memory)));
}

TEST(MemoryId, HasOneForm) {
  const std::string id = memory_id("alice", some_source());
  EXPECT_TRUE(is_memory_id(id));
  for (const std::string& bad : {std::string(),
                                 std::string("mem_"),
                                 id.substr(1),
                                 id + "0",
                                 id.substr(0, id.size() - 1),
                                 id.substr(0, id.size() - 1) + "g",
                                 id.substr(0, id.size() - 1) + "A",
                                 "MEM_" + id.substr(4),
                                 id.substr(0, id.size() - 3) + "/..",
                                 std::string("mem_../../../../etc/passwd")})
    EXPECT_FALSE(is_memory_id(bad)) << bad;
}

}  // namespace
}  // namespace precis
