// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>

#include "io/drafts.h"

namespace precis {

// Writes a directory atomically: it is filled under a temporary name in the same parent directory
// and renamed by commit(). Without commit() nothing remains. A killed process leaves a
// ".precis-*.part", which the next draft in the same parent directory removes.
class DraftDirectory {
 public:
  // Follows symbolic links: the link stays and its target is replaced. Parent directories are
  // created, and stay. Throws kInvalidArgument if `path` is empty or names anything but an empty
  // directory, if that cannot be replaced (a mount point), or if a system call fails.
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
