// SPDX-License-Identifier: Apache-2.0
// A setting of config.json means what it means to transformers (golden/make_config_golden.py), or
// is refused by name.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "config_golden.h"
#include "io/model_keys.h"
#include "models/config.h"
#include "precis/log.h"
#include "support/damage.h"
#include "support/expect_error.h"
#include "support/temporary_directory.h"

namespace precis {
namespace {

namespace fs = std::filesystem;
using config_golden::content;
using config_golden::expect_logits;
using config_golden::golden_case;
using nlohmann::json;

const fs::path kModels = fs::path(PRECIS_TEST_GOLDEN_DIR) / "models";

std::vector<std::string> case_names() {
  std::vector<std::string> names;
  for (const json& one : content()["cases"]) names.push_back(one["name"]);
  return names;
}

json config_of(const std::string& model) { return read_json(kModels / model / "config.json"); }

// The config.json of a golden model with these values changed.
json with(const std::string& model, const json& values) {
  json config = config_of(model);
  config.update(values);
  return config;
}

DecoderConfig read(const json& config) { return decoder_config(config, "config.json"); }

void refuse(const json& config, const std::string& part) {
  expect_error(ErrorKind::kUnsupported, part, [&] { read(config); });
  expect_error(ErrorKind::kUnsupported, "config.json: ", [&] { read(config); });
}

// config.json against transformers

class ConfigSetting : public testing::TestWithParam<std::string> {};

TEST_P(ConfigSetting, ComputesWhatTransformersDoes) {
  const json& one = golden_case(GetParam());
  const std::string base = one["base"];
  const TemporaryDirectory model;
  for (const auto& entry : fs::directory_iterator(kModels / base)) {
    const std::string name = entry.path().filename();
    if (name.starts_with("model")) fs::copy(entry.path(), model / name);
  }
  json config = config_of(base);
  for (const json& key : one["remove"]) config.erase(key.get<std::string>());
  config.update(one["set"]);
  overwrite(model / "config.json", config.dump());
  expect_logits(model.path(), GetParam());
}

std::string test_name(const testing::TestParamInfo<std::string>& info) { return info.param; }

INSTANTIATE_TEST_SUITE_P(Settings, ConfigSetting, testing::ValuesIn(case_names()), test_name);

TEST(ConfigDefaults, AreThoseOfTransformers) {
  for (const json& expected : content()["defaults"]) {
    SCOPED_TRACE(expected["config"]["model_type"]);
    const DecoderConfig config = read(expected["config"]);
    EXPECT_EQ(config.num_kv_heads, expected["num_key_value_heads"]);
    EXPECT_EQ(config.head_dim, expected["head_dim"]);
    EXPECT_EQ(config.context_length, expected["max_position_embeddings"]);
    EXPECT_EQ(config.rms_norm_epsilon, expected["rms_norm_eps"]);
    EXPECT_EQ(config.tied_head, expected["tie_word_embeddings"]);
    EXPECT_EQ(config.rope.base, expected["rope_theta"]);
    EXPECT_EQ(config.local_rope.value_or(config.rope).base, expected["local_rope_theta"]);
    EXPECT_EQ(config.windowed, expected["windowed"].get<std::vector<bool>>());
    EXPECT_EQ(config.window,
              expected["sliding_window"].is_null() ? 0 : expected["sliding_window"].get<int64_t>());
    if (!expected["scalar"].is_null()) {
      const double scalar = expected["scalar"];
      EXPECT_DOUBLE_EQ(config.attention_scale, 1.0 / std::sqrt(scalar));
    }
  }
}

TEST(ConfigDefaults, ANullNumberOfKeyHeadsIsTheNumberOfHeads) {
  json config = content()["defaults"][2]["config"];
  ASSERT_EQ(config["model_type"], "qwen2");
  config["num_attention_heads"] = 4;
  config["num_key_value_heads"] = nullptr;
  EXPECT_EQ(read(config).num_kv_heads, 4);
}

// Qwen's instructions for long prompts: only "yarn" with a factor of 4 is added.
TEST(ConfigWindow, IsExtendedByYarn) {
  const auto window_of = [](int64_t window, const json& scaling) {
    return read(with("llama", {{"max_position_embeddings", window}, {"rope_scaling", scaling}}))
        .context_length;
  };
  json scaling = {{"type", "yarn"}, {"factor", 4.0}, {"original_max_position_embeddings", 64}};
  EXPECT_EQ(window_of(64, scaling), 256);
  EXPECT_EQ(window_of(80, scaling), 256);
  EXPECT_EQ(window_of(256, scaling), 256);
  EXPECT_EQ(window_of(512, scaling), 512);
  scaling.erase("original_max_position_embeddings");
  EXPECT_EQ(window_of(64, scaling), 256);
  scaling["type"] = "linear";
  EXPECT_EQ(window_of(64, scaling), 64);
}

// config.json: refused keys

TEST(ConfigKeys, EveryFieldOfTransformersIsKnown) {
  for (const std::string key : content()["fields"]) {
    const bool listed =
        std::ranges::find(config_keys(), key, &ModelKey::name) != config_keys().end();
    EXPECT_TRUE(listed || is_beside_the_computation(key)) << key;
  }
}

TEST(ConfigKeys, UnusedKeysAreAcceptedWithNeutralValuesOnly) {
  int64_t checked = 0;
  for (const ModelKey& key : config_keys()) {
    if ((key.readers & kLlama) != 0 || key.neutral == "any") continue;
    const std::string name(key.name);
    json neutral = json::parse(key.neutral);
    neutral.push_back(nullptr);
    for (const json& value : neutral) EXPECT_NO_THROW(read(with("llama", {{name, value}}))) << name;
    refuse(with("llama", {{name, {{"not", "neutral"}}}}), name);
    refuse(with("llama", {{name, 0.25}}), name);
    ++checked;
  }
  EXPECT_GT(checked, 40);
}

TEST(ConfigKeys, AreAcceptedForTheArchitecturesThatHaveThem) {
  refuse(with("mistral_window", {{"attention_bias", true}}), "attention_bias is true");
  refuse(with("qwen3", {{"mlp_bias", true}}), "mlp_bias is true");
  refuse(with("llama", {{"query_pre_attn_scalar", 256}}), "query_pre_attn_scalar is 256");
  EXPECT_TRUE(read(with("llama", {{"attention_bias", true}})).output_bias);
  EXPECT_NO_THROW(read(with("qwen2", {{"attention_bias", true}})));
  EXPECT_NO_THROW(read(with("qwen3", {{"use_qk_norm", true}})));
}

TEST(ConfigKeys, AttentionToLaterTokensIsRefused) {
  refuse(with("gemma3_text", {{"use_bidirectional_attention", true}}),
         "use_bidirectional_attention is true");
  refuse(with("gemma3_text", {{"use_bidirectional_attention", true}}), "attention to later tokens");
  refuse(with("llama", {{"is_causal", false}}), "is_causal is false");
}

TEST(ConfigKeys, CappedLogitsAreRefused) {
  refuse(with("gemma3_text", {{"final_logit_softcapping", 30.0}}), "final_logit_softcapping is 30");
  refuse(with("gemma3_text", {{"final_logit_softcapping", 0.0}}), "final_logit_softcapping is 0");
}

TEST(ConfigKeys, QuantizationIsRefusedByTheNameOfItsMethod) {
  const auto refuse_method = [](const json& quantization, const std::string& name) {
    refuse(with("llama", {{"quantization_config", quantization}}),
           "quantised by " + name + " (quantization_config)");
  };
  refuse_method({{"quant_method", "bitsandbytes"}, {"load_in_4bit", true}}, "bitsandbytes");
  refuse_method({{"load_in_8bit", true}}, "bitsandbytes");
  refuse_method({{"quant_method", "gptq"}, {"bits", 4}}, "GPTQ");
  refuse_method({{"quant_method", "awq"}, {"bits", 4}}, "AWQ");
  refuse_method({{"quant_method", "fp8"}}, "FP8");
  refuse_method({{"quant_method", "compressed-tensors"}}, "\"compressed-tensors\"");
  refuse_method({{"bits", 4}}, "an unknown method");
  refuse(with("llama", {{"quantization", {{"bits", 4}}}, {"quantization_config", {{"bits", 4}}}}),
         "quantised by MLX (quantization)");
  EXPECT_NO_THROW(read(with("llama", {{"quantization_config", nullptr}})));
}

TEST(ConfigKeys, WindowsThatContradictEachOtherAreRefused) {
  const json sliding = {"full_attention", "sliding_attention", "full_attention"};
  refuse(with("llama", {{"layer_types", sliding}}), "architecture llama has none");
  refuse(with("qwen3", {{"layer_types", sliding}}), "use_sliding_window is not true");
  refuse(with("mistral_window", {{"layer_types", sliding}, {"sliding_window", nullptr}}),
         "sliding_window is null");
  refuse(with("qwen3", {{"layer_types", {"chunked_attention", "moe", "conv"}}}),
         "\"chunked_attention\" is not supported");
  expect_error(ErrorKind::kBadWeights, "sliding_window is 0", [] {
    read(with("mistral_window", {{"sliding_window", 0}}));
  });
  EXPECT_NO_THROW(read(with("qwen2", {{"sliding_window", 0}})));  // 0 disables the window
}

// config.json: unknown keys

std::vector<std::string> warnings_about(const json& config) {
  std::vector<std::string> messages;
  set_log_sink([&](LogLevel level, std::string_view message) {
    if (level == LogLevel::kWarning) messages.emplace_back(message);
  });
  read(config);
  set_log_sink({});
  return messages;
}

TEST(UnknownConfigKeys, AreIgnoredWithAWarning) {
  const auto messages = warnings_about(
      with("llama", {{"brand_new", 0.5}, {"rope_scaling", {{"type", "default"}, {"novel", 2}}}}));
  ASSERT_EQ(messages.size(), 1u);
  EXPECT_THAT(messages[0], testing::HasSubstr("config.json"));
  EXPECT_THAT(messages[0], testing::HasSubstr("\"brand_new\""));
  EXPECT_THAT(messages[0], testing::HasSubstr("\"rope_scaling.novel\""));
}

TEST(UnknownConfigKeys, WithoutAValueGiveNoWarning) {
  for (const json& value : {json(nullptr), json(false), json(0), json(""), json::array()})
    EXPECT_TRUE(warnings_about(with("llama", {{"brand_new", value}})).empty()) << value;
}

TEST(UnknownConfigKeys, DoNotOccurInPublishedFiles) {
  for (const auto& entry : fs::directory_iterator(kModels)) {
    if (!entry.is_directory()) continue;
    EXPECT_TRUE(warnings_about(config_of(entry.path().filename())).empty()) << entry.path();
  }
  const json harmless = {{"auto_map", {{"AutoConfig", "x.py"}}},
                         {"pretraining_tp", 2},
                         {"use_cache", false},
                         {"temperature", 0.6},
                         {"_name_or_path", "x"},
                         {"image_token_id", 7},
                         {"embd_pdrop", 0.1}};
  EXPECT_TRUE(warnings_about(with("llama", harmless)).empty());
}

}  // namespace
}  // namespace precis
