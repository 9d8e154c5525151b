// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "precis/extend/memory_tensors.h"
#include "precis/memory.h"

namespace precis {

// The data of a Memory.
struct MemoryContents {
  MemoryTensors tensors;
  Provenance provenance;
};

// A tensor of a memory under its name in the file: on the CPU, contiguous, without gradients.
struct NamedRows {
  std::string name;
  at::Tensor tensor;
};

// Name of the tensor of lengths of a cached memory.
inline constexpr const char* kLengths = "lengths";

std::vector<NamedRows> named_rows(const MemoryTensors& memory);

// Hash of the tensors and their positions, without the provenance: the content_hash of earlier
// versions.
std::string rows_hash(const MemoryTensors& memory);

// The model's fingerprint and, if known, its name, for messages.
std::string model_in_words(const std::string& fingerprint, const std::string& name);

}  // namespace precis
