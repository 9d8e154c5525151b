// SPDX-License-Identifier: Apache-2.0
#include "io/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <string_view>
#include <system_error>
#include <utility>

#include "base/check.h"
#include "io/file_descriptor.h"

namespace precis {

struct MappedFile::Mapping {
  explicit Mapping(std::filesystem::path file) : path(std::move(file)) {}
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping() {
    if (address != nullptr) ::munmap(address, size);
  }

  std::filesystem::path path;
  void* address = nullptr;  // stays null for an empty file, which cannot be mapped
  size_t size = 0;
};

namespace {

[[noreturn]] void fail_to_read(const std::filesystem::path& path, int error) {
  const bool missing = error == ENOENT || error == ENOTDIR;
  const ErrorKind kind = missing           ? ErrorKind::kNotFound
                         : error == ENOMEM ? ErrorKind::kOutOfMemory
                                           : ErrorKind::kInvalidArgument;
  fail(kind, path.string(), ": cannot be read: ", std::generic_category().message(error));
}

size_t regular_file_size(const FileDescriptor& file, const std::filesystem::path& path) {
  struct stat status = {};
  if (::fstat(file.number(), &status) != 0) fail_to_read(path, errno);
  PRECIS_CHECK(S_ISREG(status.st_mode), kInvalidArgument, path.string(), ": not a regular file");
  return static_cast<size_t>(status.st_size);
}

// A Git LFS pointer is a few lines of text: a version, a hash, and "size" with the size in bytes.
void refuse_lfs_pointer(std::string_view text, const std::filesystem::path& path) {
  constexpr size_t kLongestPointer = 1024;
  constexpr std::string_view kStart = "version https://git-lfs.github.com/spec/", kSize = "\nsize ";
  if (text.size() >= kLongestPointer || !text.starts_with(kStart)) return;
  const size_t size = text.find(kSize);
  std::string_view digits = size == std::string_view::npos ? "" : text.substr(size + kSize.size());
  digits = digits.substr(0, digits.find_first_not_of("0123456789"));
  fail(ErrorKind::kBadWeights,
       path.string(),
       ": a Git LFS pointer, which stands in place of the file itself",
       digits.empty() ? "" : concat(" (", digits, " bytes)"),
       "; fetch that with \"git lfs pull\"");
}

}  // namespace

MappedFile MappedFile::open(const std::filesystem::path& path) {
  // O_NONBLOCK: opening a pipe must fail below instead of waiting for a writer.
  const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file.is_open()) fail_to_read(path, errno);
  auto mapping = std::make_shared<Mapping>(path);
  mapping->size = regular_file_size(file, path);
  if (mapping->size > 0) {
    void* address = ::mmap(nullptr, mapping->size, PROT_READ, MAP_PRIVATE, file.number(), 0);
    if (address == MAP_FAILED) fail_to_read(path, errno);
    mapping->address = address;
    refuse_lfs_pointer({static_cast<const char*>(address), mapping->size}, path);
  }
  return MappedFile(std::move(mapping));
}

MappedFile::MappedFile(std::shared_ptr<const Mapping> mapping) : mapping_(std::move(mapping)) {}

const std::filesystem::path& MappedFile::path() const { return mapping_->path; }

std::span<const std::byte> MappedFile::bytes() const {
  return {static_cast<const std::byte*>(mapping_->address), mapping_->size};
}

void release_pages(std::span<const std::byte> mapped) {
  const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto begin = reinterpret_cast<uintptr_t>(mapped.data());
  const uintptr_t first = (begin + page - 1) / page * page,
                  last = (begin + mapped.size()) / page * page;
  if (first < last) ::madvise(reinterpret_cast<void*>(first), last - first, MADV_DONTNEED);
}

}  // namespace precis
