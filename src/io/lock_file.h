// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <filesystem>

#include "io/file_descriptor.h"

namespace precis {

// An advisory lock of a file or directory, held for the lifetime of the object: a lock file in the
// directory, or beside the file, on which the system holds a lock (flock). It contains its owner's
// process id. The system releases the lock however the process ends; a lock file that remains of a
// killed process locks nothing.
class LockFile {
 public:
  // Waits for another owner, `timeout` at most. Throws kInvalidArgument, naming the owner's
  // process, after that time, or if the lock file cannot be opened.
  LockFile(const std::filesystem::path& what, std::chrono::milliseconds timeout);
  LockFile(const LockFile&) = delete;
  LockFile& operator=(const LockFile&) = delete;
  ~LockFile();

 private:
  std::filesystem::path path_;
  FileDescriptor file_;
};

// Makes the directory, unless it is there, and locks it; waits only for an owner that is about to
// end. Throws as LockFile, and kInvalidArgument if it cannot be created.
[[nodiscard]] LockFile lock_directory(const std::filesystem::path& directory,
                                      std::chrono::milliseconds timeout = std::chrono::seconds(1));

// Throws as LockFile does where another process holds the lock: a check before long work.
void check_unlocked(const std::filesystem::path& what, std::chrono::milliseconds timeout);

}  // namespace precis
