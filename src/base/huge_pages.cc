// SPDX-License-Identifier: Apache-2.0
#include "base/huge_pages.h"

#include <sys/mman.h>

#include <cstdint>

#include "base/check.h"

namespace precis {

std::shared_ptr<std::byte> allocate_huge_pages(size_t size, const char* what) {
  constexpr size_t kPage = size_t{2} << 20;
  const size_t whole = size + kPage;
  void* const mapped =
      ::mmap(nullptr, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  PRECIS_CHECK(
      mapped != MAP_FAILED, kOutOfMemory, what, ": no memory for ", size >> 20, " MB more");
  const auto begin = reinterpret_cast<uintptr_t>(mapped);
  std::byte* const aligned = static_cast<std::byte*>(mapped) + (kPage - begin % kPage) % kPage;
  ::madvise(aligned, size, MADV_HUGEPAGE);  // a hint; ignored by systems without huge pages
  return {aligned, [mapped, whole](std::byte*) { ::munmap(mapped, whole); }};
}

}  // namespace precis
