// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/stat.h>

#include <cstddef>
#include <filesystem>
#include <optional>
#include <span>

#include "io/drafts.h"

namespace precis {

// A file that appears whole under its name or not at all: it is written beside its place under
// another name, flushed to the disk, then renamed. Without commit() nothing remains. Links are
// followed and stay; a file that is replaced hands on its mode, and its owner as far as the system
// lets it. What is there and no regular file (a pipe, a device) is written to as it is, at once.
// All methods throw kInvalidArgument if the system refuses.
class AtomicFile {
 public:
  explicit AtomicFile(std::filesystem::path path);
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  ~AtomicFile();

  void append(std::span<const std::byte> bytes);
  void commit();

 private:
  std::filesystem::path path_;           // as it was given
  std::filesystem::path target_;         // behind all links
  std::optional<struct stat> replaced_;  // the file that is there
  Draft draft_;  // its path is empty once renamed, and where there is nothing to rename
};

// To be asked before long work. Throws kInvalidArgument, naming the file, if AtomicFile would, as
// far as can be told without writing.
void check_writable(const std::filesystem::path& path);

}  // namespace precis
