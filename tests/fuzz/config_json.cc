// SPDX-License-Identifier: Apache-2.0
// config.json of a model.
#include <nlohmann/json.hpp>

#include "fuzz/check.h"
#include "fuzz/input_file.h"
#include "io/json_file.h"
#include "models/config.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace precis;
  static const fuzz::InputFile input;
  input.write(data, size);
  fuzz::expect_result_or_error([&] {
    const DecoderConfig config = decoder_config(read_json(input.path()), "input");
    fuzz::require(config.vocab_size > 0 && config.hidden_size > 0 && config.num_layers > 0 &&
                      config.num_heads > 0 && config.num_kv_heads > 0 && config.head_dim > 0 &&
                      config.ffn_size > 0 && config.context_length > 0,
                  "a size that is none was taken");
    fuzz::require(config.num_heads % config.num_kv_heads == 0, "heads that do not divide");
    fuzz::require(static_cast<int64_t>(config.windowed.size()) == config.num_layers,
                  "a layer is without a word on its window");
  });
  return 0;
}
