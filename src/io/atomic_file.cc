// SPDX-License-Identifier: Apache-2.0
#include "io/atomic_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

#include "base/check.h"

namespace precis {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void fail_to_write(const fs::path& path, int error) {
  fail(ErrorKind::kInvalidArgument,
       path.string(),
       ": cannot be written: ",
       std::generic_category().message(error));
}

// nullopt if the file does not exist. stat() follows links and may refuse those of other users.
std::optional<struct stat> status_of(const fs::path& path) {
  struct stat status = {};
  if (::stat(path.c_str(), &status) == 0) return status;
  if (errno != ENOENT) fail_to_write(path, errno);
  return std::nullopt;
}

bool is_replaced(const std::optional<struct stat>& there) {
  return !there || S_ISREG(there->st_mode);
}

// The end of a chain of links: a file, or a path at which one can be created.
fs::path resolve_links(const fs::path& path) {
  constexpr int kMostLinks = 40;  // as many as Linux follows
  fs::path target = path;
  for (int i = 0; i <= kMostLinks; ++i) {
    std::error_code no_link;
    const fs::path next = fs::read_symlink(target, no_link);
    if (no_link) return target;
    target = target.parent_path() / next;
  }
  fail_to_write(path, ELOOP);
}

// Only root may change the owner. If the group cannot be kept, its permissions are dropped.
void keep_owner_and_mode(const FileDescriptor& file, const struct stat& replaced) {
  constexpr auto kSameOwner = static_cast<uid_t>(-1);
  const bool owner = ::fchown(file.number(), replaced.st_uid, replaced.st_gid) == 0;
  const bool group = owner || ::fchown(file.number(), kSameOwner, replaced.st_gid) == 0;
  mode_t mode = replaced.st_mode & (owner ? 07777 : 0777);
  if (!group) mode &= ~static_cast<mode_t>(S_IRWXG);
  ::fchmod(file.number(), mode);
}

}  // namespace

AtomicFile::AtomicFile(fs::path path) : path_(std::move(path)), replaced_(status_of(path_)) {
  if (is_replaced(replaced_)) {
    target_ = resolve_links(path_);
    // The umask decides a new file's permissions; those of a replaced file are set on commit.
    draft_ = make_draft_file(target_, replaced_ ? 0600 : 0666);
  } else {
    draft_.open = FileDescriptor(::open(path_.c_str(), O_WRONLY | O_CLOEXEC | O_NOCTTY));
  }
  if (!draft_.open.is_open()) {
    draft_.path.clear();
    fail_to_write(path_, errno);
  }
}

AtomicFile::~AtomicFile() {
  if (!draft_.path.empty()) ::unlink(draft_.path.c_str());
}

void AtomicFile::append(std::span<const std::byte> bytes) {
  constexpr size_t kMaxWrite = size_t{1} << 30;  // Linux writes at most 2 GiB in one call
  while (!bytes.empty()) {
    const size_t size = std::min(bytes.size(), kMaxWrite);
    const ssize_t written = ::write(draft_.open.number(), bytes.data(), size);
    if (written >= 0) {
      bytes = bytes.subspan(static_cast<size_t>(written));
    } else if (errno != EINTR) {
      fail_to_write(path_, errno);
    }
  }
}

void AtomicFile::commit() {
  if (draft_.path.empty()) {  // pipes cannot be flushed
    if (!draft_.open.close()) fail_to_write(path_, errno);
    return;
  }
  if (replaced_) keep_owner_and_mode(draft_.open, *replaced_);
  if (::fsync(draft_.open.number()) != 0) fail_to_write(path_, errno);
  // The draft stays open until it is renamed: remove_drafts() leaves open ones alone.
  if (::rename(draft_.path.c_str(), target_.c_str()) != 0) fail_to_write(path_, errno);
  draft_.path.clear();
  flush_directory_of(target_);  // best effort: the file itself is complete by now
}

void flush_directory_of(const fs::path& path) {
  const auto parent = path.has_parent_path() ? path.parent_path() : fs::path(".");
  const FileDescriptor directory(::open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory.is_open()) ::fsync(directory.number());
}

void check_writable(const fs::path& path) {
  const bool replaced = is_replaced(status_of(path));
  fs::path asked = path;
  if (replaced) {
    const fs::path target = resolve_links(path);
    // "/." makes the check fail if the parent is a file.
    asked = target.has_parent_path() ? target.parent_path() / "." : fs::path(".");
  }
  if (::access(asked.c_str(), replaced ? W_OK | X_OK : W_OK) != 0) fail_to_write(path, errno);
}

}  // namespace precis
