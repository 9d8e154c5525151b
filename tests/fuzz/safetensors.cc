// SPDX-License-Identifier: Apache-2.0
// A safetensors file: its structure and the tensors in it.
#include "io/safetensors.h"

#include <ATen/core/Tensor.h>

#include "fuzz/check.h"
#include "fuzz/input_file.h"
#include "io/safetensors_weights.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace precis;
  static const fuzz::InputFile input;
  input.write(data, size);
  fuzz::expect_result_or_error([&] {
    const SafetensorsFile file = SafetensorsFile::open(input.path());
    for (const StoredTensor& tensor : file.tensors()) {
      fuzz::require(file.find(tensor.name) != nullptr, "a tensor is not found by its name");
      fuzz::expect_result_or_error([&] { to_tensor(tensor); });
    }
  });
  fuzz::expect_result_or_error([&] {
    const auto weights = safetensors_file_weights(input.path());
    for (const std::string& name : weights->names())
      fuzz::expect_result_or_error([&] { weights->load(name, at::kFloat); });
    weights->fingerprint();
  });
  return 0;
}
