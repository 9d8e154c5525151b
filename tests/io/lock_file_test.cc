// SPDX-License-Identifier: Apache-2.0
#include "io/lock_file.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <thread>

#include "base/check.h"
#include "io/json_file.h"
#include "support/damage.h"
#include "support/expect_error.h"
#include "support/temporary_directory.h"

namespace precis {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;

constexpr milliseconds kAtOnce(0), kTimeout(60'000);

class LockFileTest : public testing::Test {
 protected:
  std::size_t entries() const {
    return std::distance(fs::directory_iterator(directory.path()), fs::directory_iterator());
  }

  // Expects an error that names the process of this test.
  void refuse(const fs::path& what) const {
    const std::string reason =
        concat(what.string(), ": is being changed by process ", ::getpid(), ";");
    expect_error(ErrorKind::kInvalidArgument, reason, [&] { const LockFile lock(what, kAtOnce); });
    expect_error(ErrorKind::kInvalidArgument, reason, [&] { check_unlocked(what, kAtOnce); });
  }

  TemporaryDirectory directory;
};

TEST_F(LockFileTest, HasOneOwnerAndIsRemovedWithIt) {
  check_unlocked(directory.path(), kAtOnce);
  {
    const LockFile lock(directory.path(), kAtOnce);
    refuse(directory.path());
  }
  EXPECT_EQ(entries(), 0u);
  check_unlocked(directory.path(), kAtOnce);
  const LockFile lock(directory.path(), kAtOnce);
}

TEST_F(LockFileTest, OfADirectoryCreatesIt) {
  const fs::path made = directory / "a" / "b";
  {
    const LockFile lock = lock_directory(made, kAtOnce);
    refuse(made);
    expect_error(ErrorKind::kInvalidArgument, "is being changed by", [&] {
      const LockFile second = lock_directory(made, kAtOnce);
    });
  }
  EXPECT_TRUE(fs::is_empty(made));
  std::ofstream(directory / "file") << "text";
  expect_error(ErrorKind::kInvalidArgument, "cannot be created", [&] {
    const LockFile lock = lock_directory(directory / "file", kAtOnce);
  });
}

TEST_F(LockFileTest, OfAFileDoesNotLockOtherFiles) {
  const LockFile lock(directory / "file", kAtOnce);
  refuse(directory / "file");
  const LockFile other(directory / "other", kAtOnce), all(directory.path(), kAtOnce);
}

TEST_F(LockFileTest, OfAProcessThatIsKilledLocksNothing) {
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const LockFile lock(directory.path(), kAtOnce);
    if (::write(ready[1], "x", 1) == 1) ::pause();
    ::_exit(0);
  }
  char byte = 0;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  expect_error(ErrorKind::kInvalidArgument, concat("process ", child, ";"), [&] {
    const LockFile lock(directory.path(), kAtOnce);
  });
  ASSERT_EQ(::kill(child, SIGKILL), 0);
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  ::close(ready[0]);
  ::close(ready[1]);
  EXPECT_EQ(entries(), 1u);
  { const LockFile lock(directory.path(), kAtOnce); }
  EXPECT_EQ(entries(), 0u);
}

// Several threads increment a number in a file.
TEST_F(LockFileTest, OthersWait) {
  constexpr int kThreads = 4, kTurns = 25;
  const fs::path file = directory / "number";
  overwrite(file, "0");
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      for (int turn = 0; turn < kTurns; ++turn) {
        const LockFile lock(file, kTimeout);
        overwrite(file, std::to_string(std::stoi(read_file(file)) + 1));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(read_file(file), std::to_string(kThreads * kTurns));
  EXPECT_EQ(entries(), 1u);
}

TEST_F(LockFileTest, AnUnwritableDirectoryIsNamed) {
  expect_error(ErrorKind::kInvalidArgument, "nowhere", [&] {
    const LockFile lock(directory / "nowhere/file", kAtOnce);
  });
}

}  // namespace
}  // namespace precis
