// SPDX-License-Identifier: Apache-2.0
#include "train/token_dataset.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "precis/extend/load_tokenizer.h"
#include "support/expect_error.h"
#include "support/temporary_directory.h"

namespace precis {
namespace {

const std::filesystem::path kModel =
    std::filesystem::path(PRECIS_TEST_GOLDEN_DIR) / "models" / "llama";

class Dataset : public testing::Test {
 protected:
  Dataset() {
    write({{{"text", "the first one"}, {"source", "somewhere"}},
           {{"context", "boats on a river"}, {"prompt", "what is there?"}, {"answer", "boats"}},
           {{"text", "a"}}});
  }

  void write(const std::vector<nlohmann::json>& lines) const {
    std::ofstream out(data);
    for (const nlohmann::json& line : lines) out << line.dump() << "\n";
  }

  std::string said(std::span<const int32_t> ids) const {
    return tokenizer->decode(std::vector<TokenId>(ids.begin(), ids.end()));
  }

  TokenDataset read_cached() const { return TokenDataset::read(data, *tokenizer, cache); }

  TemporaryDirectory directory;
  std::filesystem::path data = directory / "data.jsonl", cache = directory / "cache.safetensors";
  std::unique_ptr<Tokenizer> tokenizer = load_tokenizer(kModel);
};

TEST_F(Dataset, HoldsTextsAndQuestions) {
  const TokenDataset dataset = TokenDataset::read(data, *tokenizer);
  ASSERT_EQ(dataset.num_records(), 3);
  EXPECT_EQ(said(dataset.record(0).text), "the first one");
  EXPECT_TRUE(dataset.record(0).answer.empty());
  EXPECT_EQ(said(dataset.record(1).text), "boats on a river");
  EXPECT_EQ(said(dataset.record(1).prompt), "what is there?");
  EXPECT_EQ(said(dataset.record(1).answer), "boats");
  EXPECT_EQ(said(dataset.record(2).text), "a");
  expect_error(ErrorKind::kInvalidArgument, "no record 3", [&] { dataset.record(3); });
}

TEST_F(Dataset, ACacheHoldsTheSame) {
  const TokenDataset held = TokenDataset::read(data, *tokenizer);
  EXPECT_EQ(read_cached().fingerprint(), held.fingerprint());
  EXPECT_EQ(read_cached().fingerprint(), held.fingerprint());
  EXPECT_EQ(said(read_cached().record(1).answer), "boats");
}

// The second read takes the ids from the cache, which was changed.
TEST_F(Dataset, ACacheSavesTokenizing) {
  const TokenDataset first = read_cached();
  const auto written = std::filesystem::last_write_time(cache);
  bool tokenized = false;
  TokenDataset::read(data, *tokenizer, cache, [&](double) { tokenized = true; });
  EXPECT_FALSE(tokenized);
  EXPECT_EQ(std::filesystem::last_write_time(cache), written);
}

TEST_F(Dataset, ACacheOfOtherDataOrAnotherTokenizerIsReplaced) {
  read_cached();
  write({{{"text", "another"}}});
  EXPECT_EQ(said(read_cached().record(0).text), "another");
  tokenizer =
      load_tokenizer(std::filesystem::path(PRECIS_TEST_GOLDEN_DIR) / "models" / "gemma3_text.gguf");
  EXPECT_EQ(said(read_cached().record(0).text), "another");
}

TEST_F(Dataset, AFileThatIsNoCacheIsKept) {
  std::filesystem::copy(kModel / "model.safetensors", cache);
  expect_error(ErrorKind::kInvalidArgument, "not a cache of training data", [&] { read_cached(); });
  EXPECT_TRUE(std::filesystem::exists(cache));
}

TEST_F(Dataset, ADamagedCacheIsNamed) {
  read_cached();
  const SafetensorsFile file = SafetensorsFile::open(cache);
  const std::vector<int64_t> ends{5, 3, 99};
  const std::vector<int32_t> ids{1, 2, 3};
  const std::vector<StoredTensor> tensors{{"ends", "I64", {3}, std::as_bytes(std::span(ends))},
                                          {"ids", "I32", {3}, std::as_bytes(std::span(ids))}};
  write_safetensors(cache, tensors, file.metadata());
  expect_error(ErrorKind::kBadWeights, "out of range", [&] { read_cached(); });
}

TEST_F(Dataset, NamesTheLineWithoutAText) {
  write({{{"text", "a"}}, {{"context", "b"}, {"answer", "c"}}});
  expect_error(
      ErrorKind::kInvalidArgument, "line 2", [&] { TokenDataset::read(data, *tokenizer); });
}

TEST_F(Dataset, NamesTheEmptyString) {
  const auto refuse = [&](const nlohmann::json& line, const char* part) {
    write({{{"text", "a"}}, line});
    expect_error(ErrorKind::kInvalidArgument, part, [&] { TokenDataset::read(data, *tokenizer); });
  };
  refuse({{"text", ""}}, "line 2: \"text\" is empty");
  refuse({{"context", ""}, {"prompt", "b"}, {"answer", "c"}}, "line 2: \"context\" is empty");
  refuse({{"context", "a"}, {"prompt", ""}, {"answer", "c"}}, "line 2: \"prompt\" is empty");
  refuse({{"context", "a"}, {"prompt", "b"}, {"answer", ""}}, "line 2: \"answer\" is empty");
}

}  // namespace
}  // namespace precis
