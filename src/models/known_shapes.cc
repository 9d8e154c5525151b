// SPDX-License-Identifier: Apache-2.0
#include <nlohmann/json.hpp>

#include "base/check.h"
#include "io/gguf_model.h"
#include "io/json_file.h"
#include "models/config.h"
#include "precis/extend/shapes.h"

namespace precis {
namespace {

// Sizes of a published model, from its config.json.
struct KnownShape {
  const char* name;
  const char* model_type;
  int64_t vocab_size;
  int64_t hidden_size;
  int64_t num_layers;
  int64_t num_heads;
  int64_t num_kv_heads;
  int64_t ffn_size;
  int64_t context_length;
  double rope_base;
  double rms_norm_epsilon;
  bool tied_head;
};

// Mistral is v0.2, which ICAE was trained for: it has no sliding window.
constexpr KnownShape kKnownShapes[] = {
    {"llama-2-7b", "llama", 32000, 4096, 32, 32, 32, 11008, 4096, 1e4, 1e-5, false},
    {"llama-2-13b", "llama", 32000, 5120, 40, 40, 40, 13824, 4096, 1e4, 1e-5, false},
    {"mistral-7b", "mistral", 32000, 4096, 32, 32, 8, 14336, 32768, 1e6, 1e-5, false},
    {"smollm2-135m", "llama", 49152, 576, 30, 9, 3, 1536, 8192, 1e5, 1e-5, true},
    {"qwen2.5-0.5b", "qwen2", 151936, 896, 24, 14, 2, 4864, 32768, 1e6, 1e-6, true},
};

nlohmann::json config_of(const KnownShape& shape) {
  return {{"model_type", shape.model_type},
          {"vocab_size", shape.vocab_size},
          {"hidden_size", shape.hidden_size},
          {"num_hidden_layers", shape.num_layers},
          {"num_attention_heads", shape.num_heads},
          {"num_key_value_heads", shape.num_kv_heads},
          {"intermediate_size", shape.ffn_size},
          {"max_position_embeddings", shape.context_length},
          {"rope_theta", shape.rope_base},
          {"rms_norm_eps", shape.rms_norm_epsilon},
          {"sliding_window", nullptr},
          {"tie_word_embeddings", shape.tied_head}};
}

std::string known_names() {
  std::string names;
  for (const KnownShape& known : kKnownShapes)
    names += concat(names.empty() ? "" : ", ", known.name);
  return names;
}

}  // namespace

DecoderConfig model_shape(const std::string& name_or_path) {
  for (const KnownShape& known : kKnownShapes) {
    if (name_or_path == known.name) return decoder_config(config_of(known), name_or_path);
  }
  std::filesystem::path path = name_or_path;
  std::error_code ignored;
  PRECIS_CHECK(std::filesystem::exists(path, ignored),
               kNotFound,
               name_or_path,
               ": no such file or directory, and no known shape (known: ",
               known_names(),
               ")");
  if (std::filesystem::is_directory(path, ignored)) path /= "config.json";
  if (path.extension() == ".json") return decoder_config(read_json(path), path.string());
  return decoder_config(gguf_config(GgufFile::open(path)), path.string());
}

}  // namespace precis
