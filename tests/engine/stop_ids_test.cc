// SPDX-License-Identifier: Apache-2.0
// What the files of a model say about generation: ids that end an answer, the chat template.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "precis/extend/tokenizer.h"
#include "precis/precis.h"
#include "support/expect_error.h"
#include "support/temporary_directory.h"

namespace precis {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

class ModelFiles : public testing::Test {
 protected:
  ModelFiles() {
    fs::copy(fs::path(PRECIS_TEST_GOLDEN_DIR) / "models" / "llama", directory_.path());
  }

  json read(const std::string& name) const { return json::parse(std::ifstream(directory_ / name)); }
  void write(const std::string& name, const json& content) const {
    std::ofstream(directory_ / name) << content;
  }

  Engine load() const {
    EngineOptions options;
    options.model = directory_.path();
    options.dtype = Dtype::kFloat32;
    return Engine::load(options);
  }

  Completion answer() const {
    GenerationOptions options;
    options.max_tokens = 12;
    return load().generate(Prompt().keep("the water"), options);
  }

  // Expects the tokens of the whole answer before its first `end`.
  static void expect_ends_before(const Completion& stopped, const Completion& whole, TokenId end) {
    const auto place = std::find(whole.ids.begin(), whole.ids.end(), end);
    EXPECT_EQ(stopped.finish, Completion::Finish::kStop);
    EXPECT_EQ(stopped.ids, std::vector<TokenId>(whole.ids.begin(), place));
  }

  TemporaryDirectory directory_;
};

TEST_F(ModelFiles, NameTheIdsThatEndAnAnswer) {
  const Completion whole = answer();
  ASSERT_GT(whole.ids.size(), 3u);
  const TokenId end = whole.ids[2];
  json config = read("config.json");
  config["eos_token_id"] = end;
  write("config.json", config);
  expect_ends_before(answer(), whole, end);
  config["eos_token_id"] = 0;
  write("config.json", config);
  write("generation_config.json", {{"eos_token_id", {0, end}}});
  expect_ends_before(answer(), whole, end);
}

TEST_F(ModelFiles, TellWhetherTheModelHasAChatTemplate) {
  EXPECT_FALSE(load().has_chat_template());
  json config = read("tokenizer_config.json");
  config["chat_template"] = "{{ messages[0].content }}";
  write("tokenizer_config.json", config);
  EXPECT_TRUE(load().has_chat_template());
  config["chat_template"] = "{% if %}";  // which no prompt could use
  write("tokenizer_config.json", config);
  EXPECT_FALSE(load().has_chat_template());
}

TEST_F(ModelFiles, ASpecialTokenMayLieBeyondTheModelsRows) {
  const Completion whole = answer();
  json tokenizer = read("tokenizer.json");
  const int64_t rows = load().tokenizer().vocab_size();
  tokenizer["added_tokens"].push_back({{"id", rows}, {"content", "<pad>"}, {"special", true}});
  write("tokenizer.json", tokenizer);
  EXPECT_EQ(answer().ids, whole.ids);
  expect_error(ErrorKind::kInvalidArgument, "outside the vocabulary", [&] {
    static_cast<void>(load().generate(Prompt().ids({rows}), {}));
  });
  tokenizer["added_tokens"].back()["special"] = false;
  write("tokenizer.json", tokenizer);
  expect_error(ErrorKind::kBadWeights, "the tokenizer has", [&] { load(); });
}

}  // namespace
}  // namespace precis
