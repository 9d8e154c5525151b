// SPDX-License-Identifier: Apache-2.0
// Drafts of killed processes, and drafts that others are writing.
#include "io/drafts.h"

#include <gtest/gtest.h>

#include "io/atomic_file.h"
#include "io/draft_directory.h"
#include "io/json_file.h"
#include "support/damage.h"
#include "support/temporary_directory.h"

namespace precis {
namespace {

namespace fs = std::filesystem;

class DraftsTest : public testing::Test {
 protected:
  std::size_t entries() const {
    return std::distance(fs::directory_iterator(directory.path()), fs::directory_iterator());
  }

  TemporaryDirectory directory;
};

TEST_F(DraftsTest, OldDraftsAreRemoved) {
  overwrite(directory / ".precis-0123abcd4567ef.part", "half a file");
  fs::create_directories(directory / ".precis-1a.part/inner");
  overwrite(directory / ".precis-1a.part/inner/file", "half a directory");
  remove_drafts(directory.path());
  EXPECT_EQ(entries(), 0u);
  remove_drafts(directory / "nowhere");
}

TEST_F(DraftsTest, DraftsInUseAreKept) {
  AtomicFile file(directory / "file");
  file.append(std::as_bytes(std::span(std::string_view("text"))));
  DraftDirectory draft(directory / "target");
  overwrite(draft.path() / "inner", "text");
  remove_drafts(directory.path());
  EXPECT_EQ(entries(), 2u);
  file.commit();
  draft.commit();
  EXPECT_EQ(read_file(directory / "file"), "text");
  EXPECT_EQ(read_file(directory / "target/inner"), "text");
  remove_drafts(directory.path());
  EXPECT_EQ(entries(), 2u);
}

TEST_F(DraftsTest, OtherFilesAreKept) {
  const std::vector<std::string> names{
      ".precis-notes.part", ".precis-.part", "precis-0a.part", ".precis-0a.part.txt", ".precis-0a"};
  for (const std::string& name : names) overwrite(directory / name, "mine");
  remove_drafts(directory.path());
  for (const std::string& name : names) EXPECT_TRUE(fs::exists(directory / name)) << name;
}

TEST_F(DraftsTest, ANewDirectoryRemovesOldDraftsBesideIt) {
  fs::create_directory(directory / ".precis-1a.part");
  DraftDirectory draft(directory / "target");
  draft.commit();
  EXPECT_EQ(entries(), 1u);
}

}  // namespace
}  // namespace precis
