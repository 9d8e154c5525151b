// SPDX-License-Identifier: Apache-2.0
#include "io/draft_directory.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io/json_file.h"
#include "support/damage.h"
#include "support/expect_error.h"
#include "support/temporary_directory.h"

namespace precis {
namespace {

namespace fs = std::filesystem;

class DraftDirectoryTest : public testing::Test {
 protected:
  std::size_t entries() const {
    return std::distance(fs::directory_iterator(directory.path()), fs::directory_iterator());
  }

  TemporaryDirectory directory;
  const fs::path target = directory / "target";
};

TEST_F(DraftDirectoryTest, AppearsWholeWhenCommitted) {
  DraftDirectory draft(target);
  overwrite(draft.path() / "file", "text");
  EXPECT_FALSE(fs::exists(target));
  draft.commit();
  EXPECT_EQ(read_file(target / "file"), "text");
  EXPECT_EQ(entries(), 1u);
}

TEST_F(DraftDirectoryTest, LeavesNothingWithoutACommit) {
  {
    DraftDirectory draft(target);
    fs::create_directory(draft.path() / "inner");
    overwrite(draft.path() / "inner" / "file", "text");
  }
  EXPECT_EQ(entries(), 0u);
}

TEST_F(DraftDirectoryTest, ReplacesAnEmptyDirectory) {
  fs::create_directory(target);
  DraftDirectory draft(target / "");  // as a shell completes it
  overwrite(draft.path() / "file", "text");
  draft.commit();
  EXPECT_EQ(read_file(target / "file"), "text");
  EXPECT_EQ(entries(), 1u);
}

TEST_F(DraftDirectoryTest, KeepsAnEmptyDirectoryWithoutACommit) {
  fs::create_directory(target);
  fs::permissions(target, fs::perms::owner_all);
  { DraftDirectory draft(target); }
  EXPECT_EQ(fs::status(target).permissions(), fs::perms::owner_all);
  EXPECT_EQ(entries(), 1u);
}

TEST_F(DraftDirectoryTest, FollowsALinkToAnEmptyDirectory) {
  fs::create_directory(directory / "real");
  fs::create_directory_symlink("real", target);
  for (const char* end : {"", "/"}) {
    DraftDirectory draft(target.string() + end);
    overwrite(draft.path() / "file", "text");
    draft.commit();
    EXPECT_TRUE(fs::is_symlink(target));
    EXPECT_EQ(read_file(directory / "real/file"), "text");
    EXPECT_EQ(entries(), 2u);
    fs::remove(directory / "real/file");
  }
}

TEST_F(DraftDirectoryTest, ADanglingLinkIsRefused) {
  const auto open = [&] { DraftDirectory draft(target); };
  fs::create_symlink("nowhere", target);
  expect_error(ErrorKind::kInvalidArgument, "target: is there already", open);
  fs::remove(target);
  fs::create_symlink("target", target);  // to itself
  expect_error(ErrorKind::kInvalidArgument, "target: cannot be created", open);
  EXPECT_EQ(entries(), 1u);
}

// Runs in a process with its own mount namespace.
TEST_F(DraftDirectoryTest, AMountPointIsRefusedAtOnce) {
  enum { kRefused, kAccepted, kNoMounts };
  fs::create_directory(target);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0 ||
        mount(target.c_str(), target.c_str(), "", MS_BIND, nullptr) != 0)
      _exit(kNoMounts);
    try {
      DraftDirectory draft(target);
    } catch (const Error& error) {
      const bool named = std::string(error.what()).find("cannot be replaced") != std::string::npos;
      _exit(named && error.kind() == ErrorKind::kInvalidArgument ? kRefused : kAccepted);
    }
    _exit(kAccepted);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  if (WEXITSTATUS(status) == kNoMounts) GTEST_SKIP() << "the system allows no mount points here";
  EXPECT_EQ(WEXITSTATUS(status), kRefused);
  EXPECT_EQ(entries(), 1u);
}

TEST_F(DraftDirectoryTest, AnEmptyNameIsRefused) {
  expect_error(ErrorKind::kInvalidArgument, "is empty", [] { DraftDirectory draft(""); });
}

TEST_F(DraftDirectoryTest, CreatesParentDirectories) {
  DraftDirectory draft(directory / "a/b/target");
  draft.commit();
  EXPECT_TRUE(fs::is_directory(directory / "a/b/target"));
}

TEST_F(DraftDirectoryTest, DoesNotChangeExistingFiles) {
  overwrite(target, "mine");
  const auto open = [&] { DraftDirectory draft(target); };
  expect_error(ErrorKind::kInvalidArgument, target.string() + ": is there already", open);
  EXPECT_EQ(read_file(target), "mine");
  fs::remove(target);
  fs::create_directory(target);
  overwrite(target / "file", "mine");
  expect_error(ErrorKind::kInvalidArgument, "is there already", open);
  EXPECT_EQ(entries(), 1u);
}

TEST_F(DraftDirectoryTest, AnUnwritableDirectoryIsNamed) {
  overwrite(directory / "file", "mine");
  expect_error(ErrorKind::kInvalidArgument, "file/target: cannot be created", [&] {
    DraftDirectory draft(directory / "file" / "target");
  });
}

}  // namespace
}  // namespace precis
