// SPDX-License-Identifier: Apache-2.0
#include "train/example_sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "precis/extend/load_tokenizer.h"
#include "support/expect_error.h"
#include "support/temporary_directory.h"

namespace precis {
namespace {

class Examples : public testing::Test {
 protected:
  Examples() {
    std::ofstream out(directory / "data.jsonl");
    for (int i = 0; i < 6; ++i) {
      std::string text;
      for (int word = 0; word < 40 + 10 * i; ++word) text += " " + std::to_string(word % 10);
      out << nlohmann::json{{"text", text}}.dump() << "\n";
    }
    out << nlohmann::json{{"context", "a boat"}, {"prompt", "what?"}, {"answer", "boat"}}.dump()
        << "\n"
        << std::flush;
    dataset = TokenDataset::read(
        directory / "data.jsonl",
        *load_tokenizer(std::filesystem::path(PRECIS_TEST_GOLDEN_DIR) / "models" / "llama"));
  }

  static ExampleOptions options(ObjectiveWeights objectives = {}) {
    ExampleOptions all;
    all.lengths = {.min_older = 8, .max_older = 20, .target = 6, .min_kept = 2, .max_kept = 5};
    all.objectives = objectives;
    all.end_id = 2;
    return all;
  }

  TemporaryDirectory directory;
  std::optional<TokenDataset> dataset;
};

// Older, kept and target tokens are what the text has there, one after the other.
TEST_F(Examples, OlderKeptAndTargetFollowEachOther) {
  const ExampleSampler sampler(*dataset, options());
  const auto contains = [&](const std::vector<TokenId>& ids) {
    for (int64_t i = 0; i < dataset->num_records(); ++i) {
      const auto text = dataset->record(i).text;
      if (std::search(text.begin(), text.end(), ids.begin(), ids.end()) != text.end()) return true;
    }
    return false;
  };
  std::set<size_t> kept;
  for (uint64_t i = 0; i < 200; ++i) {
    const StepLengths drawn = sampler.lengths(static_cast<int64_t>(i) + 1);
    EXPECT_GE(drawn.older, 8);
    EXPECT_LE(drawn.older, 20);
    const TrainingExample example = sampler.draw(i, {12, drawn.kept});
    EXPECT_EQ(std::ssize(example.prompt), drawn.kept);
    EXPECT_EQ(example.segment.tokens.size(), 12);
    EXPECT_EQ(example.targets.size(), 6);
    kept.insert(example.prompt.size());
    std::vector<TokenId> all = example.segment.tokens;
    all.insert(all.end(), example.prompt.begin(), example.prompt.end());
    all.insert(all.end(), example.targets.begin(), example.targets.end());
    EXPECT_TRUE(contains(all)) << i;
  }
  EXPECT_EQ(kept, (std::set<size_t>{2, 3, 4, 5}));
}

TEST_F(Examples, TheSameIndexGivesTheSameExample) {
  const ExampleSampler one(*dataset, options()), other(*dataset, options());
  for (uint64_t i = 50; i-- > 0;) {
    EXPECT_EQ(one.draw(i, {10}).segment.tokens, other.draw(i, {10}).segment.tokens);
  }
}

TEST_F(Examples, ObjectivesAreDrawnByWeight) {
  const ExampleSampler sampler(
      *dataset, options({.autoencode = 1, .continuation = 2, .instruct = 3, .distil = 4}));
  constexpr int kDraws = 5000;
  double autoencode = 0, continuation = 0, instruct = 0, distil = 0;
  for (uint64_t i = 0; i < kDraws; ++i) {
    const TrainingExample example = sampler.draw(i, {10});
    autoencode += example.use == MemoryUse::kAutoencode;
    instruct += example.use == MemoryUse::kInstruct;
    distil += example.distils;
    continuation += example.use == MemoryUse::kContinue && !example.distils;
  }
  EXPECT_NEAR(autoencode / kDraws, 0.1, 0.03);
  EXPECT_NEAR(continuation / kDraws, 0.2, 0.03);
  EXPECT_NEAR(instruct / kDraws, 0.3, 0.03);
  EXPECT_NEAR(distil / kDraws, 0.4, 0.03);
}

TEST_F(Examples, OlderTextsGrow) {
  ExampleOptions growing = options();
  growing.lengths.grow_steps = 100;
  const ExampleSampler sampler(*dataset, growing);
  int64_t early = 0, late = 0;
  for (int64_t step = 1; step <= 10; ++step) early = std::max(early, sampler.lengths(step).older);
  for (int64_t step = 100; step <= 200; ++step) late = std::max(late, sampler.lengths(step).older);
  EXPECT_LE(early, 10);
  EXPECT_EQ(late, 20);
}

TEST_F(Examples, AutoencodedTextsAndAnswersEndWithTheEndId) {
  const ExampleSampler again(*dataset, options({.autoencode = 1, .continuation = 0}));
  const TrainingExample said = again.draw(3, {10});
  EXPECT_EQ(said.targets.back(), 2);
  EXPECT_EQ(said.targets.size(), said.segment.tokens.size() + 1);
  const ExampleSampler asked(*dataset, options({.continuation = 0, .instruct = 1}));
  const TrainingExample answer = asked.draw(3, {10});
  EXPECT_EQ(answer.use, MemoryUse::kInstruct);
  EXPECT_EQ(answer.targets.back(), 2);
  EXPECT_FALSE(answer.prompt.empty());
}

TEST_F(Examples, RefusesOptionsOutOfRange) {
  const auto refuse = [&](const char* what, auto change) {
    ExampleOptions bad = options();
    change(bad);
    expect_error(ErrorKind::kInvalidArgument, what, [&] { ExampleSampler(*dataset, bad); });
  };
  refuse("are out of range", [](ExampleOptions& o) { o.lengths.min_kept = 6; });
  refuse("are out of range", [](ExampleOptions& o) { o.lengths.target = 0; });
  refuse("no text has", [](ExampleOptions& o) { o.lengths.target = 5000; });
  refuse("no objective", [](ExampleOptions& o) { o.objectives.continuation = 0; });
  refuse("weight of", [](ExampleOptions& o) { o.objectives.distil = -1; });
  refuse("no record has an answer", [](ExampleOptions& o) {
    o.objectives.instruct = 1;
    o.lengths = {.min_older = 1, .max_older = 1, .target = 6};
  });
}

}  // namespace
}  // namespace precis
