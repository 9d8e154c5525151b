// SPDX-License-Identifier: Apache-2.0
// Writing over existing files, links, pipes and devices: replaced atomically, or written to
// directly.
#include "io/atomic_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <thread>

#include "io/json_file.h"
#include "support/damage.h"
#include "support/expect_error.h"
#include "support/temporary_directory.h"

namespace precis {
namespace {

namespace fs = std::filesystem;

void write_text(const fs::path& path, std::string_view text) {
  AtomicFile file(path);
  file.append(std::as_bytes(std::span(text)));
  file.commit();
}

struct stat status_of(const fs::path& path) {
  struct stat status = {};
  EXPECT_EQ(::lstat(path.c_str(), &status), 0) << path;
  return status;
}

class AtomicFileTest : public testing::Test {
 protected:
  std::size_t entries() const {
    return std::distance(fs::directory_iterator(directory.path()), fs::directory_iterator());
  }

  void refuse(const std::string& part) const {
    expect_error(ErrorKind::kInvalidArgument,
                 target.string() + ": cannot be written: " + part,
                 [&] { write_text(target, "new"); });
  }

  TemporaryDirectory directory;
  const fs::path target = directory / "target";
};

// Regular files

TEST_F(AtomicFileTest, LeavesNothingWithoutACommit) {
  overwrite(target, "old");
  {
    AtomicFile file(target);
    file.append(std::as_bytes(std::span(std::string_view("new"))));
    EXPECT_EQ(entries(), 2u);
  }
  EXPECT_EQ(read_file(target), "old");
  EXPECT_EQ(entries(), 1u);
}

TEST_F(AtomicFileTest, ReadersOfTheOldFileKeepIt) {
  overwrite(target, "old");
  std::ifstream reader(target);
  write_text(target, "new");
  std::string text;
  reader >> text;
  EXPECT_EQ(text, "old");
  EXPECT_EQ(read_file(target), "new");
  EXPECT_EQ(entries(), 1u);
}

TEST_F(AtomicFileTest, KeepsTheModeOfTheFileBefore) {
  for (const mode_t mode : {0600, 0640, 0444, 0755}) {
    overwrite(target, "old");
    ASSERT_EQ(::chmod(target.c_str(), mode), 0);
    write_text(target, "new");
    EXPECT_EQ(status_of(target).st_mode & 07777, mode);
    EXPECT_EQ(read_file(target), "new");
    fs::remove(target);
  }
}

TEST_F(AtomicFileTest, KeepsTheOwnerOfTheFileBefore) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root may give files away";
  overwrite(target, "old");
  ASSERT_EQ(::chown(target.c_str(), 1234, 4321), 0);
  ASSERT_EQ(::chmod(target.c_str(), 0640), 0);
  write_text(target, "new");
  EXPECT_EQ(status_of(target).st_uid, 1234u);
  EXPECT_EQ(status_of(target).st_gid, 4321u);
  EXPECT_EQ(status_of(target).st_mode & 07777, 0640u);
}

TEST_F(AtomicFileTest, TheUmaskAppliesToANewFile) {
  const mode_t before = ::umask(027);
  write_text(target, "new");
  ::umask(before);
  EXPECT_EQ(status_of(target).st_mode & 07777, 0640u);
}

// Links

TEST_F(AtomicFileTest, FollowsLinksAndKeepsThem) {
  fs::create_directory(directory / "other");
  overwrite(directory / "other/real", "old");
  ASSERT_EQ(::chmod((directory / "other/real").c_str(), 0600), 0);
  fs::create_symlink("real", directory / "other/link");
  fs::create_symlink("other/link", target);
  write_text(target, "new");
  EXPECT_EQ(fs::read_symlink(target), "other/link");
  EXPECT_EQ(fs::read_symlink(directory / "other/link"), "real");
  EXPECT_TRUE(S_ISREG(status_of(directory / "other/real").st_mode));
  EXPECT_EQ(status_of(directory / "other/real").st_mode & 07777, 0600u);
  EXPECT_EQ(read_file(directory / "other/real"), "new");
  EXPECT_EQ(entries(), 2u);
}

TEST_F(AtomicFileTest, CreatesTheTargetOfALink) {
  fs::create_symlink(directory / "real", target);
  write_text(target, "new");
  EXPECT_TRUE(fs::is_symlink(target));
  EXPECT_EQ(read_file(directory / "real"), "new");
}

TEST_F(AtomicFileTest, ALinkToItselfIsRefused) {
  fs::create_symlink("target", target);
  refuse("Too many levels of symbolic links");
  EXPECT_EQ(entries(), 1u);
}

// Pipes, devices, directories

TEST_F(AtomicFileTest, WritesIntoAPipe) {
  ASSERT_EQ(::mkfifo(target.c_str(), 0600), 0);
  const std::string text(300'000, 'x');  // more than a pipe holds
  std::string heard;
  std::thread reader([&] {
    std::ifstream in(target);
    heard.assign(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
  });
  write_text(target, text);
  reader.join();
  EXPECT_EQ(heard, text);
  EXPECT_TRUE(S_ISFIFO(status_of(target).st_mode));
  EXPECT_EQ(entries(), 1u);
}

// Through links, so that an error cannot replace a device of the machine.
TEST_F(AtomicFileTest, WritesToADevice) {
  fs::create_symlink("/dev/null", target);
  write_text(target, "new");
  EXPECT_TRUE(fs::is_symlink(target));
  EXPECT_TRUE(fs::is_character_file(target));
  fs::remove(target);
  fs::create_symlink("/dev/full", target);
  refuse("No space left on device");
  EXPECT_TRUE(fs::is_symlink(target));
  EXPECT_EQ(entries(), 1u);
}

TEST_F(AtomicFileTest, ADirectoryIsRefused) {
  fs::create_directory(target);
  refuse("Is a directory");
  EXPECT_TRUE(fs::is_directory(target));
  EXPECT_EQ(entries(), 1u);
}

// check_writable()

TEST_F(AtomicFileTest, CheckWritableFindsErrorsBefore) {
  const auto refused = [](const fs::path& path, const std::string& part) {
    expect_error(ErrorKind::kInvalidArgument, path.string() + ": cannot be written: " + part, [&] {
      check_writable(path);
    });
  };
  overwrite(target, "old");
  check_writable(target);
  check_writable(directory / "new");
  check_writable("/dev/null");
  refused(directory / "nowhere/new", "No such file or directory");
  refused(target / "new", "Not a directory");
  fs::create_symlink("nowhere/new", directory / "link");
  refused(directory / "link", "No such file or directory");
  EXPECT_EQ(read_file(target), "old");
  EXPECT_EQ(entries(), 2u);
}

}  // namespace
}  // namespace precis
