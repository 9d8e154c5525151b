// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "precis/memory.h"
#include "precis/memory_tensors.h"

namespace precis {

// What a Memory holds.
struct MemoryContents {
  MemoryTensors tensors;
  Provenance provenance;
};

}  // namespace precis
