// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>

namespace precis {

// A file mapped read-only into memory. Copies share the mapping, which lives as long as the last
// copy. To replace a mapped file, rename a new one over it, as Precis does: truncating it would
// make reads of the mapping fail.
class MappedFile {
 public:
  // Throws kNotFound if there is no such file, kInvalidArgument if it cannot be read or is not a
  // regular file, kBadWeights if it is a Git LFS pointer, which means that the file was not
  // fetched.
  static MappedFile open(const std::filesystem::path& path);

  const std::filesystem::path& path() const;
  std::span<const std::byte> bytes() const;

 private:
  struct Mapping;
  explicit MappedFile(std::shared_ptr<const Mapping> mapping);

  std::shared_ptr<const Mapping> mapping_;
};

// Releases the memory of a mapped file's bytes, in whole pages. The system loads them again when
// they are read. REQUIRES: bytes of a MappedFile; other memory would lose its contents.
void release_pages(std::span<const std::byte> mapped);

}  // namespace precis
