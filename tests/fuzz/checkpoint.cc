// SPDX-License-Identifier: Apache-2.0
// checkpoint.safetensors of a training run.
#include "train/checkpoint.h"

#include "fuzz/check.h"
#include "fuzz/input_file.h"
#include "fuzz/small_parts.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace precis;
  static const fuzz::InputDirectory directory;
  static const std::unique_ptr<Compressor> compressor = fuzz::small_compressor();
  static torch::optim::AdamW optimizer = fuzz::optimizer_of(*compressor);
  directory.write("checkpoint.safetensors", data, size);
  fuzz::expect_result_or_error([&] {
    const CheckpointState state =
        load_checkpoint(directory.path(), fuzz::kRecipe, *compressor, optimizer);
    fuzz::require(state.step >= 0, "a checkpoint of less than no step was taken");
  });
  return 0;
}
