// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <filesystem>

#include "io/file_descriptor.h"

namespace precis {

// An advisory lock of a file or directory, held for the lifetime of the object: a lock file in the
// directory, or beside the file, on which the system holds a lock (flock). It contains its owner's
// process id. The system releases the lock when the process ends, even if it is killed; the lock
// file that then remains locks nothing.
class LockFile {
 public:
  // Waits at most `timeout` for another owner. Throws kInvalidArgument, naming the owner's
  // process, after that time, or if the lock file cannot be opened.
  LockFile(const std::filesystem::path& what, std::chrono::milliseconds timeout);
  LockFile(const LockFile&) = delete;
  LockFile& operator=(const LockFile&) = delete;
  ~LockFile();

 private:
  std::filesystem::path path_;
  FileDescriptor file_;
};

// Creates the directory if it is missing and locks it. Waits only briefly, for an owner that is
// about to end. Throws as LockFile, and kInvalidArgument if the directory cannot be created.
[[nodiscard]] LockFile lock_directory(const std::filesystem::path& directory,
                                      std::chrono::milliseconds timeout = std::chrono::seconds(1));

// A check before long work: throws as LockFile does if another process holds the lock.
void check_unlocked(const std::filesystem::path& what, std::chrono::milliseconds timeout);

}  // namespace precis
