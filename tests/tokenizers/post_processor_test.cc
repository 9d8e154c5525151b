// SPDX-License-Identifier: Apache-2.0
// Tokens that "post_processor" of a tokenizer.json adds around a text.
#include <gtest/gtest.h>

#include "golden_texts.h"
#include "precis/extend/load_tokenizer.h"
#include "support/expect_error.h"
#include "support/temporary_directory.h"

namespace precis {
namespace {

using nlohmann::json;

class PostProcessor : public testing::Test {
 protected:
  void write(const json& post_processor, const json& settings = json::object()) const {
    json file = json::parse(std::ifstream(kGolden / "gpt2" / "tokenizer.json"));
    file["post_processor"] = post_processor;
    write_file(directory_ / "tokenizer.json", file.dump());
    write_file(directory_ / "tokenizer_config.json", settings.dump());
  }

  std::unique_ptr<Tokenizer> load() const { return load_tokenizer(directory_.path()); }

  void expect_refused(const std::string& what) const {
    expect_error(ErrorKind::kUnsupported, what, [&] { load(); });
  }

  TemporaryDirectory directory_;
};

Ids encode_prompt(const Tokenizer& tokenizer, const std::string& text) {
  const SpecialTokens& special = tokenizer.special_tokens();
  Ids ids;
  if (special.add_bos) ids.push_back(special.bos.value());
  for (const TokenId id : tokenizer.encode(text)) ids.push_back(id);
  if (special.add_eos) ids.push_back(special.eos.value());
  return ids;
}

json leading(const std::vector<std::string>& names) {
  json single = json::array();
  json tokens = json::object();
  const std::map<std::string, int> ids = {
      {"<|endoftext|>", 0}, {"<|im_start|>", 1}, {"<|im_end|>", 2}};
  for (const std::string& name : names) {
    single.push_back({{"SpecialToken", {{"id", name}, {"type_id", 0}}}});
    tokens[name] = {{"id", name}, {"ids", {ids.at(name)}}, {"tokens", {name}}};
  }
  single.push_back({{"Sequence", {{"id", "A"}, {"type_id", 0}}}});
  return {{"type", "TemplateProcessing"}, {"single", single}, {"special_tokens", tokens}};
}

TEST_F(PostProcessor, EqualsTheReferenceOrIsRefused) {
  int obeyed = 0;
  for (const json& row : read_golden<json>("post_processors.jsonl")) {
    write(row.at("post_processor"));
    try {
      const auto tokenizer = load();
      EXPECT_EQ(encode_prompt(*tokenizer, row.at("text")), row.at("ids").get<Ids>()) << row;
      ++obeyed;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kUnsupported) << row;
      EXPECT_NE(std::string(error.what()).find("post_processor"), std::string::npos)
          << error.what();
    }
  }
  EXPECT_EQ(obeyed, 8);
}

TEST_F(PostProcessor, SeveralTokensAreRefused) {
  write(leading({"<|endoftext|>", "<|im_start|>"}));
  expect_refused("2 tokens before a text");
}

TEST_F(PostProcessor, AnUnknownKindIsRefusedByName) {
  write({{"type", "Surround"}});
  expect_refused("Surround");
  write({{"type", "Sequence"}, {"processors", {leading({}), leading({"<|im_start|>"})}}});
  expect_refused("several steps");
  json pair = leading({});
  pair["single"][0]["Sequence"]["id"] = "B";
  write(pair);
  expect_refused("TemplateProcessing");
}

TEST_F(PostProcessor, ATokenThatIsNotBosIsRefusedUnlessTheSettingsDecide) {
  write(leading({"<|im_start|>"}), {{"bos_token", "<|endoftext|>"}});
  expect_refused("<|im_start|>");
  write(leading({"<|im_start|>"}), {{"bos_token", "<|im_start|>"}});
  EXPECT_EQ(load()->special_tokens().bos, 1);
  write(leading({"<|im_start|>"}), {{"bos_token", "<|endoftext|>"}, {"add_bos_token", true}});
  EXPECT_EQ(load()->special_tokens().bos, 0);
}

TEST_F(PostProcessor, RefusesDamage) {
  json unknown = leading({"<|im_start|>"});
  unknown["special_tokens"]["<|im_start|>"]["ids"] = {7000};
  json nameless = leading({"<|im_start|>"});
  nameless["special_tokens"] = json::object();
  for (const json& damaged : {unknown,
                              nameless,
                              json{{"type", "TemplateProcessing"}},
                              json{{"type", "RobertaProcessing"}, {"cls", {"<s>"}}, {"sep", 1}}}) {
    write(damaged);
    expect_error(ErrorKind::kBadWeights, "tokenizer.json", [&] { load(); });
  }
}

}  // namespace
}  // namespace precis
