// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "precis/extend/memory_tensors.h"
#include "precis/memory.h"

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

// Of the rows and their positions, without the provenance: the content_hash of earlier versions.
std::string rows_hash(const MemoryTensors& memory);

// For messages: the model's fingerprint and, where it is known, its name.
std::string model_in_words(const std::string& fingerprint, const std::string& name);

}  // namespace precis
