// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "io/byte_reader.h"
#include "io/gguf.h"

namespace precis {

// How a tensor type is stored.
struct GgufStorage {
  GgufType type;
  std::string_view name;
  int64_t block_elements;
  size_t block_bytes;
  void (*dequantize)(const std::byte* blocks, size_t num_blocks, float* out);
};

// nullptr for a type that Precis does not read.
const GgufStorage* find_gguf_storage(uint32_t type);

// Reads a metadata value, which begins with its type. `what` names it in messages.
GgufValue read_gguf_value(ByteReader& reader, std::string_view what);

// Reads `count` tensor descriptions, then finds and checks the data of each, which begin at the
// next multiple of `alignment`.
std::vector<GgufTensor> read_gguf_tensors(ByteReader& reader, uint64_t count, uint64_t alignment);

}  // namespace precis
