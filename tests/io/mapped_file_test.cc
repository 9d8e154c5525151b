// SPDX-License-Identifier: Apache-2.0
#include "io/mapped_file.h"

#include <sys/stat.h>

#include <algorithm>
#include <fstream>
#include <optional>
#include <string>

#include "file_fixture.h"

namespace precis {
namespace {

class MappedFileTest : public FileTest {};

std::string_view text_of(const MappedFile& file) {
  return {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()};
}

TEST_F(MappedFileTest, HasTheBytesOfTheFile) {
  const auto path = file_of("seven b");
  const MappedFile file = MappedFile::open(path);
  EXPECT_EQ(text_of(file), "seven b");
  EXPECT_EQ(file.path(), path);
}

TEST_F(MappedFileTest, MapsAnEmptyFile) {
  EXPECT_TRUE(MappedFile::open(file_of("")).bytes().empty());
}

TEST_F(MappedFileTest, RefusesAGitLfsPointer) {
  const std::string version = "version https://git-lfs.github.com/spec/v1\n",
                    hash = "oid sha256:" + std::string(64, '7') + "\n";
  expect_error(ErrorKind::kBadWeights, "in place of the file itself (12345 bytes); fetch", [&] {
    MappedFile::open(file_of(version + hash + "size 12345\n"));
  });
  expect_error(ErrorKind::kBadWeights, "in place of the file itself; fetch", [&] {
    MappedFile::open(file_of(version));
  });
  // Other texts that mention the pointer format.
  for (const std::string& text : {"a pointer: " + version, version + std::string(1024, 'x')})
    EXPECT_EQ(text_of(MappedFile::open(file_of(text))), text);
}

TEST_F(MappedFileTest, LivesAsLongAsItsLastCopy) {
  std::optional<MappedFile> first = MappedFile::open(file_of("shared"));
  const MappedFile second = *first;
  first.reset();
  EXPECT_EQ(text_of(second), "shared");
}

TEST_F(MappedFileTest, SurvivesRemovalOfTheFile) {
  const auto path = file_of("gone");
  const MappedFile file = MappedFile::open(path);
  std::filesystem::remove(path);
  EXPECT_EQ(text_of(file), "gone");
}

// Resident memory of this process that is backed by files, in bytes.
int64_t resident_file_bytes() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    int64_t kilobytes = 0;
    if (word == "RssFile:" && status >> kilobytes) return kilobytes * 1024;
  }
  return 0;
}

TEST_F(MappedFileTest, ReleasedPagesAreNotResident) {
  constexpr int64_t kSize = 32 << 20;
  const MappedFile file = MappedFile::open(file_of(std::string(kSize, 'x')));
  EXPECT_EQ(std::ranges::count(text_of(file), 'x'), kSize);
  const int64_t held = resident_file_bytes();
  release_pages(file.bytes());
  EXPECT_LT(resident_file_bytes(), held - kSize / 2);
}

TEST_F(MappedFileTest, ReleasedPagesCanBeReadAgain) {
  std::string text;
  for (int i = 0; i < 5000; ++i) text += std::to_string(i);
  const MappedFile file = MappedFile::open(file_of(text));
  EXPECT_EQ(text_of(file), text);
  release_pages(file.bytes());
  EXPECT_EQ(text_of(file), text);
  for (const size_t first : {size_t{1}, size_t{4095}, size_t{4097}, text.size()})
    release_pages(file.bytes().subspan(first));
  EXPECT_EQ(text_of(file), text);
}

TEST_F(MappedFileTest, RefusesAMissingFile) {
  expect_error(ErrorKind::kNotFound, "nowhere", [&] { MappedFile::open(folder() / "nowhere"); });
  expect_error(ErrorKind::kNotFound, "nowhere", [&] { MappedFile::open(file_of("") / "nowhere"); });
}

TEST_F(MappedFileTest, RefusesAFolder) {
  expect_error(
      ErrorKind::kInvalidArgument, "not a regular file", [&] { MappedFile::open(folder()); });
}

TEST_F(MappedFileTest, RefusesAPipeWithoutWaitingForAWriter) {
  const auto path = folder() / "pipe";
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  expect_error(ErrorKind::kInvalidArgument, "not a regular file", [&] { MappedFile::open(path); });
}

}  // namespace
}  // namespace precis
