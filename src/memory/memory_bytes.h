// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>

#include "precis/memory.h"

namespace precis {

// The metadata of a memory's file.
std::map<std::string, std::string> memory_metadata(const Memory& memory);

// The bytes of a memory's file with this metadata: memory_metadata(), and keys of the caller's own,
// which Memory::deserialize() ignores. Throws kInvalidArgument for keys and values that are not
// UTF-8.
std::string memory_bytes(const Memory& memory, const std::map<std::string, std::string>& metadata);

}  // namespace precis
