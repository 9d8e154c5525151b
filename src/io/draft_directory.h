// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>

#include "io/drafts.h"

namespace precis {

// A directory that appears whole under its name or not at all: it is filled beside its place under
// another name, then renamed. Without commit() nothing remains. For what is too large to be thought
// of as one AtomicFile; a process that is killed leaves a ".precis-*.part" behind, which the next
// draft that is made beside it removes.
class DraftDirectory {
 public:
  // Follows links: one that leads to an empty directory stays, and what it leads to is replaced.
  // Throws kInvalidArgument if `path` is empty, if anything but an empty directory is there
  // already, if that one cannot be replaced, as mount points cannot, or if the system refuses.
  // Directories above it are made, and stay.
  explicit DraftDirectory(const std::filesystem::path& path);
  DraftDirectory(const DraftDirectory&) = delete;
  DraftDirectory& operator=(const DraftDirectory&) = delete;
  ~DraftDirectory();

  const std::filesystem::path& path() const { return draft_.path; }  // until commit()
  void commit();

 private:
  std::filesystem::path target_;
  Draft draft_;  // its path is empty once renamed
};

}  // namespace precis
