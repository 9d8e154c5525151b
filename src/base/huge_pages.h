// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>

namespace precis {

// Allocates `size` bytes in pages of 2 MB if the system has them, aligned to such a page. Pages
// that are never written take no memory. Throws kOutOfMemory, naming `what` the memory is for.
std::shared_ptr<std::byte> allocate_huge_pages(size_t size, const char* what);

}  // namespace precis
