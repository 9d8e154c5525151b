// SPDX-License-Identifier: Apache-2.0
#include "models/config.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/check.h"
#include "io/check_model_keys.h"
#include "models/config_reader.h"
#include "models/rope_config.h"

namespace precis {
namespace {

using nlohmann::json;

DecoderConfig::Activation activation(const ConfigReader& reader,
                                     const char* key,
                                     const std::string& otherwise) {
  const std::string name = reader.text(key, otherwise);
  if (name == "silu" || name == "swish") return DecoderConfig::Activation::kSilu;
  if (name == "gelu_pytorch_tanh") return DecoderConfig::Activation::kGeluTanh;
  fail(ErrorKind::kUnsupported,
       reader.origin(),
       ": ",
       key,
       " \"",
       name,
       "\" is not supported (known: silu, gelu_pytorch_tanh)");
}

// Defaults of an architecture's configuration class in transformers.
struct Defaults {
  int64_t num_kv_heads = 0;  // 0: as many as attention heads
  int64_t head_dim = 0;      // 0: hidden_size over attention heads
  int64_t context_length = 0;
  bool tied_head = false;
};

constexpr int64_t kDefaultWindow = 4096;

int64_t num_kv_heads(const ConfigReader& reader, int64_t num_heads, int64_t otherwise) {
  const bool as_many = otherwise == 0 || reader.is_null("num_key_value_heads");
  return reader.size("num_key_value_heads", as_many ? num_heads : otherwise);
}

void check_heads(const DecoderConfig& config, const std::string& origin) {
  PRECIS_CHECK(config.num_heads % config.num_kv_heads == 0,
               kBadWeights,
               origin,
               ": ",
               config.num_heads,
               " attention heads are no multiple of ",
               config.num_kv_heads,
               " key heads");
  PRECIS_CHECK(config.head_dim % 2 == 0 && config.head_dim <= 1024,
               kBadWeights,
               origin,
               ": head_dim is ",
               config.head_dim,
               ", expected an even number up to 1024");
}

DecoderConfig common(const ConfigReader& reader, const Defaults& defaults) {
  DecoderConfig config;
  config.vocab_size = reader.size("vocab_size");
  config.hidden_size = reader.size("hidden_size");
  config.num_layers = reader.size("num_hidden_layers");
  config.num_heads = reader.size("num_attention_heads");
  config.num_kv_heads = num_kv_heads(reader, config.num_heads, defaults.num_kv_heads);
  config.head_dim = reader.size("head_dim",
                                defaults.head_dim > 0
                                    ? defaults.head_dim
                                    : std::max<int64_t>(1, config.hidden_size / config.num_heads));
  config.ffn_size = reader.size("intermediate_size");
  config.context_length = reader.size("max_position_embeddings", defaults.context_length);
  config.rms_norm_epsilon = reader.number("rms_norm_eps", 1e-6);
  config.attention_scale = 1.0 / std::sqrt(static_cast<double>(config.head_dim));
  config.tied_head = reader.flag("tie_word_embeddings", defaults.tied_head);
  config.windowed.assign(config.num_layers, false);
  PRECIS_CHECK(config.num_layers <= 1024,
               kBadWeights,
               reader.origin(),
               ": num_hidden_layers is ",
               config.num_layers);
  check_heads(config, reader.origin());
  PRECIS_CHECK(config.rms_norm_epsilon > 0 && config.rms_norm_epsilon < 1,
               kBadWeights,
               reader.origin(),
               ": rms_norm_eps is ",
               config.rms_norm_epsilon);
  return config;
}

// Sets which layers have a sliding window from layer_types. Returns whether there is such a list.
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
    const bool full = types[i] == "full_attention" || types[i] == "attention";
    PRECIS_CHECK(sliding || full,
                 kUnsupported,
                 reader.origin(),
                 ": layer type ",
                 types[i].dump(-1, ' ', true, json::error_handler_t::replace),
                 " is not supported (known: full_attention, sliding_attention)");
    config.windowed[i] = sliding;
  }
  return true;
}

bool has_windows(const DecoderConfig& config) {
  return std::find(config.windowed.begin(), config.windowed.end(), true) != config.windowed.end();
}

void refuse_windows(const ConfigReader& reader, const DecoderConfig& config, const char* because) {
  PRECIS_CHECK(!has_windows(config),
               kUnsupported,
               reader.origin(),
               ": layer_types has layers of sliding_attention, but ",
               because);
}

// Reads the size of the sliding window. REQUIRES: config.windowed is set.
void read_window(const ConfigReader& reader, DecoderConfig& config) {
  if (!has_windows(config)) return;
  if (reader.is_null("sliding_window")) refuse_windows(reader, config, "sliding_window is null");
  config.window = reader.size("sliding_window", kDefaultWindow);
}

// Reads the rotary embedding of all layers, or of those without a window, and extends the context
// length by its scaling.
void read_rope(const ConfigReader& reader, DecoderConfig& config, bool by_layer_type = false) {
  config.rope = by_layer_type ? global_rope_config(reader.all(), config, reader.origin())
                              : rope_config(reader.all(), config, reader.origin());
  if (config.rope.scaling != RopeConfig::Scaling::kYarn) return;
  // max_position_embeddings may be the context length before YaRN, as in Qwen's instructions.
  const double stretched = std::floor(config.rope.original_context * config.rope.factor);
  const double limit = static_cast<double>(ConfigReader::kLargestSize);
  config.context_length =
      std::max(config.context_length, static_cast<int64_t>(std::min(stretched, limit)));
}

DecoderConfig llama(const ConfigReader& reader) {
  DecoderConfig config = common(reader, {.context_length = 2048});
  config.activation = activation(reader, "hidden_act", "silu");
  config.qkv_bias = config.output_bias = reader.flag("attention_bias", false);
  config.mlp_bias = reader.flag("mlp_bias", false);
  read_layer_types(reader, config);
  refuse_windows(reader, config, "architecture llama has none");
  read_rope(reader, config);
  return config;
}

DecoderConfig mistral(const ConfigReader& reader) {
  DecoderConfig config = common(reader, {.num_kv_heads = 8, .context_length = 131072});
  config.activation = activation(reader, "hidden_act", "silu");
  read_rope(reader, config);
  if (!read_layer_types(reader, config))
    config.windowed.assign(config.num_layers, !reader.is_null("sliding_window"));
  read_window(reader, config);
  return config;
}

DecoderConfig qwen(const ConfigReader& reader, int64_t head_dim) {
  DecoderConfig config =
      common(reader, {.num_kv_heads = 32, .head_dim = head_dim, .context_length = 32768});
  config.activation = activation(reader, "hidden_act", "silu");
  read_rope(reader, config);
  const bool listed = read_layer_types(reader, config);
  if (!reader.flag("use_sliding_window", false)) {
    refuse_windows(reader, config, "use_sliding_window is not true");
    return config;
  }
  if (!listed && !reader.is_null("sliding_window")) {
    const int64_t first = reader.integer("max_window_layers", 28);
    for (int64_t i = 0; i < config.num_layers; ++i) config.windowed[i] = i >= first;
  }
  read_window(reader, config);
  return config;
}

DecoderConfig qwen2(const ConfigReader& reader) {
  DecoderConfig config = qwen(reader, 0);
  config.qkv_bias = true;
  return config;
}

DecoderConfig qwen3(const ConfigReader& reader) {
  DecoderConfig config = qwen(reader, 128);
  config.qkv_bias = config.output_bias = reader.flag("attention_bias", false);
  config.qk_norm = true;
  return config;
}

DecoderConfig gemma3(const ConfigReader& reader) {
  DecoderConfig config = common(
      reader, {.num_kv_heads = 4, .head_dim = 256, .context_length = 131072, .tied_head = true});
  config.activation = activation(reader, "hidden_activation", "gelu_pytorch_tanh");
  config.qkv_bias = config.output_bias = reader.flag("attention_bias", false);
  config.qk_norm = config.sandwich_norms = config.norm_weight_is_offset = true;
  config.embedding_scale = std::sqrt(static_cast<double>(config.hidden_size));
  const double scalar = reader.number("query_pre_attn_scalar", 256.0);
  PRECIS_CHECK(scalar > 0, kBadWeights, reader.origin(), ": query_pre_attn_scalar is ", scalar);
  config.attention_scale = 1.0 / std::sqrt(scalar);
  if (!read_layer_types(reader, config)) {
    const int64_t pattern = reader.size("sliding_window_pattern", 6);
    for (int64_t i = 0; i < config.num_layers; ++i) config.windowed[i] = (i + 1) % pattern != 0;
  }
  read_window(reader, config);
  config.local_rope = local_rope_config(reader.all(), config, reader.origin());
  read_rope(reader, config, /*by_layer_type=*/true);
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
    check_config_keys(config, known.name, origin);
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
  } catch (const json::exception& error) {  // a value of the wrong type
    fail(ErrorKind::kBadWeights, origin, ": ", error.what());
  }
}

}  // namespace precis
