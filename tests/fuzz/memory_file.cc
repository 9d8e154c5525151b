// SPDX-License-Identifier: Apache-2.0
// A memory file; one that is taken is the same when it is written and read again.
#include "fuzz/check.h"
#include "fuzz/input_file.h"
#include "precis/memory.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace precis;
  static const fuzz::InputFile input;
  static const fuzz::InputDirectory directory;
  input.write(data, size);
  fuzz::expect_result_or_error([&] {
    const Memory memory = Memory::load(input.path());
    fuzz::require(memory.num_tokens() > 0, "an empty memory was taken");
    memory.save(directory / "again.safetensors");
    const Memory again = Memory::load(directory / "again.safetensors");
    fuzz::require(again.content_hash() == memory.content_hash(), "a memory changed in its file");
  });
  return 0;
}
