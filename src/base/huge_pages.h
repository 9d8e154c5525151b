// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>

namespace precis {

// Memory in pages of 2 MB where the system has them, aligned to one and freed with the last owner.
// Pages that nothing is written to are never made. Throws kOutOfMemory, naming `what` it is for.
std::shared_ptr<std::byte> allocate_huge_pages(size_t size, const char* what);

}  // namespace precis
