// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>

#include "io/file_descriptor.h"

namespace precis {

// A file that appears whole under its name or not at all: it is written beside its place under
// another name, flushed to the disk, then renamed. Without commit() nothing remains. All methods
// throw kInvalidArgument if the system refuses.
class AtomicFile {
 public:
  explicit AtomicFile(std::filesystem::path path);
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  ~AtomicFile();

  void append(std::span<const std::byte> bytes);
  void commit();

 private:
  [[noreturn]] void fail_to_write(int error) const;

  std::filesystem::path path_;
  std::filesystem::path draft_;  // empty once renamed
  FileDescriptor file_;
};

// Removes what processes that were killed while they wrote left of files in `directory`, if there
// is one. No other process may be writing there.
void remove_drafts(const std::filesystem::path& directory);

}  // namespace precis
