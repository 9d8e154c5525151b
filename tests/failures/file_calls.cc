// SPDX-License-Identifier: Apache-2.0
// The system's calls on files, in place of those of the C library in the whole process, the C++
// library's streams and std::filesystem among its callers. They do the same, unless they are to
// fail.
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <cstdio>

#include "failures/fail_at.h"

namespace {

using precis::failures::is_to_fail;
using precis::failures::Layer;

// What the caller is told where the call is to fail.
bool fails_with(int error) {
  if (!is_to_fail(Layer::kFiles)) return false;
  errno = error;
  return true;
}

}  // namespace

extern "C" {

int open(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = (flags & (O_CREAT | __O_TMPFILE)) != 0 ? va_arg(arguments, mode_t) : 0;
  va_end(arguments);
  if (fails_with(EMFILE)) return -1;
  return static_cast<int>(::syscall(SYS_openat, AT_FDCWD, path, flags, mode));
}

ssize_t write(int file, const void* bytes, size_t size) {
  if (fails_with(ENOSPC)) return -1;
  return ::syscall(SYS_write, file, bytes, size);
}

int fsync(int file) {
  if (fails_with(EIO)) return -1;
  return static_cast<int>(::syscall(SYS_fsync, file));
}

int rename(const char* from, const char* to) noexcept {
  if (fails_with(EACCES)) return -1;
  return static_cast<int>(::syscall(SYS_rename, from, to));
}

int mkdir(const char* path, mode_t mode) noexcept {
  if (fails_with(ENOSPC)) return -1;
  return static_cast<int>(::syscall(SYS_mkdir, path, mode));
}

int flock(int file, int operation) noexcept {
  if (fails_with(ENOLCK)) return -1;
  return static_cast<int>(::syscall(SYS_flock, file, operation));
}

// Closed all the same, as Linux does.
int close(int file) {
  const bool fails = fails_with(EIO);
  const long result = ::syscall(SYS_close, file);
  if (fails) errno = EIO;
  return fails ? -1 : static_cast<int>(result);
}

// Of files only: memory that belongs to none is the allocators'.
void* mmap(void* address, size_t size, int protection, int flags, int file, off_t offset) noexcept {
  if (file >= 0 && fails_with(ENOMEM)) return MAP_FAILED;
  return reinterpret_cast<void*>(
      ::syscall(SYS_mmap, address, size, protection, flags, file, offset));
}

}  // extern "C"
