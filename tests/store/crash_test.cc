// SPDX-License-Identifier: Apache-2.0
// A process that writes to the store is killed at any moment.
#include <random>
#include <set>
#include <thread>

#include "store/child_process.h"
#include "store/store_fixture.h"

namespace precis {
namespace {

class CrashTest : public StoreTest {
 protected:
  // A child that puts memories 0, 1, ... and reports each when put() has returned.
  ChildProcess start_writer() const {
    return ChildProcess([this](const ChildProcess::Report& report) {
      MemoryStore store = MemoryStore::open(disk_options());
      for (int i = 0; i < kWrites; ++i) {
        store.put("alice", id(i), numbered_memory(i));
        report(i);
      }
    });
  }

  // Everything that is served is right, everything that was confirmed is served.
  void expect_sound(const std::set<int>& confirmed) const {
    MemoryStore store = MemoryStore::open(disk_options());
    for (int i = 0; i < kWrites; ++i) {
      const std::optional<Memory> memory = store.get("alice", id(i));
      EXPECT_TRUE(memory || !confirmed.contains(i)) << "lost: " << i;
      if (memory) expect_memory(memory, i);
    }
    EXPECT_EQ(store.statistics().damaged, 0);
  }

  static constexpr int kWrites = 200;
};

TEST_F(CrashTest, NothingDamagedIsServedAndNothingConfirmedIsLost) {
  std::mt19937 random(1);
  std::set<int> confirmed;
  for (int round = 0; round < 20; ++round) {
    ChildProcess writer = start_writer();
    ASSERT_TRUE(writer.has_started());
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 40'000));
    writer.kill();
    writer.wait();
    for (const int i : writer.reported()) confirmed.insert(i);
    expect_sound(confirmed);
  }
  EXPECT_FALSE(confirmed.empty());
}

// What the killed left behind does not hold others up and is removed.
TEST_F(CrashTest, TheNextWriterTidiesUp) {
  for (int round = 0; round < 5; ++round) {
    ChildProcess writer = start_writer();
    ASSERT_TRUE(writer.has_started());
    std::this_thread::sleep_for(milliseconds(10));
    writer.kill();
    writer.wait();
  }
  MemoryStore store = MemoryStore::open(disk_options());
  store.put("alice", id(kWrites), numbered_memory(kWrites));
  for (const auto& entry : std::filesystem::directory_iterator(folder()))
    EXPECT_TRUE(entry.path().filename().string().starts_with("mem_")) << entry.path();
}

TEST_F(CrashTest, AKilledMakerIsReplaced) {
  ChildProcess maker([this](const ChildProcess::Report& report) {
    MemoryStore store = MemoryStore::open(disk_options());
    store.get_or_make("alice", id(1), [&] {
      report(1);
      ::pause();
      return numbered_memory(0);
    });
  });
  ASSERT_EQ(maker.next(), 1);
  std::thread killer([&] {
    std::this_thread::sleep_for(milliseconds(100));
    maker.kill();
  });
  MemoryStore store = MemoryStore::open(disk_options());
  const StoreResult made = store.get_or_make("alice", id(1), [] { return numbered_memory(1); });
  killer.join();
  EXPECT_EQ(maker.wait(), 128);
  EXPECT_FALSE(made.cached);
  expect_memory(made.memory, 1);
}

}  // namespace
}  // namespace precis
