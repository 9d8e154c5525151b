// SPDX-License-Identifier: Apache-2.0
// An entry of the memory store, which comes from a shared directory or from Redis; one that is
// taken is the same when it is written and read again.
#include "fuzz/check.h"
#include "precis/memory.h"
#include "store/stored_entry.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace precis;
  static const std::string id = "mem_" + std::string(64, '0');
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  const auto read = [](const std::string& entry) {
    return read_header(std::as_bytes(std::span(entry)), id, "the input");
  };
  fuzz::expect_result_or_error([&] { Memory::deserialize(bytes); });
  fuzz::expect_result_or_error([&] {
    const EntryHeader header = read(bytes);
    const Memory memory = Memory::deserialize(bytes);
    const std::string again = entry_bytes(header, memory);
    fuzz::require(read(again).name == header.name, "a name changed in its entry");
    fuzz::require(Memory::deserialize(again).content_hash() == memory.content_hash(),
                  "a memory changed in its entry");
  });
  return 0;
}
