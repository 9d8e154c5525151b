// SPDX-License-Identifier: Apache-2.0
// Several processes share a directory.
#include <algorithm>
#include <thread>

#include "store/child_process.h"
#include "store/store_fixture.h"

namespace precis {
namespace {

class ProcessesTest : public StoreTest {};

TEST_F(ProcessesTest, OneFindsWhatAnotherPuts) {
  ChildProcess writer([this](const ChildProcess::Report&) {
    MemoryStore::open(options()).put("alice", id(1), numbered_memory(1));
  });
  ASSERT_EQ(writer.wait(), 0);
  expect_memory(MemoryStore::open(options()).get("alice", id(1)), 1);
}

// All put, get and erase the same few entries; a reader takes only whole ones.
TEST_F(ProcessesTest, ManyMayChangeTheSameEntries) {
  constexpr int kProcesses = 3, kTurns = 40, kEntries = 4;
  std::vector<std::unique_ptr<ChildProcess>> processes;
  for (int process = 0; process < kProcesses; ++process) {
    processes.push_back(std::make_unique<ChildProcess>([&, process](
                                                           const ChildProcess::Report& report) {
      MemoryStore store = MemoryStore::open(options());
      for (int turn = 0; turn < kTurns; ++turn) {
        const int i = (turn * 7 + process) % kEntries;
        if (turn % 5 == 4) store.erase("alice", id(i));
        store.put("alice", id(i), numbered_memory(i));
        const auto other = store.get("alice", id((i + 1) % kEntries));
        if (other && other->content_hash() != numbered_memory((i + 1) % kEntries).content_hash())
          report(i);
      }
      if (store.statistics().damaged > 0) report(-1);
    }));
  }
  for (const auto& process : processes) {
    EXPECT_EQ(process->wait(), 0);
    EXPECT_TRUE(process->reported().empty());
  }
  EXPECT_LE(MemoryStore::open(options()).usage("alice").entries, kEntries);
}

TEST_F(ProcessesTest, KeepTheQuotaTogether) {
  StoreOptions limited = disk_options();
  const int64_t bytes = MemoryStore::open(limited).put("alice", id(0), numbered_memory(0)).bytes;
  limited.tenant_quota_bytes = 5 * bytes;
  std::vector<std::unique_ptr<ChildProcess>> processes;
  for (int process = 0; process < 3; ++process) {
    processes.push_back(std::make_unique<ChildProcess>([&, process](const ChildProcess::Report&) {
      MemoryStore store = MemoryStore::open(limited);
      for (int i = 0; i < 20; ++i)
        store.put("alice", id(100 * (process + 1) + i), numbered_memory(i));
    }));
  }
  for (const auto& process : processes) EXPECT_EQ(process->wait(), 0);
  const StoreUsage usage = MemoryStore::open(limited).usage("alice");
  EXPECT_EQ(usage.entries, 5);
  EXPECT_LE(usage.bytes, limited.tenant_quota_bytes);
}

TEST_F(ProcessesTest, MakeAMemoryOnce) {
  std::vector<std::unique_ptr<ChildProcess>> processes;
  for (int process = 0; process < 3; ++process) {
    processes.push_back(std::make_unique<ChildProcess>([this](const ChildProcess::Report& report) {
      MemoryStore store = MemoryStore::open(options());
      const StoreResult result = store.get_or_make("alice", id(1), [&] {
        report(1);
        std::this_thread::sleep_for(milliseconds(200));
        return numbered_memory(1);
      });
      if (result.memory.content_hash() != numbered_memory(1).content_hash()) report(-1);
    }));
  }
  std::vector<int> made;
  for (const auto& process : processes) {
    EXPECT_EQ(process->wait(), 0);
    for (const int number : process->reported()) made.push_back(number);
  }
  EXPECT_EQ(made, std::vector<int>{1});
}

}  // namespace
}  // namespace precis
