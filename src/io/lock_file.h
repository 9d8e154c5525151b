// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <filesystem>

#include "io/file_descriptor.h"

namespace precis {

// Keeps others from changing a file or a directory as long as it lives, if they ask for one too:
// a file in the directory, or beside the file, that the system locks. It names its owner's process
// and goes with the owner; what a process that was killed leaves of it locks nothing.
class LockFile {
 public:
  // Waits for another owner, `patience` at most. Throws kInvalidArgument, naming the owner's
  // process, if that was not enough, or if the system refuses.
  LockFile(const std::filesystem::path& what, std::chrono::milliseconds patience);
  LockFile(const LockFile&) = delete;
  LockFile& operator=(const LockFile&) = delete;
  ~LockFile();

 private:
  std::filesystem::path path_;
  FileDescriptor file_;
};

// To be asked before long work. Throws as LockFile does.
void check_unlocked(const std::filesystem::path& what, std::chrono::milliseconds patience);

}  // namespace precis
