// SPDX-License-Identifier: Apache-2.0
#include "store/directory_backend.h"

#include "store/store_fixture.h"

namespace precis {
namespace {

class DirectoryBackendTest : public StoreTest {
 protected:
  void put(const std::string& value) { backend.put(key, value, {}); }
  std::string present() {
    const auto value = backend.get(key);
    if (!value) return "nothing";
    return {reinterpret_cast<const char*>(value->bytes.data()), value->bytes.size()};
  }

  const EntryKey key{tenant_hash("alice"), numbered_id("alice", 1)};
  DirectoryBackend backend{{directory.path() / "store", 0, seconds(10), clock.function()}};
};

TEST_F(DirectoryBackendTest, KeepsBytes) {
  EXPECT_EQ(present(), "nothing");
  put(std::string("a\0b", 3));
  EXPECT_EQ(present(), std::string("a\0b", 3));
  EXPECT_EQ(backend.get(key)->last_used, clock.now());
  EXPECT_EQ(backend.erase(key), Presence::kPresent);
  EXPECT_EQ(backend.erase(key), Presence::kMissing);
  EXPECT_EQ(present(), "nothing");
}

// A reader keeps the bytes that it has mapped.
TEST_F(DirectoryBackendTest, ReplacingAndErasingChangeNothingThatIsBeingRead) {
  put("old");
  const auto value = backend.get(key);
  put("new");
  EXPECT_EQ(static_cast<char>(value->bytes[0]), 'o');
  EXPECT_EQ(present(), "new");
  backend.erase(key);
  EXPECT_EQ(static_cast<char>(value->bytes[0]), 'o');
}

// As when another process replaces an entry that a reader has found damaged.
TEST_F(DirectoryBackendTest, ErasesOnlyIfTheEntryIsStillWhatItWas) {
  const auto is_damaged = [](const StoredValue& value) {
    return static_cast<char>(value.bytes[0]) == 'd';
  };
  EXPECT_FALSE(backend.erase_if(key, is_damaged));
  put("damaged");
  put("good");
  EXPECT_FALSE(backend.erase_if(key, is_damaged));
  EXPECT_EQ(present(), "good");
  put("damaged");
  EXPECT_TRUE(backend.erase_if(key, is_damaged));
  EXPECT_EQ(present(), "nothing");
}

TEST_F(DirectoryBackendTest, AUseIsRecorded) {
  EXPECT_EQ(backend.use(key, {}), Presence::kMissing);
  put("value");
  clock.advance(seconds(5));
  EXPECT_EQ(backend.use(key, {}), Presence::kPresent);
  EXPECT_EQ(backend.get(key)->last_used, clock.now());
}

TEST_F(DirectoryBackendTest, AMakersLockHasOneOwner) {
  auto first = backend.lock(key, milliseconds(0));
  EXPECT_TRUE(first);
  EXPECT_FALSE(backend.lock(key, milliseconds(20)));
  EXPECT_TRUE(backend.lock({key.tenant, numbered_id("alice", 2)}, milliseconds(0)));
  put("a maker may write while it holds the lock");
  first.reset();
  EXPECT_TRUE(backend.lock(key, milliseconds(0)));
}

TEST_F(DirectoryBackendTest, FindsIdsOfOneTenant) {
  put("value");
  EXPECT_EQ(backend.ids(key.tenant), std::vector<std::string>{key.id});
  EXPECT_TRUE(backend.ids(tenant_hash("bob")).empty());
}

}  // namespace
}  // namespace precis
