// SPDX-License-Identifier: Apache-2.0
#include "io/drafts.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <cerrno>
#include <random>
#include <string>
#include <string_view>
#include <system_error>

#include "base/check.h"

namespace precis {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kBegin = ".precis-", kEnd = ".part";
constexpr std::string_view kHexDigits = "0123456789abcdef";

// A short name, so that the path fits wherever the final one does.
fs::path random_name_beside(const fs::path& path, std::string_view end) {
  std::random_device random;
  return path.parent_path() / concat(kBegin, std::hex, random(), random(), end);
}

bool is_draft_name(std::string_view name) {
  if (!name.starts_with(kBegin) || !name.ends_with(kEnd)) return false;
  if (name.size() <= kBegin.size() + kEnd.size()) return false;
  const std::string_view middle =
      name.substr(kBegin.size(), name.size() - kBegin.size() - kEnd.size());
  return middle.find_first_not_of(kHexDigits) == std::string_view::npos;
}

bool lock(const FileDescriptor& file) { return ::flock(file.number(), LOCK_EX | LOCK_NB) == 0; }

// Locks a new draft. False if remove_drafts() has locked it first: it is being removed.
bool claim(const FileDescriptor& draft) {
  if (!lock(draft)) return errno != EWOULDBLOCK;  // some file systems do not support locks
  struct stat status = {};
  return ::fstat(draft.number(), &status) != 0 || status.st_nlink > 0;
}

// `make(path)` creates a draft at that path and returns its descriptor.
template <typename Make>
Draft make_draft(const fs::path& beside, const Make& make) {
  for (;;) {
    Draft draft{random_name_beside(beside, kEnd), FileDescriptor()};
    draft.open = make(draft.path);
    if (!draft.open.is_open() || claim(draft.open)) return draft;
  }
}

void remove_if_left(const fs::path& path) {
  const FileDescriptor draft(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!draft.is_open() || !lock(draft)) return;
  std::error_code ignored;
  fs::remove_all(path, ignored);
}

}  // namespace

Draft make_draft_file(const fs::path& path, mode_t mode) {
  return make_draft(path, [&](const fs::path& draft) {
    return FileDescriptor(::open(draft.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode));
  });
}

Draft make_draft_directory(const fs::path& path) {
  return make_draft(path, [](const fs::path& draft) {
    if (::mkdir(draft.c_str(), 0777) != 0) return FileDescriptor();
    FileDescriptor directory(::open(draft.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    const int error = errno;
    if (!directory.is_open()) ::rmdir(draft.c_str());
    errno = error;
    return directory;
  });
}

fs::path free_name_beside(const fs::path& path) { return random_name_beside(path, ".aside"); }

void remove_drafts(const fs::path& directory) {
  std::error_code error;
  for (fs::directory_iterator entry(directory, error), end; !error && entry != end;
       entry.increment(error)) {
    if (is_draft_name(entry->path().filename().string())) remove_if_left(entry->path());
  }
}

}  // namespace precis
