// SPDX-License-Identifier: Apache-2.0
#include "models/config.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "base/check.h"
#include "models/rope_config.h"

namespace precis {
namespace {

using nlohmann::json;

// Bounds on sizes: far above any model, low enough that products do not overflow.
constexpr int64_t kLargestSize = int64_t{1} << 24;

class ConfigReader {
 public:
  ConfigReader(const json& config, const std::string& origin) : config_(config), origin_(origin) {}

  bool has(const char* key) const { return config_.contains(key) && !config_.at(key).is_null(); }

  int64_t size(const char* key) const {
    PRECIS_CHECK(has(key), kBadWeights, origin_, ": ", key, " is missing");
    return size(key, 0);
  }
  int64_t size(const char* key, int64_t otherwise) const {
    if (!has(key)) return otherwise;
    const json& value = config_.at(key);
    PRECIS_CHECK(value.is_number_integer(), kBadWeights, origin_, ": ", key, " is not an integer");
    const int64_t number = value.is_number_unsigned() && value.get<uint64_t>() > INT64_MAX
                               ? INT64_MAX
                               : value.get<int64_t>();
    PRECIS_CHECK(number > 0 && number <= kLargestSize,
                 kBadWeights,
                 origin_,
                 ": ",
                 key,
                 " is ",
                 number,
                 ", expected 1 to ",
                 kLargestSize);
    return number;
  }
  double number(const char* key, double otherwise) const {
    if (!has(key)) return otherwise;
    PRECIS_CHECK(config_.at(key).is_number(), kBadWeights, origin_, ": ", key, " is not a number");
    return config_.at(key).get<double>();
  }
  bool flag(const char* key, bool otherwise) const {
    if (!has(key)) return otherwise;
    PRECIS_CHECK(
        config_.at(key).is_boolean(), kBadWeights, origin_, ": ", key, " is not true or false");
    return config_.at(key).get<bool>();
  }
  std::string text(const char* key, const std::string& otherwise) const {
    if (!has(key)) return otherwise;
    PRECIS_CHECK(config_.at(key).is_string(), kBadWeights, origin_, ": ", key, " is not a string");
    return config_.at(key).get<std::string>();
  }
  const json& at(const char* key) const { return config_.at(key); }
  const json& all() const { return config_; }
  const std::string& origin() const { return origin_; }

 private:
  const json& config_;
  const std::string& origin_;
};

DecoderConfig::Activation activation(const ConfigReader& reader, const char* key) {
  const std::string name = reader.text(key, "silu");
  if (name == "silu") return DecoderConfig::Activation::kSilu;
  if (name == "gelu_pytorch_tanh") return DecoderConfig::Activation::kGeluTanh;
  fail(ErrorKind::kUnsupported,
       reader.origin(),
       ": ",
       key,
       " \"",
       name,
       "\" is not supported (known: silu, gelu_pytorch_tanh)");
}

DecoderConfig common(const ConfigReader& reader) {
  DecoderConfig config;
  config.vocab_size = reader.size("vocab_size");
  config.hidden_size = reader.size("hidden_size");
  config.num_layers = reader.size("num_hidden_layers");
  config.num_heads = reader.size("num_attention_heads");
  config.num_kv_heads = reader.size("num_key_value_heads", config.num_heads);
  config.head_dim =
      reader.size("head_dim", std::max<int64_t>(1, config.hidden_size / config.num_heads));
  config.ffn_size = reader.size("intermediate_size");
  config.context_length = reader.size("max_position_embeddings", 2048);
  config.rms_norm_epsilon = reader.number("rms_norm_eps", 1e-6);
  config.attention_scale = 1.0 / std::sqrt(static_cast<double>(config.head_dim));
  config.activation = activation(reader, "hidden_act");
  config.tied_head = reader.flag("tie_word_embeddings", false);
  config.windowed.assign(config.num_layers, false);
  PRECIS_CHECK(config.num_layers <= 1024,
               kBadWeights,
               reader.origin(),
               ": num_hidden_layers is ",
               config.num_layers);
  PRECIS_CHECK(config.num_heads % config.num_kv_heads == 0,
               kBadWeights,
               reader.origin(),
               ": ",
               config.num_heads,
               " attention heads are no multiple of ",
               config.num_kv_heads,
               " key heads");
  PRECIS_CHECK(config.head_dim % 2 == 0 && config.head_dim <= 1024,
               kBadWeights,
               reader.origin(),
               ": head_dim is ",
               config.head_dim,
               ", expected an even number up to 1024");
  PRECIS_CHECK(config.rms_norm_epsilon > 0 && config.rms_norm_epsilon < 1,
               kBadWeights,
               reader.origin(),
               ": rms_norm_eps is ",
               config.rms_norm_epsilon);
  return config;
}

// Which layers see a window only: as layer_types lists them, where it is there.
bool read_layer_types(const ConfigReader& reader, DecoderConfig& config) {
  if (!reader.has("layer_types")) return false;
  const json& types = reader.at("layer_types");
  PRECIS_CHECK(types.is_array() && static_cast<int64_t>(types.size()) == config.num_layers,
               kBadWeights,
               reader.origin(),
               ": layer_types does not list ",
               config.num_layers,
               " layers");
  for (int64_t i = 0; i < config.num_layers; ++i) {
    const bool sliding = types[i] == "sliding_attention";
    PRECIS_CHECK(sliding || types[i] == "full_attention",
                 kUnsupported,
                 reader.origin(),
                 ": layer type ",
                 types[i].dump(),
                 " is not supported");
    config.windowed[i] = sliding;
  }
  return true;
}

DecoderConfig llama(const ConfigReader& reader) {
  DecoderConfig config = common(reader);
  config.qkv_bias = config.output_bias = reader.flag("attention_bias", false);
  config.mlp_bias = reader.flag("mlp_bias", false);
  config.rope = rope_config(reader.all(), config, reader.origin());
  return config;
}

DecoderConfig mistral(const ConfigReader& reader) {
  DecoderConfig config = llama(reader);
  config.window = reader.size("sliding_window", 0);
  config.windowed.assign(config.num_layers, config.window > 0);
  return config;
}

DecoderConfig qwen(const ConfigReader& reader) {
  DecoderConfig config = common(reader);
  config.rope = rope_config(reader.all(), config, reader.origin());
  if (!reader.flag("use_sliding_window", false)) return config;
  config.window = reader.size("sliding_window", 4096);
  if (read_layer_types(reader, config)) return config;
  const int64_t first = reader.size("max_window_layers", 28);
  for (int64_t i = first; i < config.num_layers; ++i) config.windowed[i] = true;
  return config;
}

DecoderConfig qwen2(const ConfigReader& reader) {
  DecoderConfig config = qwen(reader);
  config.qkv_bias = true;
  return config;
}

DecoderConfig qwen3(const ConfigReader& reader) {
  DecoderConfig config = qwen(reader);
  config.qkv_bias = config.output_bias = reader.flag("attention_bias", false);
  config.qk_norm = true;
  return config;
}

DecoderConfig gemma3(const ConfigReader& reader) {
  DecoderConfig config = common(reader);
  for (const char* key : {"attn_logit_softcapping", "final_logit_softcapping"}) {
    PRECIS_CHECK(!reader.has(key), kUnsupported, reader.origin(), ": ", key, " is not supported");
  }
  config.activation = reader.has("hidden_activation") ? activation(reader, "hidden_activation")
                                                      : DecoderConfig::Activation::kGeluTanh;
  config.tied_head = reader.flag("tie_word_embeddings", true);
  config.qkv_bias = config.output_bias = reader.flag("attention_bias", false);
  config.qk_norm = config.sandwich_norms = config.norm_gain_is_offset = true;
  config.embedding_scale = std::sqrt(static_cast<double>(config.hidden_size));
  const double scalar = reader.number("query_pre_attn_scalar", 256.0);
  PRECIS_CHECK(scalar > 0, kBadWeights, reader.origin(), ": query_pre_attn_scalar is ", scalar);
  config.attention_scale = 1.0 / std::sqrt(scalar);
  config.window = reader.size("sliding_window", 4096);
  if (!read_layer_types(reader, config)) {
    const int64_t pattern =
        reader.size("sliding_window_pattern", reader.size("_sliding_window_pattern", 6));
    for (int64_t i = 0; i < config.num_layers; ++i) config.windowed[i] = (i + 1) % pattern != 0;
  }
  config.rope = rope_config(reader.all(), config, reader.origin(), "full_attention");
  config.local_rope = local_rope_config(reader.all(), config, reader.origin());
  return config;
}

struct Architecture {
  const char* model_type;
  const char* name;
  DecoderConfig (*read)(const ConfigReader&);
};

constexpr Architecture kArchitectures[] = {
    {"llama", "llama", llama},
    {"mistral", "mistral", mistral},
    {"qwen2", "qwen2", qwen2},
    {"qwen3", "qwen3", qwen3},
    {"gemma3_text", "gemma3", gemma3},
};

std::string known_architectures() {
  std::string names;
  for (const Architecture& known : kArchitectures)
    names += concat(names.empty() ? "" : ", ", known.model_type);
  return names;
}

DecoderConfig read_config(const json& config, const std::string& origin) {
  const ConfigReader reader(config, origin);
  const std::string type = reader.text("model_type", "");
  for (const Architecture& known : kArchitectures) {
    if (type != known.model_type) continue;
    DecoderConfig result = known.read(reader);
    result.architecture = known.name;
    return result;
  }
  fail(ErrorKind::kUnsupported,
       origin,
       ": architecture \"",
       type,
       "\" is not supported (known: ",
       known_architectures(),
       ")");
}

}  // namespace

DecoderConfig decoder_config(const json& config, const std::string& origin) {
  PRECIS_CHECK(config.is_object(), kBadWeights, origin, ": not a JSON object");
  try {
    return read_config(config, origin);
  } catch (const json::exception& error) {  // a value of another type than its name wants
    fail(ErrorKind::kBadWeights, origin, ": ", error.what());
  }
}

}  // namespace precis
