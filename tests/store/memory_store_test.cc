// SPDX-License-Identifier: Apache-2.0
#include <sys/stat.h>

#include <thread>

#include "precis/store.h"
#include "store/store_fixture.h"

namespace precis {
namespace {

namespace fs = std::filesystem;

class MemoryStoreTest : public StoreTest {
 protected:
  // Bytes of the file of one numbered memory: all take the same.
  int64_t entry_bytes() const {
    TemporaryDirectory other;
    StoreOptions options = this->options();
    options.directory = other.path() / "store";
    return MemoryStore::open(options).put("alice", id(1), numbered_memory(1), {"1", {}}).bytes;
  }
  // A store whose quota holds so many numbered memories.
  MemoryStore open_with_room_for(int64_t entries) const {
    StoreOptions options = disk_options();
    options.tenant_quota_bytes = entries * entry_bytes();
    return MemoryStore::open(options);
  }
  static std::vector<std::string> names_in(const MemoryStore& store) {
    std::vector<std::string> names;
    for (const StoreEntry& entry : store.list("alice")) names.push_back(entry.name);
    return names;
  }
  // Each put is a second after the one before.
  void put(MemoryStore& store, int i) {
    clock.advance(seconds(1));
    store.put("alice", id(i), numbered_memory(i), {std::to_string(i), {}});
  }
  bool has(const MemoryStore& store, int i) const { return store.find("alice", id(i)).has_value(); }
  static EntryOptions expiring(Expiry::Anchor anchor, seconds after) {
    return {"", Expiry{anchor, after}};
  }
};

using Names = std::vector<std::string>;

// Keeping and finding

TEST_F(MemoryStoreTest, FindsWhatWasPut) {
  for (const StoreOptions& options : {this->options(), disk_options()}) {
    MemoryStore store = MemoryStore::open(options);
    store.put("alice", id(1), numbered_memory(1));
    expect_memory(store.get("alice", id(1)), 1);
    EXPECT_FALSE(store.get("alice", id(2)));
  }
}

TEST_F(MemoryStoreTest, AnotherStoreFindsIt) {
  for (const Memory& memory : {numbered_memory(1), cached_memory()}) {
    MemoryStore::open(options()).put("alice", id(1), memory);
    const auto found = MemoryStore::open(options()).get("alice", id(1));
    ASSERT_TRUE(found);
    EXPECT_EQ(found->content_hash(), memory.content_hash());
    EXPECT_EQ(found->serialize(), memory.serialize());
  }
}

// Heads of different lengths: 1 + 3 + 2 + 2 tokens.
TEST_F(MemoryStoreTest, KeepsRaggedMemories) {
  CachedTokens ragged{at::arange(32, at::kFloat).view({8, 4}), at::ones({8, 4}), 5, 20, 1};
  ragged.lengths = at::tensor({1, 3, 2, 2}, at::kLong).view({2, 2});
  const Memory memory = make_memory(ragged);
  MemoryStore::open(options()).put("alice", id(1), memory);
  const auto found = MemoryStore::open(options()).get("alice", id(1));
  ASSERT_TRUE(found);
  EXPECT_EQ(found->serialize(), memory.serialize());
  const auto& tensors = std::get<CachedTokens>(found->contents().tensors);
  EXPECT_TRUE(at::equal(tensors.lengths, ragged.lengths));
  EXPECT_TRUE(at::equal(tensors.keys, ragged.keys));
}

TEST_F(MemoryStoreTest, DescribesAnEntry) {
  MemoryStore store = MemoryStore::open(options());
  const StoreTime created = clock.now();
  EntryOptions named = expiring(Expiry::Anchor::kLastUsedAt, seconds(60));
  named.name = "harrow";
  store.put("alice", id(1), numbered_memory(1), named);
  clock.advance(seconds(10));
  store.get("alice", id(1));
  const auto entry = store.find("alice", id(1));
  ASSERT_TRUE(entry);
  EXPECT_EQ(entry->id, id(1));
  EXPECT_EQ(entry->name, "harrow");
  EXPECT_EQ(entry->created_at, created);
  EXPECT_EQ(entry->last_used_at, created + seconds(10));
  EXPECT_EQ(entry->expires_at, created + seconds(70));
  EXPECT_EQ(entry->source_tokens, 57);
  EXPECT_EQ(entry->memory_tokens, 4);
  EXPECT_EQ(entry->method, "selfcp");
  EXPECT_EQ(entry->model_fingerprint, "the model");
  EXPECT_FALSE(entry->pinned);
  EXPECT_EQ(entry->bytes, static_cast<int64_t>(fs::file_size(file(1))));
  EXPECT_FALSE(store.find("alice", id(2)));
}

TEST_F(MemoryStoreTest, FindingDoesNotUse) {
  MemoryStore store = MemoryStore::open(options());
  const StoreTime created = clock.now();
  store.put("alice", id(1), numbered_memory(1));
  clock.advance(seconds(10));
  EXPECT_EQ(store.find("alice", id(1))->last_used_at, created);
  EXPECT_EQ(store.list("alice")[0].last_used_at, created);
}

TEST_F(MemoryStoreTest, ListsFromOldToNew) {
  MemoryStore store = MemoryStore::open(options());
  for (const int i : {3, 1, 2}) put(store, i);
  store.get("alice", id(3));
  EXPECT_EQ(names_in(store), (Names{"3", "1", "2"}));
  EXPECT_TRUE(store.list("bob").empty());
}

TEST_F(MemoryStoreTest, ReplacesAnEntry) {
  MemoryStore store = MemoryStore::open(options());
  store.put("alice", id(1), numbered_memory(1), {"old", {}});
  store.put("alice", id(1), numbered_memory(2), {"new", {}});
  expect_memory(store.get("alice", id(1)), 2);
  EXPECT_EQ(names_in(store), Names{"new"});
  EXPECT_EQ(store.usage("alice").entries, 1);
}

TEST_F(MemoryStoreTest, Erases) {
  MemoryStore store = MemoryStore::open(options());
  store.put("alice", id(1), numbered_memory(1));
  store.pin("alice", id(1));
  EXPECT_TRUE(store.erase("alice", id(1)));
  EXPECT_FALSE(store.erase("alice", id(1)));
  EXPECT_FALSE(store.get("alice", id(1)));
  EXPECT_TRUE(store.list("alice").empty());
  EXPECT_TRUE(fs::is_empty(folder()));
}

TEST_F(MemoryStoreTest, RefusesOtherIds) {
  MemoryStore store = MemoryStore::open(options());
  for (const std::string bad : {"", "mem_1", "../../etc/passwd", "mem_../x"}) {
    expect_error(ErrorKind::kInvalidArgument, "is no id of a memory", [&] {
      store.put("alice", bad, numbered_memory(1));
    });
    expect_error(ErrorKind::kInvalidArgument, "is no id of a memory", [&] {
      store.get_or_make("alice", bad, [] { return numbered_memory(1); });
    });
    EXPECT_FALSE(store.get("alice", bad));
    EXPECT_FALSE(store.find("alice", bad));
    EXPECT_FALSE(store.erase("alice", bad));
    EXPECT_FALSE(store.pin("alice", bad));
  }
}

TEST_F(MemoryStoreTest, RefusesOptionsOutOfRange) {
  const auto refuse = [&](const std::string& message, const auto& change) {
    StoreOptions options = this->options();
    change(options);
    expect_error(ErrorKind::kInvalidArgument, message, [&] { MemoryStore::open(options); });
  };
  refuse("a directory or Redis", [](StoreOptions& options) { options.directory.clear(); });
  refuse("must not be negative", [](StoreOptions& options) { options.ram_bytes = -1; });
  refuse("must not be negative", [](StoreOptions& options) { options.tenant_quota_bytes = -1; });
  refuse("must not be negative",
         [](StoreOptions& options) { options.flight_wait = milliseconds(-1); });
  overwrite(directory / "file", "");
  refuse("cannot be created",
         [&](StoreOptions& options) { options.directory = directory / "file"; });
}

TEST_F(MemoryStoreTest, ItsDirectoryIsClosedToOthers) {
  MemoryStore::open(options());
  struct stat status = {};
  ASSERT_EQ(::stat((directory / "store").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0700u);
}

// Tenants

TEST_F(MemoryStoreTest, ATenantSeesItsOwnEntriesOnly) {
  for (const StoreOptions& options : {this->options(), disk_options()}) {
    MemoryStore store = MemoryStore::open(options);
    store.put("alice", id(1), numbered_memory(1));
    store.get("alice", id(1));
    EXPECT_FALSE(store.get("bob", id(1)));
    EXPECT_FALSE(store.find("bob", id(1)));
    EXPECT_FALSE(store.pin("bob", id(1)));
    EXPECT_FALSE(store.erase("bob", id(1)));
    EXPECT_TRUE(store.list("bob").empty());
    EXPECT_EQ(store.usage("bob").entries, 0);
    expect_memory(store.get("alice", id(1)), 1);
  }
}

TEST_F(MemoryStoreTest, AnotherTenantMakesAMemoryOfTheSameIdAnew) {
  MemoryStore store = MemoryStore::open(options());
  store.get_or_make("alice", id(1), [] { return numbered_memory(1); });
  const StoreResult made = store.get_or_make("bob", id(1), [] { return numbered_memory(2); });
  EXPECT_FALSE(made.cached);
  expect_memory(made.memory, 2);
  expect_memory(store.get("alice", id(1)), 1);
}

// A maker of one tenant is not waited for by another.
TEST_F(MemoryStoreTest, TenantsShareNoFlight) {
  MemoryStore store = MemoryStore::open(options());
  store.get_or_make("alice", id(1), [&] {
    const StoreResult other = store.get_or_make("bob", id(1), [] { return numbered_memory(2); });
    EXPECT_FALSE(other.cached);
    return numbered_memory(1);
  });
  expect_memory(store.get("alice", id(1)), 1);
  EXPECT_EQ(store.statistics().joined, 0);
}

TEST_F(MemoryStoreTest, AnEntryCopiedToAnotherTenantIsNotServed) {
  MemoryStore store = MemoryStore::open(options());
  store.put("alice", id(1), numbered_memory(1));
  store.put("bob", numbered_id("bob", 1), numbered_memory(2));
  fs::copy_file(file(1),
                folder("bob") / (numbered_id("bob", 1) + ".safetensors"),
                fs::copy_options::overwrite_existing);
  EXPECT_FALSE(MemoryStore::open(options()).get("bob", numbered_id("bob", 1)));
}

TEST_F(MemoryStoreTest, NamesOfTenantsAreInNoPath) {
  MemoryStore store = MemoryStore::open(options());
  const std::string tenant = "../outside/alice";
  store.put(tenant, numbered_id(tenant, 1), numbered_memory(1));
  expect_memory(store.get(tenant, numbered_id(tenant, 1)), 1);
  for (const auto& entry : fs::recursive_directory_iterator(directory.path()))
    EXPECT_EQ(entry.path().string().find("alice"), std::string::npos) << entry.path();
  EXPECT_EQ(std::distance(fs::directory_iterator(directory.path()), fs::directory_iterator()), 1);
}

// RAM

TEST_F(MemoryStoreTest, CountsHitsInRamAndOnDisk) {
  StoreOptions options = this->options();
  options.ram_bytes = 2 * kNumberedBytes;
  MemoryStore store = MemoryStore::open(options);
  for (int i = 1; i <= 3; ++i) put(store, i);
  EXPECT_EQ(store.statistics().ram_entries, 2);
  EXPECT_EQ(store.statistics().ram_bytes, 2 * kNumberedBytes);
  EXPECT_EQ(store.statistics().ram_evictions, 1);
  for (const int i : {3, 2, 1, 1, 4}) store.get("alice", id(i));
  const StoreStatistics all = store.statistics();
  EXPECT_EQ(all.ram_hits, 3);
  EXPECT_EQ(all.disk_hits, 1);
  EXPECT_EQ(all.misses, 1);
  EXPECT_EQ(all.ram_bytes, 2 * kNumberedBytes);
}

// A slice of a large tensor would keep all of it.
TEST_F(MemoryStoreTest, WhatIsInRamKeepsNoMoreThanItself) {
  MemoryStore store = MemoryStore::open(options());
  const at::Tensor large = at::ones({1000, 8});
  store.put("alice", id(1), make_memory(SoftTokens{large.narrow(0, 0, 4)}));
  const auto found = store.get("alice", id(1));
  ASSERT_TRUE(found);
  EXPECT_EQ(rows_of(*found).storage().nbytes(), static_cast<size_t>(kNumberedBytes));
  EXPECT_EQ(store.statistics().ram_hits, 1);
}

TEST_F(MemoryStoreTest, WhatAnotherStoreErasesLeavesRam) {
  MemoryStore store = MemoryStore::open(options()), other = MemoryStore::open(options());
  store.put("alice", id(1), numbered_memory(1));
  EXPECT_TRUE(other.erase("alice", id(1)));
  EXPECT_FALSE(store.get("alice", id(1)));
  EXPECT_EQ(store.statistics().ram_entries, 0);
}

// Quota

TEST_F(MemoryStoreTest, OverQuotaTheLeastRecentlyUsedAreEvicted) {
  MemoryStore store = open_with_room_for(3);
  for (int i = 1; i <= 3; ++i) put(store, i);
  clock.advance(seconds(1));
  store.get("alice", id(1));
  put(store, 4);
  EXPECT_EQ(names_in(store), (Names{"1", "3", "4"}));
  put(store, 5);
  EXPECT_EQ(names_in(store), (Names{"1", "4", "5"}));
  EXPECT_EQ(store.statistics().evictions, 2);
  EXPECT_EQ(store.usage("alice").entries, 3);
  EXPECT_EQ(store.usage("alice").bytes, 3 * entry_bytes());
}

TEST_F(MemoryStoreTest, AReplacedEntryTakesNoRoom) {
  MemoryStore store = open_with_room_for(2);
  put(store, 1);
  put(store, 2);
  put(store, 2);
  EXPECT_EQ(names_in(store), (Names{"1", "2"}));
  EXPECT_EQ(store.statistics().evictions, 0);
}

TEST_F(MemoryStoreTest, EachTenantHasItsOwnQuota) {
  MemoryStore store = open_with_room_for(1);
  put(store, 1);
  store.put("bob", numbered_id("bob", 1), numbered_memory(1));
  EXPECT_EQ(store.statistics().evictions, 0);
  EXPECT_EQ(store.usage().entries, 2);
}

TEST_F(MemoryStoreTest, RefusesWhatIsLargerThanTheQuota) {
  StoreOptions options = disk_options();
  options.tenant_quota_bytes = entry_bytes() - 1;
  MemoryStore store = MemoryStore::open(options);
  expect_error(ErrorKind::kInvalidArgument, "the tenant's quota is", [&] { put(store, 1); });
  EXPECT_FALSE(has(store, 1));
  // A memory that was made is not lost.
  const StoreResult made =
      store.get_or_make("alice", id(1), [] { return numbered_memory(1); }, {"1", {}});
  expect_memory(made.memory, 1);
  EXPECT_FALSE(made.cached);
  expect_error(ErrorKind::kInvalidArgument, "the tenant's quota is", [&] {
    std::rethrow_exception(made.store_error);
  });
}

TEST_F(MemoryStoreTest, PinnedEntriesAreNotEvicted) {
  MemoryStore store = open_with_room_for(2);
  put(store, 1);
  EXPECT_TRUE(store.pin("alice", id(1)));
  EXPECT_TRUE(store.find("alice", id(1))->pinned);
  put(store, 2);
  put(store, 3);
  EXPECT_EQ(names_in(store), (Names{"1", "3"}));
  store.pin("alice", id(3));
  expect_error(ErrorKind::kInvalidArgument, "pinned entries leave less", [&] { put(store, 4); });
  EXPECT_EQ(names_in(store), (Names{"1", "3"}));
  store.pin("alice", id(1), false);
  put(store, 4);
  EXPECT_EQ(names_in(store), (Names{"3", "4"}));
  EXPECT_FALSE(store.pin("alice", id(1)));
}

// Time to live

TEST_F(MemoryStoreTest, ExpiresAfterItWasCreated) {
  for (const StoreOptions& options : {this->options(), disk_options()}) {
    MemoryStore store = MemoryStore::open(options);
    store.put(
        "alice", id(1), numbered_memory(1), expiring(Expiry::Anchor::kCreatedAt, seconds(60)));
    clock.advance(seconds(59));
    expect_memory(store.get("alice", id(1)), 1);
    clock.advance(seconds(1));
    EXPECT_FALSE(store.find("alice", id(1)));
    EXPECT_TRUE(store.list("alice").empty());
    EXPECT_FALSE(store.get("alice", id(1)));
    EXPECT_FALSE(fs::exists(file(1)));
    EXPECT_EQ(store.statistics().expired, 1);
    EXPECT_EQ(store.statistics().ram_entries, 0);
  }
}

TEST_F(MemoryStoreTest, ExpiresAfterItsLastUse) {
  for (const StoreOptions& options : {this->options(), disk_options()}) {
    MemoryStore store = MemoryStore::open(options);
    store.put(
        "alice", id(1), numbered_memory(1), expiring(Expiry::Anchor::kLastUsedAt, seconds(60)));
    for (int use = 0; use < 3; ++use) {
      clock.advance(seconds(59));
      expect_memory(store.get("alice", id(1)), 1);
    }
    clock.advance(seconds(60));
    EXPECT_FALSE(store.get("alice", id(1)));
    EXPECT_EQ(store.statistics().expired, 1);
  }
}

TEST_F(MemoryStoreTest, PinnedEntriesDoNotExpire) {
  MemoryStore store = MemoryStore::open(options());
  store.put("alice", id(1), numbered_memory(1), expiring(Expiry::Anchor::kCreatedAt, seconds(60)));
  store.pin("alice", id(1));
  clock.advance(seconds(100));
  EXPECT_FALSE(store.find("alice", id(1))->expires_at);
  expect_memory(store.get("alice", id(1)), 1);
  expect_memory(MemoryStore::open(options()).get("alice", id(1)), 1);
  store.pin("alice", id(1), false);
  EXPECT_FALSE(store.get("alice", id(1)));
}

// Damage

TEST_F(MemoryStoreTest, AFlippedByteIsAMiss) {
  for (const double place : {0.0, 0.02, 0.3, 0.6, 0.9, 0.999}) {
    MemoryStore store = MemoryStore::open(disk_options());
    store.put("alice", id(1), numbered_memory(1));
    std::string bytes = read_file(file(1));
    bytes[static_cast<size_t>(place * static_cast<double>(bytes.size()))] ^= 1;
    overwrite(file(1), bytes);
    EXPECT_FALSE(store.get("alice", id(1))) << place;
    EXPECT_FALSE(fs::exists(file(1))) << place;
    EXPECT_EQ(store.statistics().damaged, 1);
    EXPECT_EQ(store.statistics().misses, 1);
    const StoreResult made = store.get_or_make("alice", id(1), [] { return numbered_memory(1); });
    EXPECT_FALSE(made.cached);
    expect_memory(store.get("alice", id(1)), 1);
  }
}

TEST_F(MemoryStoreTest, OtherFilesInItsPlaceAreMisses) {
  for (const std::string& bytes : {std::string(),
                                   std::string("garbage"),
                                   std::string(4096, '\0'),
                                   numbered_memory(1).serialize()}) {
    MemoryStore store = MemoryStore::open(disk_options());
    store.put("alice", id(1), numbered_memory(1));
    overwrite(file(1), bytes);
    EXPECT_FALSE(store.get("alice", id(1)));
    EXPECT_FALSE(fs::exists(file(1)));
  }
}

// Making

TEST_F(MemoryStoreTest, MakesWhatIsMissingOnce) {
  MemoryStore store = MemoryStore::open(options());
  int made = 0;
  const auto make = [&] {
    ++made;
    return numbered_memory(1);
  };
  EXPECT_FALSE(store.get_or_make("alice", id(1), make, {"harrow", {}}).cached);
  const StoreResult second = store.get_or_make("alice", id(1), make);
  EXPECT_TRUE(second.cached);
  expect_memory(second.memory, 1);
  EXPECT_TRUE(MemoryStore::open(options()).get_or_make("alice", id(1), make).cached);
  EXPECT_EQ(made, 1);
  EXPECT_EQ(store.find("alice", id(1))->name, "harrow");
  EXPECT_EQ(store.statistics().made, 1);
  EXPECT_EQ(store.statistics().misses, 1);
  EXPECT_EQ(store.statistics().ram_hits, 1);
}

TEST_F(MemoryStoreTest, TenThreadsMakeAMemoryOnce) {
  MemoryStore store = MemoryStore::open(options());
  std::atomic<int> made = 0, right = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 10; ++i) {
    threads.emplace_back([&] {
      const StoreResult result = store.get_or_make("alice", id(1), [&] {
        ++made;
        std::this_thread::sleep_for(milliseconds(50));
        return numbered_memory(1);
      });
      right += result.memory.content_hash() == numbered_memory(1).content_hash();
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(made, 1);
  EXPECT_EQ(right, 10);
  const StoreStatistics all = store.statistics();
  EXPECT_EQ(all.made, 1);
  EXPECT_EQ(all.ram_hits + all.disk_hits + all.misses + all.joined, 10);
}

// Two stores have no flights in common: the lock file is between them, as between processes.
TEST_F(MemoryStoreTest, TwoStoresMakeAMemoryOnce) {
  std::atomic<int> made = 0, right = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      MemoryStore store = MemoryStore::open(options());
      const StoreResult result = store.get_or_make("alice", id(1), [&] {
        ++made;
        std::this_thread::sleep_for(milliseconds(50));
        return numbered_memory(1);
      });
      right += result.memory.content_hash() == numbered_memory(1).content_hash();
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(made, 1);
  EXPECT_EQ(right, 4);
}

TEST_F(MemoryStoreTest, AWaitForAnotherMakerHasAnEnd) {
  StoreOptions options = this->options();
  options.flight_wait = milliseconds(20);
  MemoryStore store = MemoryStore::open(options), other = MemoryStore::open(options);
  const StoreResult slow = store.get_or_make("alice", id(1), [&] {
    expect_memory(other.get_or_make("alice", id(1), [] { return numbered_memory(1); }).memory, 1);
    return numbered_memory(1);
  });
  EXPECT_FALSE(slow.cached);
  EXPECT_EQ(other.statistics().made, 1);
}

TEST_F(MemoryStoreTest, AnErrorOfTheMakerIsThrownAndNothingIsKept) {
  MemoryStore store = MemoryStore::open(options());
  expect_error(ErrorKind::kUnsupported, "no compressor", [&] {
    store.get_or_make(
        "alice", id(1), []() -> Memory { throw Error(ErrorKind::kUnsupported, "no compressor"); });
  });
  EXPECT_FALSE(has(store, 1));
  EXPECT_FALSE(store.get_or_make("alice", id(1), [] { return numbered_memory(1); }).cached);
}

}  // namespace
}  // namespace precis
