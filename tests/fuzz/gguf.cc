// SPDX-License-Identifier: Apache-2.0
// A GGUF file: its structure, the configuration, tokenizer, chat template and weights in it.
#include "io/gguf.h"

#include <nlohmann/json.hpp>

#include "chat/chat_template.h"
#include "fuzz/check.h"
#include "fuzz/input_file.h"
#include "fuzz/use_tokenizer.h"
#include "io/gguf_model.h"
#include "models/config.h"
#include "precis/extend/load_tokenizer.h"
#include "tokenizers/gguf_tokenizer.h"

namespace precis::fuzz {
namespace {

constexpr int64_t kMostElements = 1 << 20;  // of a tensor that is dequantised

void load_weights(const std::shared_ptr<const GgufFile>& file) {
  const auto weights = gguf_weights(file);
  for (const std::string& name : weights->names()) {
    int64_t elements = 1;
    for (const int64_t size : weights->shape(name)) elements *= size;
    if (elements <= kMostElements) weights->load(name, at::kFloat);
  }
  weights->fingerprint();
}

}  // namespace
}  // namespace precis::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace precis;
  static const fuzz::InputFile input;
  input.write(data, size);
  std::shared_ptr<const GgufFile> file;
  fuzz::expect_result_or_error(
      [&] { file = std::make_shared<const GgufFile>(GgufFile::open(input.path())); });
  if (file == nullptr) return 0;
  fuzz::expect_result_or_error([&] { decoder_config(gguf_config(*file), "input"); });
  fuzz::expect_result_or_error([&] { fuzz::use_tokenizer(*load_gguf_tokenizer(*file)); });
  fuzz::expect_result_or_error([&] {
    if (const auto source = load_gguf_chat_template(*file)) ChatTemplate{*source};
  });
  fuzz::expect_result_or_error([&] { fuzz::load_weights(file); });
  return 0;
}
