// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <filesystem>

#include "io/file_descriptor.h"

namespace precis {

// A file or directory that is being written under a temporary name, ".precis-*.part".
struct Draft {
  std::filesystem::path path;
  FileDescriptor open;  // while it is open, remove_drafts() leaves the draft alone
};

// Creates a draft in the directory of `path`: a file open for writing, or a directory open for
// listing. On failure `open` is closed and errno is set.
Draft make_draft_file(const std::filesystem::path& path, mode_t mode);
Draft make_draft_directory(const std::filesystem::path& path);

// An unused draft name in the directory of `path`.
std::filesystem::path free_name_beside(const std::filesystem::path& path);

// Removes the drafts of killed processes from `directory`, if it exists. Drafts that are being
// written are kept.
void remove_drafts(const std::filesystem::path& directory);

}  // namespace precis
