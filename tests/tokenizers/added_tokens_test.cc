// SPDX-License-Identifier: Apache-2.0
// Added tokens of a vocabulary, special and not.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "golden_texts.h"
#include "precis/extend/load_tokenizer.h"
#include "support/expect_error.h"
#include "support/temporary_directory.h"

namespace precis {
namespace {

using nlohmann::json;
using testing::Contains;
using testing::ElementsAre;
using testing::Not;

class AddedTokensTest : public testing::Test {
 protected:
  void write(const std::string& name, const json& content) const {
    write_file(directory_ / name, content.dump());
  }

  // Loads a directory with the tokenizer.model of a Llama and these files.
  std::unique_ptr<Tokenizer> load_beside_model(const json& files) const {
    for (const auto& file : std::filesystem::directory_iterator(directory_.path())) {
      std::filesystem::remove(file);
    }
    std::filesystem::copy(kGolden / "spm", directory_.path());
    for (const auto& [name, content] : files.items()) write(name, content);
    return load_tokenizer(directory_.path());
  }

  static json entry(const std::string& content, bool special) {
    return {{"content", content}, {"special", special}};
  }

  TemporaryDirectory directory_;
};

TEST_F(AddedTokensTest, InFilesBesideAModelMatchTheReference) {
  const auto rows = read_golden<json>("added_tokens.jsonl");
  ASSERT_EQ(rows.size(), 6u);
  for (const json& row : rows) {
    const auto tokenizer = load_beside_model(row.at("files"));
    for (size_t i = 0; i < row.at("texts").size(); ++i) {
      const std::string text = row.at("texts")[i];
      const Ids ids = row.at("ids")[i];
      EXPECT_EQ(encode_trusted(*tokenizer, text), ids) << row.at("files") << text;
      EXPECT_EQ(tokenizer->decode(ids, true), row.at("shown")[i].get<std::string>()) << text;
      EXPECT_EQ(stream(*tokenizer, ids), tokenizer->decode(ids, true)) << text;
    }
  }
}

TEST_F(AddedTokensTest, UserTextNeverBecomesASpecialToken) {
  const auto tokenizer =
      load_beside_model({{"tokenizer_config.json",
                          {{"added_tokens_decoder", {{"600", entry("<|im_end|>", true)}}}}}});
  EXPECT_THAT(tokenizer->encode("the<|im_end|>"), Not(Contains(600)));
  EXPECT_TRUE(tokenizer->is_special(600));
  EXPECT_EQ(tokenizer->vocab_size(), 601);
}

// "<sep>" is a user-defined piece of the model, which the library matches in any text.
TEST_F(AddedTokensTest, APieceListedAsSpecialIsNotProducedFromText) {
  const TokenId sep = *load_beside_model(json::object())->find("<sep>");
  EXPECT_THAT(load_beside_model(json::object())->encode("the<sep>river"), Contains(sep));
  const auto tokenizer = load_beside_model(
      {{"tokenizer_config.json",
        {{"added_tokens_decoder", {{std::to_string(sep), entry("<sep>", true)}}}}}});
  EXPECT_THAT(tokenizer->encode("the<sep>river"), Not(Contains(sep)));
  EXPECT_EQ(tokenizer->decode(tokenizer->encode("the<sep>river")), "the<sep>river");
  EXPECT_THAT(encode_trusted(*tokenizer, "the<sep>"), Contains(sep));
  EXPECT_TRUE(tokenizer->is_special(sep));
}

TEST_F(AddedTokensTest, InFilesBesideTokenizerJsonExtendIt) {
  std::filesystem::copy(kGolden / "gpt2", directory_.path());
  write("tokenizer_config.json",
        {{"added_tokens_decoder",
          {{"2", entry("<|im_end|>", true)}, {"701", entry("<|eom|>", true)}}}});
  const auto tokenizer = load_tokenizer(directory_.path());
  EXPECT_THAT(encode_trusted(*tokenizer, "<|im_end|><|eom|>"), ElementsAre(2, 701));
  EXPECT_THAT(tokenizer->encode("<|eom|>"), Not(Contains(701)));
}

TEST_F(AddedTokensTest, DamagedFilesAreNamed) {
  const auto expect_refused = [&](const std::string& name, const json& content) {
    expect_error(ErrorKind::kBadWeights, name, [&] { load_beside_model({{name, content}}); });
  };
  expect_refused("added_tokens.json", {{"<a>", "600"}});
  expect_refused("added_tokens.json", json::array());
  expect_refused("special_tokens_map.json", {{"bos_token", 3}});
  expect_refused("tokenizer_config.json", {{"added_tokens_decoder", {{"6x", entry("<a>", true)}}}});
  expect_refused("tokenizer_config.json", {{"added_tokens_decoder", {{"600", json::object()}}}});
  for (const int64_t id : {int64_t{-1}, int64_t{1} << 40, int64_t{5}}) {
    expect_error(ErrorKind::kBadWeights, "tokenizer.model", [&] {
      load_beside_model({{"added_tokens.json", {{"<a>", id}}}});
    });
  }
}

// As in tokenizers 0.23: tokens that are not special are matched for any encode_special_tokens.
TEST_F(AddedTokensTest, OrdinaryOnesAreMatchedInAnyText) {
  const auto tokenizer = load_tokenizer(kGolden / "gpt2");
  const TokenId tool = *tokenizer->find("<tool_call>");
  EXPECT_FALSE(tokenizer->is_special(tool));
  EXPECT_THAT(tokenizer->encode("a<tool_call>"), Contains(tool));
  const Ids ids = {tool, *tokenizer->find("<|im_end|>")};
  EXPECT_EQ(tokenizer->decode(ids, true), "<tool_call>");
  const std::vector<TextRun> across = {{"<tool", true}, {"_call><|im_end|>", false}};
  const Ids split = tokenizer->encode_runs(across);
  EXPECT_EQ(split.front(), tool);
  EXPECT_THAT(split, Not(Contains(*tokenizer->find("<|im_end|>"))));
}

TEST_F(AddedTokensTest, AShorterOneMatchesWhereALongerSpecialOneMayNot) {
  json file = json::parse(std::ifstream(kGolden / "gpt2" / "tokenizer.json"));
  file["added_tokens"].push_back({{"id", 701}, {"content", "<x"}, {"special", false}});
  file["added_tokens"].push_back({{"id", 702}, {"content", "<x>"}, {"special", true}});
  write("tokenizer.json", file);
  const auto tokenizer = load_tokenizer(directory_.path());
  EXPECT_THAT(encode_trusted(*tokenizer, "<x>"), ElementsAre(702));
  EXPECT_THAT(tokenizer->encode("<x>"), ElementsAre(701, *tokenizer->find(">")));
}

}  // namespace
}  // namespace precis
