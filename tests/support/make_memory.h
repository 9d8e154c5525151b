// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/ATen.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "memory/memory_contents.h"

namespace precis {

inline const Provenance kSomeProvenance{"selfcp", "the model", "the compressor", "the text", 57};

inline Memory make_memory(MemoryTensors tensors, Provenance provenance = kSomeProvenance) {
  return Memory(
      std::make_shared<MemoryContents>(MemoryContents{std::move(tensors), std::move(provenance)}));
}

// rows: [memory tokens, hidden].
inline Memory soft_memory(const std::vector<std::vector<float>>& rows,
                          Provenance provenance = kSomeProvenance) {
  std::vector<at::Tensor> tensors;
  for (const auto& row : rows) tensors.push_back(at::tensor(row));
  return make_memory(SoftTokens{at::stack(tensors)}, std::move(provenance));
}

inline Memory cached_memory() {
  return make_memory(CachedTokens{at::ones({2, 1, 3, 4}), at::ones({2, 1, 3, 4}), 0, 3});
}

inline const at::Tensor& rows_of(const Memory& memory) {
  return std::get<SoftTokens>(memory.contents().tensors).embeddings;
}

}  // namespace precis
