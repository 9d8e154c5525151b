// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/stat.h>

#include <cstddef>
#include <filesystem>
#include <optional>
#include <span>

#include "io/drafts.h"

namespace precis {

// Writes a file atomically: to a draft in the same directory, which is flushed to the disk and
// renamed by commit(). Without commit() nothing remains. Symbolic links are followed and kept. The
// mode of a replaced file is kept and, if the system permits, its owner. A path that exists and
// is no regular file (a pipe, a device) is written to directly. All methods throw kInvalidArgument
// if a system call fails.
class AtomicFile {
 public:
  explicit AtomicFile(std::filesystem::path path);
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  ~AtomicFile();

  void append(std::span<const std::byte> bytes);
  void commit();

 private:
  std::filesystem::path path_;           // as given
  std::filesystem::path target_;         // with links resolved
  std::optional<struct stat> replaced_;  // the file that will be replaced
  Draft draft_;  // its path is empty once renamed, and where there is nothing to rename
};

// Flushes the directory of `path`, so that a file or directory that was created, renamed or removed
// there stays so after a power failure. Best effort: some file systems refuse to flush directories.
void flush_directory_of(const std::filesystem::path& path);

// A check before long work: throws kInvalidArgument, naming the file, if AtomicFile would fail, as
// far as can be found without writing.
void check_writable(const std::filesystem::path& path);

}  // namespace precis
