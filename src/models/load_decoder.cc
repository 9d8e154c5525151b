// SPDX-License-Identifier: Apache-2.0
#include "precis/extend/load_decoder.h"

#include <nlohmann/json.hpp>

#include "base/check.h"
#include "io/gguf_model.h"
#include "io/json_file.h"
#include "io/safetensors_weights.h"
#include "models/config.h"
#include "models/transformer.h"

namespace precis {
namespace {

// The name of the directory or file, as valid UTF-8.
std::string name_of(const std::filesystem::path& model) {
  std::error_code ignored;
  std::filesystem::path whole = std::filesystem::absolute(model, ignored).lexically_normal();
  if (!whole.has_filename()) whole = whole.parent_path();  // "model/"
  const nlohmann::json name = whole.filename().string();
  return parse_json(name.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
}

}  // namespace

std::unique_ptr<Decoder> load_decoder(const std::filesystem::path& model,
                                      c10::TensorOptions options,
                                      WeightFormat format) {
  const c10::TensorOptions stored = stored_options(options, format);
  std::error_code ignored;
  PRECIS_CHECK(std::filesystem::exists(model, ignored),
               kNotFound,
               model.string(),
               ": no such file or directory");
  if (std::filesystem::is_directory(model, ignored)) {
    const auto path = model / "config.json";
    DecoderConfig config = decoder_config(read_json(path), path.string());
    config.name = name_of(model);
    return load_transformer(config, Weights(safetensors_weights(model), stored), options, format);
  }
  auto file = std::make_shared<const GgufFile>(GgufFile::open(model));
  DecoderConfig config = decoder_config(gguf_config(*file), model.string());
  config.name = name_of(model);
  return load_transformer(config, Weights(gguf_weights(file), stored), options, format);
}

}  // namespace precis
