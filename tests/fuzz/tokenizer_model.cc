// SPDX-License-Identifier: Apache-2.0
// tokenizer.model of a Hugging Face directory, and the use of the tokenizer that it describes.
#include "fuzz/check.h"
#include "fuzz/input_file.h"
#include "fuzz/use_tokenizer.h"
#include "precis/extend/load_tokenizer.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace precis;
  static const fuzz::InputDirectory directory;
  directory.write("tokenizer.model", data, size);
  fuzz::expect_result_or_error([&] { fuzz::use_tokenizer(*load_tokenizer(directory.path())); });
  return 0;
}
