// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "base/check.h"
#include "io/gguf_model.h"
#include "io/in_quotes.h"

namespace precis {
namespace {

using nlohmann::json;

// As GGUF spells them. Tensors are laid out by these names, so that no other will do.
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
  }

  const std::string& architecture() const { return architecture_; }
  std::optional<int64_t> integer(const char* key) const { return file_.integer(full(key)); }
  std::optional<double> number(const char* key) const { return file_.number(full(key)); }
  std::optional<std::string_view> string(const char* key) const { return file_.string(full(key)); }

  int64_t required(const char* key) const {
    const auto value = integer(key);
    PRECIS_CHECK(
        value.has_value(), kBadWeights, file_.path().string(), ": ", full(key), " is missing");
    return *value;
  }

 private:
  std::string full(const char* key) const { return architecture_ + "." + key; }

  const GgufFile& file_;
  std::string architecture_;
};

// GGUF keeps Llama 3's scaling as a tensor of divisors, one for each frequency.
void read_rope(json& config, const Metadata& metadata, const GgufFile& file) {
  if (const auto base = metadata.number("rope.freq_base")) config["rope_theta"] = *base;
  if (const GgufTensor* divisors = file.find("rope_freqs.weight")) {
    std::vector<float> values(divisors->num_elements());
    gguf_dequantize(divisors->type, divisors->bytes, values);
    config["rope_scaling"] = {{"rope_type", "precis_divisors"}, {"divisors", values}};
    return;
  }
  const auto type = metadata.string("rope.scaling.type");
  if (!type || *type == "none") return;
  json scaling = {{"rope_type", std::string(*type)}};
  if (const auto factor = metadata.number("rope.scaling.factor")) scaling["factor"] = *factor;
  if (const auto context = metadata.number("rope.scaling.original_context_length")) {
    scaling["original_max_position_embeddings"] = *context;
  }
  if (const auto attention = metadata.number("rope.scaling.attn_factor"))
    scaling["attention_factor"] = *attention;
  if (const auto fast = metadata.number("rope.scaling.yarn_beta_fast"))
    scaling["beta_fast"] = *fast;
  if (const auto slow = metadata.number("rope.scaling.yarn_beta_slow"))
    scaling["beta_slow"] = *slow;
  config["rope_scaling"] = scaling;
}

void read_gemma3(json& config, const Metadata& metadata) {
  config["model_type"] = "gemma3_text";
  config["hidden_activation"] = "gelu_pytorch_tanh";
  config["sliding_window"] = metadata.integer("attention.sliding_window").value_or(512);
  config["sliding_window_pattern"] = 6;
  // The 27B model alone scales queries by hidden_size / heads; it is known by its 62 layers.
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
  read_rope(config, metadata, file);
  if (metadata.architecture() == "gemma3") read_gemma3(config, metadata);
  return config;
}

}  // namespace precis
