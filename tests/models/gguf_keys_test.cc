// SPDX-License-Identifier: Apache-2.0
// GGUF metadata that changes the computation means what it means to llama.cpp (in terms of
// config.json with the logits of transformers, golden/make_config_golden.py), or is refused by
// name.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "config_golden.h"
#include "gguf_pieces.h"
#include "io/gguf_model.h"
#include "io/model_keys.h"
#include "models/config.h"
#include "support/expect_error.h"
#include "support/temporary_directory.h"

namespace precis {
namespace {

namespace fs = std::filesystem;
using config_golden::content;
using config_golden::expect_logits;

const fs::path kModels = fs::path(PRECIS_TEST_GOLDEN_DIR) / "models";

using Metadata = std::vector<GgufPieces::Pair>;

class GgufSetting : public testing::Test {
 protected:
  // A golden model with additional metadata.
  fs::path written(const std::string& name, const Metadata& added) const {
    GgufPieces pieces(kModels / (name + ".gguf"));
    for (const GgufPieces::Pair& pair : added) {
      std::erase_if(pieces.pairs, [&](const auto& own) { return own.key == pair.key; });
      pieces.pairs.push_back(pair);
    }
    pieces.write(directory / "model.gguf");
    return directory / "model.gguf";
  }
  DecoderConfig config_with(const std::string& name, const Metadata& added) const {
    return decoder_config(gguf_config(GgufFile::open(written(name, added))), "model.gguf");
  }
  void refuse(const std::string& name, const Metadata& added, const std::string& message) const {
    expect_error(ErrorKind::kUnsupported, message, [&] { config_with(name, added); });
    expect_error(ErrorKind::kUnsupported, "model.gguf: ", [&] { config_with(name, added); });
  }

  static std::string text(const char* value) { return GgufPieces::text_value(value); }
  static std::string real(float value) { return GgufPieces::real_value(value); }
  static std::string whole(uint32_t value) { return GgufPieces::number_value(value); }

  const TemporaryDirectory directory;
  const Metadata yarn = {{"llama.rope.scaling.type", text("yarn")},
                         {"llama.rope.scaling.factor", real(4.0)},
                         {"llama.rope.scaling.original_context_length", whole(64)}};
};

TEST_F(GgufSetting, LinearScalingHasThreeSpellings) {
  expect_logits(written("llama",
                        {{"llama.rope.scaling.type", text("linear")},
                         {"llama.rope.scaling.factor", real(4.0)}}),
                "linear");
  expect_logits(written("llama", {{"llama.rope.scaling.factor", real(4.0)}}), "linear");
  expect_logits(written("llama", {{"llama.rope.scale_linear", real(4.0)}}), "linear");
}

TEST_F(GgufSetting, NoScalingIsNone) {
  const std::string plain = "swish";  // the case that equals the llama model as it is
  expect_logits(written("llama",
                        {{"llama.rope.scaling.type", text("none")},
                         {"llama.rope.scaling.factor", real(4.0)}}),
                plain);
  expect_logits(written("llama", {{"llama.rope.scaling.factor", real(0.0)}}), plain);
  expect_logits(written("llama", {{"llama.rope.scale_linear", real(1.0)}}), plain);
}

TEST_F(GgufSetting, TheAttentionFactorMultipliesThatOfYarn) {
  expect_logits(written("llama", yarn), "yarn");
  Metadata more = yarn;
  more.push_back({"llama.rope.scaling.attn_factor", real(1.0)});
  expect_logits(written("llama", more), "yarn");
  more.back().value = real(1.5);
  expect_logits(written("llama", more), "yarn_warmer");
  refuse("llama", {{"llama.rope.scaling.attn_factor", real(1.5)}}, "attn_factor is 1.5");
}

TEST_F(GgufSetting, DivisorsAreScaledToo) {
  const std::vector<float> plain = config_with("llama3_rope", {}).rope.divisors;
  std::vector<float> scaled =
      config_with("llama3_rope", {{"llama.rope.scaling.factor", real(2.0)}}).rope.divisors;
  ASSERT_EQ(scaled.size(), plain.size());
  for (size_t i = 0; i < plain.size(); ++i) EXPECT_EQ(scaled[i], 2 * plain[i]);
  refuse("llama3_rope", yarn, "beside rope_freqs.weight");
}

TEST_F(GgufSetting, TheWindowPatternIsANumberOrAList) {
  const std::string key = "gemma3.attention.sliding_window_pattern";
  expect_logits(written("gemma3_text", {{key, whole(3)}}), "gemma_pattern");
  const std::vector<bool> windowed{true, false, true, false, true, false, false};
  expect_logits(written("gemma3_text", {{key, GgufPieces::flags_value(windowed)}}),
                "gemma_layer_types");
}

TEST_F(GgufSetting, AMissingWindowOfGemmaIsNamed) {
  GgufPieces pieces(kModels / "gemma3_text.gguf");
  pieces.remove_pair("gemma3.attention.sliding_window");
  const fs::path model = directory / "model.gguf";
  pieces.write(model);
  expect_error(ErrorKind::kBadWeights, "gemma3.attention.sliding_window is missing", [&] {
    gguf_config(GgufFile::open(model));
  });
}

TEST_F(GgufSetting, AWindowIsRefusedUnlessNoPromptExceedsIt) {
  const std::string key = "llama.attention.sliding_window";
  refuse("llama", {{key, whole(16)}}, "llama.attention.sliding_window is 16");
  EXPECT_EQ(config_with("llama", {{key, whole(512)}}).window, 0);
  EXPECT_EQ(config_with("llama", {{key, whole(0)}}).window, 0);
}

TEST_F(GgufSetting, OthersAreRefusedByName) {
  refuse("llama", {{"llama.expert_count", whole(4)}}, "llama.expert_count is 4");
  refuse("llama", {{"llama.expert_count", whole(4)}}, "a mixture of experts");
  refuse("llama", {{"llama.attention.causal", GgufPieces::flag_value(false)}}, "causal is false");
  refuse("llama", {{"llama.attention.scale", real(0.5)}}, "llama.attention.scale is 0.5");
  refuse("llama", {{"llama.attention.value_length", whole(4)}}, "attention.value_length is 4");
  refuse("llama", {{"llama.ssm.state_size", whole(16)}}, "llama.ssm.state_size is 16");
  refuse("llama", {{"llama.rope.scaling.type", text("longrope")}}, "\"longrope\" is not supported");
  refuse("llama", {{"llama.rope.dimension_count", whole(4)}}, "a part of each head");
  refuse("gemma3_text", {{"gemma3.final_logit_softcapping", real(30)}}, "softcapping is 30");
  EXPECT_NO_THROW(config_with("gemma3_text", {{"gemma3.final_logit_softcapping", real(0)}}));
  EXPECT_NO_THROW(config_with("llama", {{"llama.expert_count", whole(0)}}));
}

TEST_F(GgufSetting, EveryKeyOfGgufPyIsKnown) {
  for (const std::string key : content()["gguf_keys"]) {
    const bool known = std::ranges::any_of(gguf_keys(), [&](const ModelKey& row) {
      return row.name == key || (row.name.ends_with('.') && key.starts_with(row.name));
    });
    EXPECT_TRUE(known) << key;
  }
}

}  // namespace
}  // namespace precis
