// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <filesystem>

#include "io/file_descriptor.h"

namespace precis {

// A file or directory under another name, ".precis-*.part", until it is whole and renamed.
struct Draft {
  std::filesystem::path path;
  FileDescriptor open;  // as long as it is, remove_drafts() keeps away
};

// A new one beside `path`; a directory may be listed, a file written to. `open` is not if the
// system refuses; errno says why.
Draft make_draft_file(const std::filesystem::path& path, mode_t mode);
Draft make_draft_directory(const std::filesystem::path& path);

// A name beside `path` that no draft has.
std::filesystem::path free_name_beside(const std::filesystem::path& path);

// Removes what processes that were killed while they wrote left in `directory`, if there is one.
// Drafts that are being written stay.
void remove_drafts(const std::filesystem::path& directory);

}  // namespace precis
