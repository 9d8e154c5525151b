// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/check.h"
#include "io/check_model_keys.h"
#include "io/gguf_model.h"
#include "io/in_quotes.h"

namespace precis {
namespace {

using nlohmann::json;

// Architectures, by their GGUF names. Others are refused: tensor layouts differ by architecture.
constexpr std::array<std::string_view, 4> kArchitectures{"llama", "qwen2", "qwen3", "gemma3"};

class Metadata {
 public:
  explicit Metadata(const GgufFile& file) : file_(file) {
    const auto name = file.string("general.architecture");
    PRECIS_CHECK(
        name.has_value(), kBadWeights, file.path().string(), ": general.architecture is missing");
    PRECIS_CHECK(std::ranges::find(kArchitectures, *name) != kArchitectures.end(),
                 kUnsupported,
                 file.path().string(),
                 ": architecture ",
                 in_quotes(*name),
                 " is not supported (known: llama, qwen2, qwen3, gemma3)");
    architecture_ = std::string(*name);
    check_gguf_keys(file, architecture_);
  }

  const std::string& architecture() const { return architecture_; }
  std::optional<int64_t> integer(const char* key) const { return file_.integer(full(key)); }
  std::optional<double> number(const char* key) const { return file_.number(full(key)); }
  std::optional<std::string_view> string(const char* key) const { return file_.string(full(key)); }

  std::optional<std::vector<int64_t>> integers(const char* key) const {
    return file_.integers(full(key));
  }

  int64_t required(const char* key) const {
    const auto value = integer(key);
    PRECIS_CHECK(
        value.has_value(), kBadWeights, file_.path().string(), ": ", full(key), " is missing");
    return *value;
  }

  // Throws kUnsupported for the value of a key.
  template <typename... Parts>
  [[noreturn]] void refuse(const char* key, const Parts&... parts) const {
    fail(ErrorKind::kUnsupported, file_.path().string(), ": ", full(key), parts...);
  }

 private:
  std::string full(const char* key) const { return architecture_ + "." + key; }

  const GgufFile& file_;
  std::string architecture_;
};

// Factor of position scaling; rope.scale_linear is the key in old files. 0: no scaling.
double rope_factor(const Metadata& metadata) {
  auto factor = metadata.number("rope.scaling.factor");
  if (!factor) factor = metadata.number("rope.scale_linear");
  return factor && *factor != 0 ? *factor : 1.0;
}

// GGUF stores a multiple of YaRN's own factor of cos and sin, whereas Hugging Face's
// attention_factor replaces that factor.
double yarn_attention_factor(const Metadata& metadata, double factor) {
  const double own = factor <= 1 ? 1.0 : 0.1 * std::log(factor) + 1.0;
  return own * metadata.number("rope.scaling.attn_factor").value_or(1.0);
}

json yarn_scaling(const Metadata& metadata, double factor) {
  json scaling = {{"rope_type", "yarn"},
                  {"factor", factor},
                  {"attention_factor", yarn_attention_factor(metadata, factor)}};
  const std::pair<const char*, const char*> keys[] = {
      {"original_max_position_embeddings", "rope.scaling.original_context_length"},
      {"beta_fast", "rope.scaling.yarn_beta_fast"},
      {"beta_slow", "rope.scaling.yarn_beta_slow"}};
  for (const auto& [name, key] : keys) {
    const double value = metadata.number(key).value_or(0.0);
    if (value != 0) scaling[name] = value;
  }
  return scaling;
}

// Llama 3's scaling, which GGUF keeps as a tensor of divisors, one for each frequency.
json divisor_scaling(const GgufTensor& tensor, double factor) {
  std::vector<float> divisors(tensor.num_elements());
  gguf_dequantize(tensor.type, tensor.bytes, divisors);
  for (float& divisor : divisors) divisor *= static_cast<float>(factor);
  return {{"rope_type", "precis_divisors"}, {"divisors", divisors}};
}

// As in llama.cpp, a factor without a type means linear scaling.
void read_rope(json& config, const Metadata& metadata, const GgufFile& file) {
  if (const auto base = metadata.number("rope.freq_base")) config["rope_theta"] = *base;
  const std::string type(metadata.string("rope.scaling.type").value_or("linear"));
  const double factor = type == "none" ? 1.0 : rope_factor(metadata);
  const GgufTensor* divisors = file.find("rope_freqs.weight");
  if (type != "none" && type != "linear" && type != "yarn")
    metadata.refuse(
        "rope.scaling.type", " ", in_quotes(type), " is not supported (known: none, linear, yarn)");
  if (divisors != nullptr && type == "yarn" && factor != 1)
    metadata.refuse("rope.scaling.type", " is yarn, beside rope_freqs.weight: not supported");
  const bool yarn = type == "yarn" && factor != 1;
  const double attention = metadata.number("rope.scaling.attn_factor").value_or(1.0);
  if (!yarn && attention != 1)
    metadata.refuse("rope.scaling.attn_factor", " is ", attention, ", supported with yarn only");
  if (divisors != nullptr) {
    config["rope_scaling"] = divisor_scaling(*divisors, factor);
  } else if (yarn) {
    config["rope_scaling"] = yarn_scaling(metadata, factor);
  } else if (factor != 1) {
    config["rope_scaling"] = {{"rope_type", "linear"}, {"factor", factor}};
  }
}

// A window of at least the context length has no effect.
void refuse_window(const json& config, const Metadata& metadata) {
  const int64_t window = metadata.integer("attention.sliding_window").value_or(0);
  if (window <= 0 || window >= config["max_position_embeddings"].get<int64_t>()) return;
  metadata.refuse(
      "attention.sliding_window",
      " is ",
      window,
      "; windows are supported in GGUF files of gemma3 only, and in Hugging Face directories");
}

// The period of layers with full attention, or a list of the layers that have a window.
void read_window_pattern(json& config, const Metadata& metadata) {
  const std::vector<int64_t> pattern =
      metadata.integers("attention.sliding_window_pattern").value_or(std::vector<int64_t>{6});
  if (pattern.size() == 1) {
    config["sliding_window_pattern"] = pattern.front();
    return;
  }
  json& types = config["layer_types"] = json::array();
  for (const int64_t windowed : pattern)
    types.push_back(windowed != 0 ? "sliding_attention" : "full_attention");
}

void read_gemma3(json& config, const Metadata& metadata) {
  config["model_type"] = "gemma3_text";
  config["hidden_activation"] = "gelu_pytorch_tanh";
  config["sliding_window"] = metadata.required("attention.sliding_window");
  read_window_pattern(config, metadata);
  // Only the 27B model, which has 62 layers, scales queries by hidden_size / heads.
  const bool largest = config["num_hidden_layers"] == 62;
  config["query_pre_attn_scalar"] =
      largest ? config["hidden_size"].get<int64_t>() / config["num_attention_heads"].get<int64_t>()
              : config["head_dim"].get<int64_t>();
  if (const auto base = metadata.number("rope.freq_base_swa"))
    config["rope_local_base_freq"] = *base;
}

bool has_tensor(const GgufFile& file, const char* name) { return file.find(name) != nullptr; }

}  // namespace

json gguf_config(const GgufFile& file) {
  const Metadata metadata(file);
  const GgufTensor* embedding = file.find("token_embd.weight");
  PRECIS_CHECK(embedding != nullptr && embedding->shape.size() == 2,
               kBadWeights,
               file.path().string(),
               ": token_embd.weight is missing or not a matrix");
  const int64_t heads = metadata.required("attention.head_count");
  PRECIS_CHECK(heads > 0, kBadWeights, file.path().string(), ": attention.head_count is ", heads);
  json config = {
      {"model_type", metadata.architecture()},
      {"vocab_size", embedding->shape[0]},
      {"hidden_size", metadata.required("embedding_length")},
      {"num_hidden_layers", metadata.required("block_count")},
      {"num_attention_heads", heads},
      {"num_key_value_heads", metadata.integer("attention.head_count_kv").value_or(heads)},
      {"intermediate_size", metadata.required("feed_forward_length")},
      {"max_position_embeddings", metadata.required("context_length")},
      {"rms_norm_eps", metadata.number("attention.layer_norm_rms_epsilon").value_or(1e-6)},
      {"tie_word_embeddings", !has_tensor(file, "output.weight")},
      {"attention_bias", has_tensor(file, "blk.0.attn_q.bias")},
      {"mlp_bias", has_tensor(file, "blk.0.ffn_gate.bias")},
  };
  config["head_dim"] =
      metadata.integer("attention.key_length")
          .value_or(std::max<int64_t>(1, config["hidden_size"].get<int64_t>() / heads));
  const auto rotated = metadata.integer("rope.dimension_count");
  PRECIS_CHECK(!rotated || *rotated == config["head_dim"],
               kUnsupported,
               file.path().string(),
               ": rotary embedding of a part of each head is not supported");
  const auto value_length = metadata.integer("attention.value_length");
  if (value_length && *value_length != config["head_dim"])
    metadata.refuse("attention.value_length", " is ", *value_length, ", not the length of a key");
  read_rope(config, metadata, file);
  if (metadata.architecture() == "gemma3") {
    read_gemma3(config, metadata);
  } else {
    refuse_window(config, metadata);
  }
  return config;
}

}  // namespace precis
