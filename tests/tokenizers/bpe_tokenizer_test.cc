// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "golden_texts.h"
#include "precis/extend/load_tokenizer.h"
#include "support/expect_error.h"
#include "support/temporary_directory.h"

namespace precis {
namespace {

using nlohmann::json;
using testing::ElementsAre;

json golden_file(const std::string& name) {
  return json::parse(std::ifstream(kGolden / name / "tokenizer.json"));
}

std::unique_ptr<Tokenizer> load(const json& file) {
  const TemporaryDirectory directory;
  write_file(directory / "tokenizer.json", file.dump());
  return load_tokenizer(directory.path());
}

void expect_refused(ErrorKind kind, const std::string& part, const json& file) {
  expect_error(kind, part, [&] { load(file); });
}

// A tokenizer.json with the letters of "hello" and a few merges, without other byte tokens.
json tiny_file() {
  return json::parse(R"({
    "added_tokens": [{"id": 8, "content": "<end>", "special": true},
                     {"id": 9, "content": "<tool>", "special": false}],
    "normalizer": null,
    "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "use_regex": true},
    "decoder": {"type": "ByteLevel"},
    "model": {"type": "BPE",
              "vocab": {"h": 0, "e": 1, "l": 2, "o": 3, "\u0120": 4, "ll": 5, "he": 6, "llo": 7},
              "merges": [["l", "l"], ["h", "e"], ["ll", "o"]]}
  })");
}

class GoldenBpe : public testing::TestWithParam<const char*> {
 protected:
  std::string name() const { return GetParam(); }
  std::unique_ptr<Tokenizer> tokenizer_ = load_tokenizer(kGolden / GetParam());
};

TEST_P(GoldenBpe, EncodesPlainTextAsTheReference) {
  expect_plain_ids(*tokenizer_, name() + ".ids.jsonl");
}

TEST_P(GoldenBpe, EncodesTrustedTextAsTheReference) {
  expect_golden_ids(name() + ".trusted.jsonl",
                    [&](const std::string& text) { return encode_trusted(*tokenizer_, text); });
}

TEST_P(GoldenBpe, StreamsWhatItDecodes) {
  for (const auto& text : read_golden<std::string>("texts.jsonl")) {
    const Ids ids = tokenizer_->encode(text);
    const std::string decoded = tokenizer_->decode(ids, true);
    EXPECT_EQ(stream(*tokenizer_, ids), decoded);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Bpe,
    GoldenBpe,
    testing::Values("falcon", "gpt2", "smollm", "llama3", "qwen2", "llama2", "metaspace"),
    [](const auto& test) { return std::string(test.param); });

TEST(Bpe, DecodingReturnsTheText) {
  const auto tokenizer = load_tokenizer(kGolden / "gpt2");
  for (const auto& text : read_golden<std::string>("texts.jsonl")) {
    EXPECT_EQ(tokenizer->decode(tokenizer->encode(text)), text);
  }
}

TEST(Bpe, MergesTheLowestRankFirst) {
  const auto tokenizer = load(tiny_file());
  EXPECT_THAT(tokenizer->encode("hello"), ElementsAre(6, 7));
  EXPECT_THAT(tokenizer->encode("lllo"), ElementsAre(5, 2, 3));
  EXPECT_THAT(tokenizer->encode(" hell"), ElementsAre(4, 6, 5));
}

TEST(Bpe, WithoutAnUnknownTokenDropsUnknownCharacters) {
  EXPECT_THAT(load(tiny_file())->encode("lxlo"), ElementsAre(7));
  json file = tiny_file();
  file["model"]["unk_token"] = "o";
  EXPECT_THAT(load(file)->encode("lxlo"), ElementsAre(2, 3, 2, 3));
}

TEST(Bpe, IgnoresMergesOnlyWhereTheFileSaysSo) {
  json file = tiny_file();
  file["model"]["merges"].erase(2);
  EXPECT_THAT(load(file)->encode("llo"), ElementsAre(5, 3));
  file["model"]["ignore_merges"] = true;
  EXPECT_THAT(load(file)->encode("llo"), ElementsAre(7));
}

TEST(Bpe, RecognisesAddedTokensInTrustedRunsOnly) {
  const auto tokenizer = load(tiny_file());
  EXPECT_THAT(tokenizer->encode("<end>he"), ElementsAre(1, 6));
  EXPECT_THAT(encode_trusted(*tokenizer, "he<end><tool>he"), ElementsAre(6, 8, 9, 6));
  const std::vector<TextRun> user = {{"he", true}, {"<end>", false}, {"<end>", true}};
  EXPECT_THAT(tokenizer->encode_runs(user), ElementsAre(6, 1, 8));
}

TEST(Bpe, WordsMayCrossRunsButAddedTokensMayNot) {
  const auto tokenizer = load(tiny_file());
  const std::vector<TextRun> word = {{"h", true}, {"el", false}, {"lo", true}};
  EXPECT_EQ(tokenizer->encode_runs(word), tokenizer->encode("hello"));
  const std::vector<TextRun> halves = {{"<en", true}, {"d>", true}};
  EXPECT_THAT(tokenizer->encode_runs(halves), ElementsAre(1));
}

TEST(Bpe, StripsSpacesAroundAddedTokensInsideTheirRunOnly) {
  json file = tiny_file();
  file["added_tokens"][0]["lstrip"] = true;
  file["added_tokens"][0]["rstrip"] = true;
  const auto tokenizer = load(file);
  EXPECT_THAT(encode_trusted(*tokenizer, "h  <end> \n h"), ElementsAre(0, 8, 0));
  const std::vector<TextRun> runs = {{" ", false}, {" <end> ", true}, {" ", false}};
  EXPECT_THAT(tokenizer->encode_runs(runs), ElementsAre(4, 8, 4));
}

TEST(Bpe, SingleWordTokensDoNotMatchInsideWords) {
  json file = tiny_file();
  file["added_tokens"][1] = {{"id", 9}, {"content", "hell"}, {"single_word", true}};
  const auto tokenizer = load(file);
  EXPECT_THAT(encode_trusted(*tokenizer, "hell hello"), ElementsAre(9, 4, 6, 7));
  const std::vector<TextRun> runs = {{"hell", true}, {"o", false}};
  EXPECT_THAT(tokenizer->encode_runs(runs), ElementsAre(6, 7));
}

TEST(Bpe, TheLongestAddedTokenWins) {
  json file = tiny_file();
  file["added_tokens"].push_back({{"id", 10}, {"content", "<end>>"}, {"special", true}});
  EXPECT_THAT(encode_trusted(*load(file), "<end>>><end>"), ElementsAre(10, 8));
}

TEST(Bpe, MergesNeverProduceASpecialToken) {
  json file = tiny_file();
  file["added_tokens"][0] = {{"id", 5}, {"content", "ll"}, {"special", true}};
  EXPECT_THAT(load(file)->encode("ll"), ElementsAre(2, 2));
}

TEST(Bpe, DecodesSpecialTokensByName) {
  const auto tokenizer = load(tiny_file());
  const Ids ids = {6, 8, 4, 9};
  EXPECT_EQ(tokenizer->decode(ids), "he<end> <tool>");
  EXPECT_EQ(tokenizer->decode(ids, true), "he <tool>");
  EXPECT_EQ(tokenizer->token_bytes(4), " ");
  EXPECT_EQ(tokenizer->find("\u0120"), 4);
  EXPECT_TRUE(tokenizer->is_special(8));
  EXPECT_FALSE(tokenizer->is_special(9));
  EXPECT_EQ(tokenizer->vocab_size(), 10);
}

TEST(Bpe, RefusesInvalidUtf8AndIdsOutOfRange) {
  const auto tokenizer = load(tiny_file());
  expect_error(ErrorKind::kInvalidArgument, "not valid UTF-8 at byte 2", [&] {
    tokenizer->encode("he\xC3(");
  });
  const std::vector<TextRun> broken = {{"h", true}, {"\x80", false}};
  expect_error(ErrorKind::kInvalidArgument, "at byte 1", [&] { tokenizer->encode_runs(broken); });
  for (const TokenId id : {TokenId{-1}, TokenId{10}}) {
    expect_error(ErrorKind::kInvalidArgument, "out of range", [&] { tokenizer->decode({&id, 1}); });
    expect_error(ErrorKind::kInvalidArgument, "out of range", [&] { tokenizer->token_bytes(id); });
  }
}

TEST(Bpe, ACharacterMayBeSplitBetweenRuns) {
  const auto tokenizer = load_tokenizer(kGolden / "gpt2");
  const std::vector<TextRun> runs = {{"caf\xC3", true}, {"\xA9", false}};
  EXPECT_EQ(tokenizer->encode_runs(runs), tokenizer->encode("café"));
}

TEST(Bpe, TakesLongWordsInNearlyLinearTime) {
  const auto tokenizer = load_tokenizer(kGolden / "gpt2");
  const std::string word(1'000'000, 'a');
  EXPECT_EQ(tokenizer->decode(tokenizer->encode(word)), word);
}

TEST(Bpe, EncodesFromSeveralThreads) {
  const auto tokenizer = load_tokenizer(kGolden / "qwen2");
  const auto texts = read_golden<std::string>("texts.jsonl");
  const auto expected = read_golden<Ids>("qwen2.ids.jsonl");
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&] {
      for (size_t i = 0; i < 100; ++i) EXPECT_EQ(tokenizer->encode(texts[i]), expected[i]);
    });
  }
  for (auto& thread : threads) thread.join();
}

TEST(TokenizerJson, NamesUnsupportedSteps) {
  json file = tiny_file();
  file["model"]["type"] = "WordPiece";
  expect_refused(ErrorKind::kUnsupported, "WordPiece", file);
  file["model"]["type"] = "Unigram";
  expect_refused(ErrorKind::kUnsupported, "Unigram", file);
  file = tiny_file();
  file["normalizer"] = {{"type", "Lowercase"}};
  expect_refused(ErrorKind::kUnsupported, "Lowercase", file);
  file = tiny_file();
  file["pre_tokenizer"] = {
      {"type", "Split"}, {"pattern", {{"Regex", "(?<word>a)"}}}, {"behavior", "Isolated"}};
  expect_refused(ErrorKind::kUnsupported, "(?<word>a)", file);
  file["pre_tokenizer"]["pattern"]["Regex"] = "[a-z";
  expect_refused(ErrorKind::kBadWeights, "\"[a-z\" ends too early", file);
  file["pre_tokenizer"]["pattern"]["Regex"] = "[a-z]";
  file["pre_tokenizer"]["behavior"] = "Scattered";
  expect_refused(ErrorKind::kUnsupported, "Scattered", file);
  file = tiny_file();
  file["decoder"] = {{"type", "WordPiece"}};
  expect_refused(ErrorKind::kUnsupported, "WordPiece", file);
}

TEST(TokenizerJson, DropsTextThatASplitRemoves) {
  json file = tiny_file();
  file["pre_tokenizer"] = json::parse(R"({"type": "Sequence", "pretokenizers": [
    {"type": "Split", "pattern": {"Regex": "[x-z]+"}, "behavior": "Removed", "invert": false},
    {"type": "ByteLevel", "add_prefix_space": false, "use_regex": false}]})");
  EXPECT_THAT(load(file)->encode("hexllozy"), ElementsAre(6, 7));
}

TEST(TokenizerJson, LimitsTheGrowthByReplacements) {
  json file = tiny_file();
  const json twice = {{"type", "Replace"}, {"pattern", {{"Regex", "h"}}}, {"content", "hh"}};
  file["normalizer"] = {{"type", "Sequence"}, {"normalizers", json::array({twice, twice})}};
  EXPECT_THAT(load(file)->encode("h"), ElementsAre(0, 0, 0, 0));
  file["normalizer"]["normalizers"] = json(std::vector<json>(60, twice));
  const auto tokenizer = load(file);
  expect_error(
      ErrorKind::kUnsupported, "makes a text of more than", [&] { tokenizer->encode("h"); });
}

TEST(TokenizerJson, RefusesDamagedFiles) {
  json file = tiny_file();
  file["model"]["merges"].push_back(json::array({"h", "x"}));
  expect_refused(ErrorKind::kBadWeights, "unknown token", file);
  file = tiny_file();
  file["model"].erase("vocab");
  expect_refused(ErrorKind::kBadWeights, "vocab", file);
  for (const json& id : {json(-1), json(1e18), json(1ull << 40), json("0"), json(1)}) {
    file = tiny_file();
    file["model"]["vocab"]["h"] = id;
    expect_refused(ErrorKind::kBadWeights, "tokenizer.json", file);
  }
  file = tiny_file();
  file["added_tokens"][0]["id"] = 0;
  expect_refused(ErrorKind::kBadWeights, "<end>", file);
  file = tiny_file();
  file["model"]["merges"] = {{"h", 1}};
  expect_refused(ErrorKind::kBadWeights, "tokenizer.json", file);
}

TEST(TokenizerJson, SurvivesEveryMissingKey) {
  const json whole = golden_file("llama2");
  for (const char* key : {"model", "added_tokens", "normalizer", "pre_tokenizer", "decoder"}) {
    json file = whole;
    file[key] = json::array({json::object()});
    expect_error(ErrorKind::kBadWeights, "tokenizer.json", [&] { load(file); });
  }
}

}  // namespace
}  // namespace precis
