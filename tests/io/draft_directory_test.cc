// SPDX-License-Identifier: Apache-2.0
#include "io/draft_directory.h"

#include <gtest/gtest.h>

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

TEST_F(DraftDirectoryTest, TakesThePlaceOfAnEmptyDirectory) {
  fs::create_directory(target);
  DraftDirectory draft(target / "");  // as a shell completes it
  overwrite(draft.path() / "file", "text");
  draft.commit();
  EXPECT_EQ(read_file(target / "file"), "text");
  EXPECT_EQ(entries(), 1u);
}

TEST_F(DraftDirectoryTest, MakesTheDirectoriesAbove) {
  DraftDirectory draft(directory / "a/b/target");
  draft.commit();
  EXPECT_TRUE(fs::is_directory(directory / "a/b/target"));
}

TEST_F(DraftDirectoryTest, TouchesNothingThatIsThere) {
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

TEST_F(DraftDirectoryTest, APlaceThatCannotBeWrittenIsNamed) {
  overwrite(directory / "file", "mine");
  expect_error(ErrorKind::kInvalidArgument, "file/target: cannot be created", [&] {
    DraftDirectory draft(directory / "file" / "target");
  });
}

}  // namespace
}  // namespace precis
