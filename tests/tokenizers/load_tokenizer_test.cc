// SPDX-License-Identifier: Apache-2.0
#include "precis/extend/load_tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "golden_texts.h"
#include "support/expect_error.h"
#include "support/temporary_directory.h"
#include "tokenizers/stop_ids.h"

namespace precis {
namespace {

class LoadTokenizer : public testing::Test {
 protected:
  void copy(const std::string& golden) {
    std::filesystem::copy(kGolden / golden, directory_.path());
  }
  void configure(const std::string& text) {
    write_file(directory_ / "tokenizer_config.json", text);
  }
  SpecialTokens special_tokens() const {
    return load_tokenizer(directory_.path())->special_tokens();
  }

  TemporaryDirectory directory_;
};

TEST_F(LoadTokenizer, PrefersTokenizerJson) {
  copy("sentencepiece");
  EXPECT_EQ(load_tokenizer(directory_.path())->vocab_size(), 600);
  copy("gpt2");
  EXPECT_EQ(load_tokenizer(directory_.path())->vocab_size(), 701);
}

TEST_F(LoadTokenizer, NamesMissingFiles) {
  expect_error(ErrorKind::kNotFound, "tokenizer.json", [&] { load_tokenizer(directory_.path()); });
  expect_error(
      ErrorKind::kNotFound, "none.gguf", [&] { load_tokenizer(directory_ / "none.gguf"); });
}

TEST_F(LoadTokenizer, DeeplyNestedAndMissingFilesAreNamed) {
  const std::string deep(100'000, '['), pointer = "version https://git-lfs.github.com/spec/v1\n";
  const auto refuse = [&](const std::string& file, const std::string& bytes) {
    const auto path = directory_ / file;
    write_file(path, bytes);
    const std::string part = bytes == deep ? ": not valid JSON: line 1, column 201: more than 200"
                                           : ": a Git LFS pointer";
    expect_error(
        ErrorKind::kBadWeights, path.string() + part, [&] { load_tokenizer(directory_.path()); });
  };
  refuse("tokenizer.model", pointer);
  for (const std::string& bytes : {deep, pointer}) {
    refuse("tokenizer.json", bytes);
    refuse("tokenizer_config.json", bytes);
    std::filesystem::remove(directory_ / "tokenizer_config.json");
  }
}

TEST_F(LoadTokenizer, TakesBosFromThePostProcessor) {
  copy("llama3");
  EXPECT_EQ(special_tokens().bos, 1);
  EXPECT_TRUE(special_tokens().add_bos);
  EXPECT_FALSE(special_tokens().add_eos);
}

TEST_F(LoadTokenizer, TheSettingsFileOverrides) {
  copy("llama3");
  configure(R"({"bos_token": "<|endoftext|>", "eos_token": {"content": "<|im_end|>"},
                "add_bos_token": false, "add_eos_token": true})");
  EXPECT_EQ(special_tokens().bos, 0);
  EXPECT_EQ(special_tokens().eos, 2);
  EXPECT_FALSE(special_tokens().add_bos);
  EXPECT_TRUE(special_tokens().add_eos);
}

TEST_F(LoadTokenizer, WithoutBosNoneIsAdded) {
  copy("qwen2");
  configure(R"({"bos_token": null, "add_bos_token": true})");
  EXPECT_FALSE(special_tokens().bos);
  EXPECT_FALSE(special_tokens().add_bos);
}

TEST_F(LoadTokenizer, RefusesDamagedSettings) {
  copy("gpt2");
  for (const char* text : {"{",
                           R"({"bos_token": 7})",
                           R"({"bos_token": "<none>"})",
                           R"({"add_bos_token": "yes"})",
                           R"({"eos_token": {}})",
                           "[]"}) {
    configure(text);
    expect_error(ErrorKind::kBadWeights, directory_.path().string(), [&] { special_tokens(); });
  }
}

TEST_F(LoadTokenizer, TakesStopsFromTheConfigurationFiles) {
  using testing::UnorderedElementsAre;
  copy("gpt2");
  const auto stops = [&] { return stop_ids(*load_tokenizer(directory_.path())); };
  EXPECT_THAT(stops(), UnorderedElementsAre(0, 2));  // <|endoftext|>, <|im_end|>
  write_file(directory_ / "config.json", R"({"eos_token_id": 5})");
  EXPECT_THAT(stops(), UnorderedElementsAre(0, 2, 5));
  write_file(directory_ / "generation_config.json", R"({"eos_token_id": [6, 7, 7000, -1]})");
  EXPECT_THAT(stops(), UnorderedElementsAre(0, 2, 5, 6, 7));
  write_file(directory_ / "config.json", R"({"eos_token_id": null})");
  EXPECT_THAT(stops(), UnorderedElementsAre(0, 2, 6, 7));
  for (const char* damaged : {R"({"eos_token_id": "6"})", R"({"eos_token_id": [6, {}]})", "[]"}) {
    write_file(directory_ / "generation_config.json", damaged);
    expect_error(ErrorKind::kBadWeights, "generation_config.json", stops);
  }
}

TEST_F(LoadTokenizer, FindsTheChatTemplate) {
  EXPECT_EQ(load_chat_template(directory_.path()), std::nullopt);
  configure(R"({"chat_template": "one"})");
  EXPECT_EQ(load_chat_template(directory_.path()), "one");
  configure(R"({"chat_template": [{"name": "tool_use", "template": "tools"},
                                  {"name": "default", "template": "two"}]})");
  EXPECT_EQ(load_chat_template(directory_.path()), "two");
  write_file(directory_ / "chat_template.jinja", "three");
  EXPECT_EQ(load_chat_template(directory_.path()), "three");
}

TEST_F(LoadTokenizer, FindsTheChatTemplateOfAGgufFile) {
  EXPECT_EQ(load_chat_template(kGolden / "smollm.gguf"), "{{ messages }}");
  EXPECT_EQ(load_chat_template(kGolden / "spm.gguf"), std::nullopt);
}

}  // namespace
}  // namespace precis
