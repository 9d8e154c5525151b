// SPDX-License-Identifier: Apache-2.0
#include "io/atomic_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <random>
#include <system_error>
#include <utility>

#include "base/check.h"

namespace precis {
namespace {

constexpr const char *kDraftBegin = ".precis-", *kDraftEnd = ".part";

// A name of fixed length, so that it fits wherever the final name does.
std::filesystem::path draft_beside(const std::filesystem::path& path) {
  std::random_device random;
  return path.parent_path() / concat(kDraftBegin, std::hex, random(), random(), kDraftEnd);
}

// A rename lasts through a power failure once its directory is flushed too. Best effort: some file
// systems refuse to flush directories, and the file itself is whole by now.
void flush_directory(const std::filesystem::path& path) {
  const auto parent = path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
  const FileDescriptor directory(::open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory.is_open()) ::fsync(directory.number());
}

}  // namespace

AtomicFile::AtomicFile(std::filesystem::path path)
    : path_(std::move(path)),
      draft_(draft_beside(path_)),
      // Mode 0666 leaves the permissions to the umask, as for any new file.
      file_(::open(draft_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666)) {
  if (!file_.is_open()) fail_to_write(errno);
}

AtomicFile::~AtomicFile() {
  if (!draft_.empty()) ::unlink(draft_.c_str());
}

void AtomicFile::append(std::span<const std::byte> bytes) {
  constexpr size_t kMaxWrite = size_t{1} << 30;  // Linux writes at most 2 GiB in one call
  while (!bytes.empty()) {
    const size_t size = std::min(bytes.size(), kMaxWrite);
    const ssize_t written = ::write(file_.number(), bytes.data(), size);
    if (written >= 0) {
      bytes = bytes.subspan(static_cast<size_t>(written));
    } else if (errno != EINTR) {
      fail_to_write(errno);
    }
  }
}

void AtomicFile::commit() {
  if (::fsync(file_.number()) != 0 || !file_.close()) fail_to_write(errno);
  if (::rename(draft_.c_str(), path_.c_str()) != 0) fail_to_write(errno);
  draft_.clear();
  flush_directory(path_);
}

void remove_drafts(const std::filesystem::path& directory) {
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(directory, ignored)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with(kDraftBegin) && name.ends_with(kDraftEnd))
      std::filesystem::remove(entry.path(), ignored);
  }
}

void AtomicFile::fail_to_write(int error) const {
  fail(ErrorKind::kInvalidArgument,
       path_.string(),
       ": cannot be written: ",
       std::generic_category().message(error));
}

}  // namespace precis
