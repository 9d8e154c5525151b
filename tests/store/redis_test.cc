// SPDX-License-Identifier: Apache-2.0
#include <hiredis/hiredis.h>

#include <algorithm>
#include <mutex>
#include <thread>

#include "precis/log.h"
#include "store/redis_server.h"
#include "store/store_fixture.h"

namespace precis {
namespace {

namespace fs = std::filesystem;

// Stores that use Redis at one socket, without a server.
class RedisFixture : public StoreTest {
 protected:
  // Redis only, and no RAM.
  StoreOptions redis_only() const {
    StoreOptions options = disk_options();
    options.directory.clear();
    options.redis = redis_options(socket);
    return options;
  }
  // A directory, and Redis behind it.
  StoreOptions behind_directory() const {
    StoreOptions options = disk_options();
    options.redis = redis_options(socket);
    return options;
  }
  static std::string key(int i) {
    return "precis:" + tenant_hash("alice") + ":" + numbered_id("alice", i);
  }

  const fs::path socket = directory / "redis.sock";
};

// With a server.
class RedisTest : public RedisFixture {
 protected:
  void SetUp() override {
    if (!RedisServer::is_installed())
      GTEST_SKIP() << "redis-server is not installed (third_party/install.sh)";
    server = std::make_unique<RedisServer>(socket);
    ASSERT_TRUE(server->answers());
  }
  long long number(std::initializer_list<std::string_view> words) {
    const RedisReply reply = client.command(words);
    EXPECT_TRUE(reply);
    return reply ? reply->integer : -1;
  }

  std::unique_ptr<RedisServer> server;
  RedisClient client{redis_options(socket)};
};

// In place of a directory

TEST_F(RedisTest, AnotherMachineFindsWhatWasPut) {
  for (const Memory& memory : {numbered_memory(1), cached_memory()}) {
    MemoryStore::open(redis_only()).put("alice", id(1), memory);
    MemoryStore other = MemoryStore::open(redis_only());
    const auto found = other.get("alice", id(1));
    ASSERT_TRUE(found);
    EXPECT_EQ(found->serialize(), memory.serialize());
    EXPECT_EQ(other.statistics().redis_hits, 1);
    EXPECT_FALSE(other.get("alice", id(2)));
    EXPECT_EQ(other.statistics().misses, 1);
    EXPECT_EQ(other.statistics().redis_errors, 0);
  }
}

TEST_F(RedisTest, ValuesAreFilesOfMemories) {
  MemoryStore::open(redis_only()).put("alice", id(1), numbered_memory(1));
  const RedisReply reply = client.command({"GET", key(1)});
  ASSERT_TRUE(reply && reply->type == REDIS_REPLY_STRING);
  expect_memory(Memory::deserialize({reply->str, reply->len}), 1);
}

TEST_F(RedisTest, ListsDescribesAndErases) {
  MemoryStore store = MemoryStore::open(redis_only());
  for (int i = 1; i <= 3; ++i) {
    clock.advance(seconds(1));
    store.put("alice", id(i), numbered_memory(i), {std::to_string(i), {}});
  }
  EXPECT_EQ(store.list("alice").size(), 3u);
  EXPECT_EQ(store.list("alice")[1].name, "2");
  EXPECT_EQ(store.find("alice", id(3))->memory_tokens, 4);
  EXPECT_TRUE(store.erase("alice", id(2)));
  EXPECT_FALSE(store.erase("alice", id(2)));
  EXPECT_FALSE(store.get("alice", id(2)));
  EXPECT_EQ(store.list("alice").size(), 2u);
  expect_error(ErrorKind::kUnsupported, "cannot be pinned", [&] { store.pin("alice", id(1)); });
}

TEST_F(RedisTest, ATenantSeesItsOwnEntriesOnly) {
  MemoryStore store = MemoryStore::open(redis_only());
  store.put("alice", id(1), numbered_memory(1));
  EXPECT_FALSE(store.get("bob", id(1)));
  EXPECT_FALSE(store.find("bob", id(1)));
  EXPECT_FALSE(store.erase("bob", id(1)));
  EXPECT_TRUE(store.list("bob").empty());
  const RedisReply keys = client.command({"KEYS", "*"});
  ASSERT_TRUE(keys && keys->elements == 1);
  EXPECT_EQ(std::string(keys->element[0]->str), key(1));
}

TEST_F(RedisTest, WhatIsInRamIsServedWhileItIsInRedis) {
  StoreOptions options = redis_only();
  options.ram_bytes = 10 * kNumberedBytes;
  MemoryStore store = MemoryStore::open(options), other = MemoryStore::open(redis_only());
  store.put("alice", id(1), numbered_memory(1));
  expect_memory(store.get("alice", id(1)), 1);
  EXPECT_EQ(store.statistics().ram_hits, 1);
  other.erase("alice", id(1));
  EXPECT_FALSE(store.get("alice", id(1)));
  store.put("alice", id(1), numbered_memory(1));
  server->kill();
  expect_memory(store.get("alice", id(1)), 1);
}

// Time to live

TEST_F(RedisTest, EntriesExpireInRedis) {
  MemoryStore store = MemoryStore::open(redis_only());
  store.put("alice", id(1), numbered_memory(1));
  EXPECT_EQ(number({"PTTL", key(1)}), -1);  // none
  store.put(
      "alice", id(2), numbered_memory(2), {"", Expiry{Expiry::Anchor::kCreatedAt, seconds(60)}});
  EXPECT_GT(number({"PTTL", key(2)}), 50'000);
  EXPECT_LE(number({"PTTL", key(2)}), 60'000);
  number({"PEXPIRE", key(2), "20"});
  std::this_thread::sleep_for(milliseconds(40));
  EXPECT_FALSE(store.get("alice", id(2)));
}

TEST_F(RedisTest, AUseRenewsWhatExpiresAfterItsLastUse) {
  MemoryStore store = MemoryStore::open(redis_only());
  const auto put = [&](int i, Expiry::Anchor anchor) {
    store.put("alice", id(i), numbered_memory(i), {"", Expiry{anchor, seconds(60)}});
    number({"PEXPIRE", key(i), "10000"});
    store.get("alice", id(i));
  };
  put(1, Expiry::Anchor::kLastUsedAt);
  EXPECT_GT(number({"PTTL", key(1)}), 50'000);
  put(2, Expiry::Anchor::kCreatedAt);
  EXPECT_LE(number({"PTTL", key(2)}), 10'000);
}

// Behind a directory

TEST_F(RedisTest, WhatTheDirectoryLacksComesFromRedis) {
  MemoryStore store = MemoryStore::open(behind_directory());
  store.put("alice", id(1), numbered_memory(1));
  expect_memory(store.get("alice", id(1)), 1);
  EXPECT_EQ(store.statistics().disk_hits, 1);
  fs::remove(file(1));
  expect_memory(store.get("alice", id(1)), 1);
  EXPECT_EQ(store.statistics().redis_hits, 1);
  EXPECT_TRUE(fs::exists(file(1)));
  expect_memory(store.get("alice", id(1)), 1);
  EXPECT_EQ(store.statistics().disk_hits, 2);
  EXPECT_TRUE(store.erase("alice", id(1)));
  EXPECT_EQ(number({"EXISTS", key(1)}), 0);
}

TEST_F(RedisTest, ADamagedFileIsReplacedByWhatRedisHas) {
  MemoryStore store = MemoryStore::open(behind_directory());
  store.put("alice", id(1), numbered_memory(1));
  overwrite(file(1), "garbage");
  expect_memory(store.get("alice", id(1)), 1);
  EXPECT_EQ(store.statistics().damaged, 1);
  expect_memory(MemoryStore::open(disk_options()).get("alice", id(1)), 1);
}

// Making

TEST_F(RedisTest, MachinesMakeAMemoryOnce) {
  std::atomic<int> made = 0, right = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      MemoryStore store = MemoryStore::open(redis_only());
      const StoreResult result = store.get_or_make("alice", id(1), [&] {
        ++made;
        std::this_thread::sleep_for(milliseconds(100));
        return numbered_memory(1);
      });
      right += result.memory.content_hash() == numbered_memory(1).content_hash();
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(made, 1);
  EXPECT_EQ(right, 4);
  EXPECT_EQ(number({"EXISTS", key(1) + ":lock"}), 0);
}

TEST_F(RedisTest, TheLockOfAKilledMakerExpires) {
  client.command({"SET", key(1) + ":lock", "of a killed process", "PX", "200"});
  MemoryStore store = MemoryStore::open(redis_only());
  const auto start = std::chrono::steady_clock::now();
  EXPECT_FALSE(store.get_or_make("alice", id(1), [] { return numbered_memory(1); }).cached);
  EXPECT_LT(std::chrono::steady_clock::now() - start, seconds(10));
}

TEST_F(RedisTest, AWaitForAnotherMakerHasAnEnd) {
  client.command({"SET", key(1) + ":lock", "of a slow process"});
  StoreOptions options = redis_only();
  options.flight_wait = milliseconds(50);
  MemoryStore store = MemoryStore::open(options);
  EXPECT_FALSE(store.get_or_make("alice", id(1), [] { return numbered_memory(1); }).cached);
  EXPECT_EQ(number({"EXISTS", key(1) + ":lock"}), 1);  // not ours
}

TEST_F(RedisTest, ALockThatWasLostIsNotReleasedForItsNewOwner) {
  MemoryStore store = MemoryStore::open(redis_only());
  store.get_or_make("alice", id(1), [&] {
    EXPECT_GT(number({"PTTL", key(1) + ":lock"}), 0);
    client.command({"SET", key(1) + ":lock", "of another"});
    return numbered_memory(1);
  });
  EXPECT_EQ(number({"EXISTS", key(1) + ":lock"}), 1);
}

// Garbage and failures

TEST_F(RedisTest, GarbageIsAMissAndIsRemoved) {
  for (const std::string& value :
       {std::string("garbage"), std::string(), numbered_memory(1).serialize()}) {
    MemoryStore store = MemoryStore::open(redis_only());
    client.command({"SET", key(1), value});
    EXPECT_FALSE(store.get("alice", id(1)));
    EXPECT_EQ(store.statistics().damaged, 1);
    EXPECT_EQ(number({"EXISTS", key(1)}), 0);
    client.command({"SET", key(1), value});
    EXPECT_FALSE(store.get_or_make("alice", id(1), [] { return numbered_memory(1); }).cached);
    expect_memory(store.get("alice", id(1)), 1);
  }
}

TEST_F(RedisTest, AValueOfAnotherTypeIsAMiss) {
  MemoryStore store = MemoryStore::open(redis_only());
  client.command({"RPUSH", key(1), "a", "b"});
  EXPECT_FALSE(store.get("alice", id(1)));
  EXPECT_EQ(store.statistics().redis_errors, 1);
  EXPECT_FALSE(store.get_or_make("alice", id(1), [] { return numbered_memory(1); }).cached);
  expect_memory(store.get("alice", id(1)), 1);
}

TEST_F(RedisTest, AServerThatIsKilledAndStartedAgainBreaksNoRequest) {
  MemoryStore store = MemoryStore::open(behind_directory());
  store.put("alice", id(1), numbered_memory(1));
  server->kill();
  expect_memory(store.get("alice", id(1)), 1);
  EXPECT_FALSE(store.get("alice", id(2)));
  store.put("alice", id(3), numbered_memory(3));
  EXPECT_FALSE(store.get_or_make("alice", id(4), [] { return numbered_memory(4); }).store_error);
  EXPECT_GT(store.statistics().redis_errors, 0);
  server->start();
  ASSERT_TRUE(server->answers());
  store.put("alice", id(5), numbered_memory(5));
  EXPECT_EQ(number({"EXISTS", key(5)}), 1);
}

TEST_F(RedisTest, AsksForItsPassword) {
  server->kill();
  server =
      std::make_unique<RedisServer>(socket, std::vector<std::string>{"--requirepass", "sesame"});
  ASSERT_TRUE(server->answers("sesame"));
  StoreOptions options = redis_only();
  for (const char* wrong : {"", "wrong"}) {
    options.redis->password = wrong;
    MemoryStore store = MemoryStore::open(options);
    EXPECT_FALSE(store.get("alice", id(1)));
    EXPECT_GT(store.statistics().redis_errors, 0);
  }
  options.redis->password = "sesame";
  MemoryStore store = MemoryStore::open(options);
  store.put("alice", id(1), numbered_memory(1));
  expect_memory(store.get("alice", id(1)), 1);
}

// Without a server

class RedisDown : public RedisFixture {};

TEST_F(RedisDown, BreaksNoRequest) {
  MemoryStore store = MemoryStore::open(behind_directory());
  EXPECT_FALSE(store.get("alice", id(1)));
  EXPECT_FALSE(store.get_or_make("alice", id(1), [] { return numbered_memory(1); }).store_error);
  expect_memory(store.get("alice", id(1)), 1);
  EXPECT_GT(store.statistics().redis_errors, 0);
  // Whether it is gone from Redis is not known.
  expect_error(
      ErrorKind::kInvalidArgument, "may still be there", [&] { store.erase("alice", id(1)); });
  EXPECT_FALSE(store.get("alice", id(1)));
}

TEST_F(RedisDown, WithoutADirectoryMemoriesAreMadeAndNotKept) {
  MemoryStore store = MemoryStore::open(redis_only());
  const StoreResult made = store.get_or_make("alice", id(1), [] { return numbered_memory(1); });
  expect_memory(made.memory, 1);
  EXPECT_TRUE(made.store_error);
  expect_error(ErrorKind::kInvalidArgument, "cannot be stored", [&] {
    store.put("alice", id(1), numbered_memory(1));
  });
  EXPECT_TRUE(store.list("alice").empty());
}

TEST_F(RedisDown, IsSaidOnceAndLeftAlone) {
  std::mutex mutex;
  std::vector<std::string> said;
  set_log_sink([&](LogLevel, std::string_view message) {
    const std::lock_guard lock(mutex);
    said.emplace_back(message);
  });
  StoreOptions options = behind_directory();
  options.redis->retry_after = seconds(600);
  MemoryStore store = MemoryStore::open(options);
  for (int i = 0; i < 5; ++i) EXPECT_FALSE(store.get("alice", id(1)));
  set_log_sink({});
  EXPECT_EQ(store.statistics().redis_errors, 1);
  ASSERT_EQ(said.size(), 1u);
  EXPECT_NE(said[0].find("redis.sock"), std::string::npos);
  EXPECT_NE(said[0].find("cannot be reached"), std::string::npos);
}

TEST_F(RedisDown, OtherServersAnswersAreMisses) {
  for (const char* answer : {"",
                             "HTTP/1.1 400 Bad Request\r\n\r\n",
                             "$5\r\nab",
                             "$-1\r\n",
                             "$0\r\n\r\n",
                             "$7\r\ngarbage\r\n",
                             ":7\r\n",
                             "+OK\r\n",
                             "-ERR no\r\n",
                             "*-1\r\n",
                             "*0\r\n",
                             "*2\r\n$1\r\n1\r\n*1\r\n:7\r\n"}) {
    fs::remove(socket);
    const FalseServer server(socket, answer);
    StoreOptions options = behind_directory();
    options.flight_wait = milliseconds(50);
    MemoryStore store = MemoryStore::open(options);
    EXPECT_FALSE(store.get("alice", id(1))) << answer;
    const StoreResult made = store.get_or_make("alice", id(1), [] { return numbered_memory(1); });
    EXPECT_FALSE(made.cached) << answer;
    EXPECT_FALSE(made.store_error) << answer;
    expect_memory(store.get("alice", id(1)), 1);
    fs::remove(file(1));

    options.directory.clear();
    MemoryStore alone = MemoryStore::open(options);
    EXPECT_FALSE(alone.find("alice", id(1))) << answer;
    EXPECT_TRUE(alone.list("alice").empty()) << answer;
  }
}

TEST_F(RedisDown, ASilentServerIsWaitedForNoLongerThanItsTimeOut) {
  const FalseServer server(socket, "", true);
  StoreOptions options = behind_directory();
  options.redis->timeout = milliseconds(50);
  options.redis->retry_after = seconds(600);
  MemoryStore store = MemoryStore::open(options);
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < 20; ++i) EXPECT_FALSE(store.get("alice", id(1)));
  EXPECT_LT(std::chrono::steady_clock::now() - start, seconds(5));
  EXPECT_EQ(store.statistics().redis_errors, 1);
}

TEST_F(RedisDown, RefusesOptionsOutOfRange) {
  const auto refuse = [&](const std::string& message, const auto& change) {
    StoreOptions options = redis_only();
    change(*options.redis);
    expect_error(ErrorKind::kInvalidArgument, message, [&] { MemoryStore::open(options); });
  };
  refuse("a host and a port", [](RedisOptions& options) { options.unix_socket.clear(); });
  refuse("a host and a port", [](RedisOptions& options) {
    options.unix_socket.clear();
    options.host = "localhost";
    options.port = 0;
  });
  refuse("prefix", [](RedisOptions& options) { options.prefix = "a*"; });
  refuse("prefix", [](RedisOptions& options) { options.prefix = ""; });
  refuse("time-out", [](RedisOptions& options) { options.timeout = milliseconds(0); });
}

}  // namespace
}  // namespace precis
