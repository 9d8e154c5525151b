// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "precis/memory.h"
#include "precis/memory_tensors.h"

namespace precis {

// What a Memory holds.
struct MemoryContents {
  MemoryTensors tensors;
  Provenance provenance;
};

// A tensor of a memory under the name that its file gives it: on the CPU, contiguous, no gradient.
struct NamedRows {
  std::string name;
  at::Tensor tensor;
};

std::vector<NamedRows> named_rows(const MemoryTensors& memory);

}  // namespace precis
