// SPDX-License-Identifier: Apache-2.0
#include "io/lock_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <string>
#include <system_error>
#include <thread>

#include "base/check.h"
#include "base/log.h"

namespace precis {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

fs::path lock_of(const fs::path& what) {
  std::error_code ignored;
  if (fs::is_directory(what, ignored)) return what / ".precis-lock";
  return what.parent_path() / concat(".", what.filename().string(), ".precis-lock");
}

FileDescriptor open_lock(const fs::path& path) {
  FileDescriptor file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666));
  // Another user's lock file is opened read-only, which is enough to lock it.
  if (!file.is_open() && errno == EACCES)
    file = FileDescriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  PRECIS_CHECK(file.is_open(),
               kInvalidArgument,
               path.string(),
               ": cannot be opened: ",
               std::generic_category().message(errno));
  return file;
}

// Whether the path still names this file. The last owner removes it on release: a process that
// opened it before would hold a lock that no other process sees.
bool is_still_there(const FileDescriptor& file, const fs::path& path) {
  struct stat own = {}, there = {};
  return ::fstat(file.number(), &own) == 0 && ::lstat(path.c_str(), &there) == 0 &&
         own.st_dev == there.st_dev && own.st_ino == there.st_ino;
}

std::string owner_of(const fs::path& path) {
  std::ifstream in(path);
  pid_t process = 0;
  return in >> process ? concat("process ", process) : std::string("another process");
}

FileDescriptor acquire(const fs::path& path,
                       const fs::path& what,
                       std::chrono::milliseconds timeout) {
  constexpr std::chrono::milliseconds kPause(10);
  const Clock::time_point end = Clock::now() + timeout;
  for (;;) {
    FileDescriptor file = open_lock(path);
    if (::flock(file.number(), LOCK_EX | LOCK_NB) == 0) {
      if (is_still_there(file, path)) return file;
      continue;
    }
    if (errno != EWOULDBLOCK) {
      log(LogLevel::kWarning,
          concat(path.string(), ": cannot be locked: ", std::generic_category().message(errno)));
      return file;
    }
    PRECIS_CHECK(Clock::now() < end,
                 kInvalidArgument,
                 what.string(),
                 ": is being changed by ",
                 owner_of(path),
                 "; try again when that has ended");
    std::this_thread::sleep_for(kPause);
  }
}

}  // namespace

LockFile::LockFile(const fs::path& what, std::chrono::milliseconds timeout)
    : path_(lock_of(what)), file_(acquire(path_, what, timeout)) {
  std::ofstream(path_) << ::getpid() << "\n";
}

// Removed before it is unlocked, so that it cannot be the lock file of the next owner.
LockFile::~LockFile() { ::unlink(path_.c_str()); }

LockFile lock_directory(const fs::path& directory, std::chrono::milliseconds timeout) {
  std::error_code error;
  fs::create_directories(directory, error);
  PRECIS_CHECK(
      !error, kInvalidArgument, directory.string(), ": cannot be created: ", error.message());
  return LockFile(directory, timeout);
}

void check_unlocked(const fs::path& what, std::chrono::milliseconds timeout) {
  std::error_code ignored;
  if (fs::exists(lock_of(what), ignored)) LockFile(what, timeout);
}

}  // namespace precis
