// SPDX-License-Identifier: Apache-2.0
#include "store/tenant_folder.h"

#include <sys/stat.h>

#include "io/lock_file.h"
#include "store/store_fixture.h"

namespace precis {
namespace {

namespace fs = std::filesystem;

StoreTime at_second(int64_t second) { return StoreTime(seconds(second)); }

EntryFile entry(const std::string& id, int64_t bytes, int64_t second, bool pinned = false) {
  return {id, bytes, at_second(second), pinned};
}

class TenantFolderTest : public testing::Test {
 protected:
  void write(const std::string& name, const std::string& bytes = "bytes") const {
    overwrite(directory / name, bytes);
  }
  bool has(const std::string& name) const { return fs::exists(directory / name); }
  size_t num_files() const {
    return std::distance(fs::directory_iterator(directory.path()), fs::directory_iterator());
  }

  TemporaryDirectory directory;
  const std::string first = numbered_id("alice", 1), second = numbered_id("alice", 2);
};

using Ids = std::vector<std::string>;

TEST(FilesToEvict, TheLeastRecentlyUsedGoFirst) {
  const std::vector<EntryFile> files{entry("b", 40, 2), entry("c", 40, 3), entry("a", 40, 1)};
  EXPECT_EQ(files_to_evict(files, 120), Ids{});
  EXPECT_EQ(files_to_evict(files, 119), Ids{"a"});
  EXPECT_EQ(files_to_evict(files, 80), Ids{"a"});
  EXPECT_EQ(files_to_evict(files, 79), (Ids{"a", "b"}));
  EXPECT_EQ(files_to_evict(files, 0), (Ids{"a", "b", "c"}));
  EXPECT_EQ(files_to_evict({}, 0), Ids{});
}

TEST(FilesToEvict, PinnedOnesStay) {
  const std::vector<EntryFile> files{entry("a", 40, 1, true), entry("b", 40, 2)};
  EXPECT_EQ(files_to_evict(files, 40), Ids{"b"});
  EXPECT_EQ(files_to_evict(files, 39), std::nullopt);
}

TEST(FilesToEvict, OfOneTimeTheOrderIsThatOfIds) {
  EXPECT_EQ(files_to_evict({entry("b", 40, 1), entry("a", 40, 1)}, 40), Ids{"a"});
}

TEST_F(TenantFolderTest, HasEntriesOnlyInFilesNamedLikeOne) {
  write(first + ".safetensors", "seven77");
  write(second + ".pin");
  write("mem_1.safetensors");
  write("notes.txt");
  fs::create_directory(directory / (second + ".safetensors"));
  const std::vector<EntryFile> files = entry_files(directory.path());
  ASSERT_EQ(files.size(), 1u);
  EXPECT_EQ(files[0].id, first);
  EXPECT_EQ(files[0].bytes, 7);
  EXPECT_FALSE(files[0].pinned);
  write(first + ".pin");
  EXPECT_TRUE(entry_file(directory.path(), first)->pinned);
  EXPECT_FALSE(entry_file(directory.path(), second));
  EXPECT_TRUE(entry_files(directory / "nowhere").empty());
}

TEST_F(TenantFolderTest, TheTimeOfUseIsKeptInMilliseconds) {
  write(first + ".safetensors");
  for (const int64_t time : {int64_t{0}, int64_t{1'234'567'890'123}}) {
    ASSERT_TRUE(set_last_used(directory / (first + ".safetensors"), StoreTime(milliseconds(time))));
    EXPECT_EQ(entry_file(directory.path(), first)->last_used, StoreTime(milliseconds(time)));
  }
  EXPECT_FALSE(set_last_used(directory / "nothing", at_second(1)));
}

TEST_F(TenantFolderTest, AnEntryIsRemovedWithItsPin) {
  write(first + ".safetensors");
  write(first + ".pin");
  EXPECT_TRUE(remove_entry(directory.path(), first));
  EXPECT_EQ(num_files(), 0u);
  EXPECT_FALSE(remove_entry(directory.path(), first));
}

TEST_F(TenantFolderTest, LeftoversAreRemoved) {
  write(first + ".safetensors");
  write(first + ".pin");
  write(".precis-0123abcd.part");                    // a draft of a killed process
  write(second + ".pin");                            // of an entry that is gone
  write("." + second + ".safetensors.precis-lock");  // nobody holds it
  const LockFile held(directory / (first + ".safetensors"), milliseconds(0));
  remove_leftovers(directory.path());
  EXPECT_TRUE(has(first + ".safetensors"));
  EXPECT_TRUE(has(first + ".pin"));
  EXPECT_TRUE(has("." + first + ".safetensors.precis-lock"));
  EXPECT_EQ(num_files(), 3u);
}

}  // namespace
}  // namespace precis
