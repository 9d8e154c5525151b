// SPDX-License-Identifier: Apache-2.0
// The trained compressors in examples/compressors: the memory of a text helps to predict its
// continuation, and the memory of another text does not.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "io/json_file.h"
#include "precis/engine.h"
#include "precis/extend/tokenizer.h"

namespace precis {
namespace {

namespace fs = std::filesystem;

const fs::path kExamples = PRECIS_TEST_EXAMPLES_DIR;
constexpr int64_t kOlder = 128, kScored = 64;  // tokens
constexpr int64_t kPassages = 8;

std::vector<std::string> shipped() {
  std::vector<std::string> names;
  std::error_code ignored;
  for (const auto& entry :
       fs::directory_iterator(kExamples / "compressors/smollm2-135m-instruct", ignored)) {
    if (entry.is_directory()) names.push_back(entry.path().filename().string());
  }
  std::ranges::sort(names);
  return names;
}

class ShippedCompressor : public testing::TestWithParam<std::string> {
 protected:
  ShippedCompressor() {
    EngineOptions options;
    options.model = fs::path(PRECIS_TEST_MODEL_DIR) / "smollm2-135m-instruct.gguf";
    options.compressor = kExamples / "compressors/smollm2-135m-instruct" / GetParam();
    options.dtype = Dtype::kFloat32;
    engine.emplace(Engine::load(options));
    ids = engine->tokenizer().encode(
        read_file(kExamples / "documents" / "harrow_bay_lighthouse.txt"));
  }

  // The beginning or the end of a passage.
  std::span<const TokenId> older(int64_t passage) const {
    return std::span(ids).subspan(passage * (kOlder + kScored), kOlder);
  }
  std::span<const TokenId> scored(int64_t passage) const {
    return std::span(ids).subspan(passage * (kOlder + kScored) + kOlder, kScored);
  }

  std::optional<Engine> engine;
  std::vector<TokenId> ids;
};

TEST_P(ShippedCompressor, MemoriesHelpToContinueTheirOwnText) {
  ASSERT_GE(std::ssize(ids), kPassages * (kOlder + kScored));
  std::vector<Memory> memories;
  for (int64_t i = 0; i < kPassages; ++i) memories.push_back(engine->compress_ids(older(i), {}));
  double nothing = 0, own = 0, other = 0;
  for (int64_t i = 0; i < kPassages; ++i) {
    // The first token is never scored, so that all three score the same tokens.
    const std::vector<TokenId> first(scored(i).begin(), scored(i).begin() + 1);
    const auto rest = scored(i).subspan(1);
    nothing += engine->score_ids(Prompt().ids(first), rest).mean();
    own += engine->score_ids(Prompt().memory(memories[i]).ids(first), rest).mean();
    const Memory& another = memories[(i + 1) % kPassages];
    other += engine->score_ids(Prompt().memory(another).ids(first), rest).mean();
  }
  EXPECT_LT(own, nothing - 0.05 * kPassages);  // nats
  EXPECT_LT(own, other - 0.02 * kPassages);    // of the same document
}

class ShippedFiles : public testing::TestWithParam<std::string> {};

TEST_P(ShippedFiles, HaveACardAndARecipe) {
  const fs::path directory = kExamples / "compressors/smollm2-135m-instruct" / GetParam();
  EXPECT_TRUE(fs::exists(directory / "README.md"));
  const nlohmann::json recipe = read_json(directory / "recipe.json");
  const nlohmann::json first = recipe.contains("stages") ? recipe["stages"].at(0) : recipe;
  EXPECT_TRUE(first.contains("method"));
  EXPECT_TRUE(first.contains("steps"));
}

const auto kName = [](const auto& test) { return test.param; };
INSTANTIATE_TEST_SUITE_P(Examples, ShippedCompressor, testing::ValuesIn(shipped()), kName);
INSTANTIATE_TEST_SUITE_P(Examples, ShippedFiles, testing::ValuesIn(shipped()), kName);

}  // namespace
}  // namespace precis
