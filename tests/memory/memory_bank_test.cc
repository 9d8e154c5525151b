// SPDX-License-Identifier: Apache-2.0
#include "precis/memory_bank.h"

#include <gmock/gmock.h>

#include <cmath>
#include <functional>
#include <limits>
#include <thread>

#include "support/expect_error.h"
#include "support/make_memory.h"

namespace precis {
namespace {

using testing::ElementsAre;
using Names = std::vector<std::string>;

const Provenance kOtherModel{"selfcp", "another model", "the compressor", "the text", 57};

Names names_of(const std::vector<MemoryBank::Match>& matches) {
  Names names;
  for (const auto& match : matches) names.push_back(match.name);
  return names;
}

void refuse(const std::string& message, const std::function<void()>& work) {
  expect_error(ErrorKind::kInvalidArgument, message, work);
}

// With one slot, east is nearest to a query in the east; with the sums of two slots, north is.
MemoryBank compass() {
  MemoryBank bank;
  bank.add("east", soft_memory({{3, 0}, {-9, 0}, {1, 0}}));
  bank.add("north", soft_memory({{1, 5}, {1, 5}}));
  bank.add("west", soft_memory({{-2, 0}}));
  return bank;
}

// Adding and removing

TEST(MemoryBank, ReturnsWhatWasAdded) {
  const MemoryBank bank = compass();
  EXPECT_EQ(bank.size(), 3);
  EXPECT_THAT(bank.names(), ElementsAre("east", "north", "west"));
  EXPECT_EQ(bank.get("west").content_hash(), soft_memory({{-2, 0}}).content_hash());
  expect_error(ErrorKind::kNotFound, "\"south\"", [&] { bank.get("south"); });
}

TEST(MemoryBank, RemovesMemories) {
  MemoryBank bank = compass();
  bank.remove("east");
  EXPECT_THAT(bank.names(), ElementsAre("north", "west"));
  EXPECT_EQ(bank.get("west").num_tokens(), 1);
  expect_error(ErrorKind::kNotFound, "\"east\"", [&] { bank.get("east"); });
  expect_error(ErrorKind::kNotFound, "\"east\"", [&] { bank.remove("east"); });
  bank.add("east", soft_memory({{7, 7}}));
  EXPECT_THAT(bank.names(), ElementsAre("north", "west", "east"));
}

TEST(MemoryBank, RefusesInvalidNames) {
  MemoryBank bank = compass();
  const Memory memory = soft_memory({{1, 1}});
  refuse("the name is empty", [&] { bank.add("", memory); });
  refuse("named \"north\" already", [&] { bank.add("north", memory); });
  refuse("not valid UTF-8", [&] { bank.add("caf\xe9", memory); });
  EXPECT_EQ(bank.size(), 3);
}

TEST(MemoryBank, RefusesMemoriesOfAnotherModelOrSize) {
  MemoryBank bank = compass();
  refuse("cached", [&] { bank.add("new", cached_memory()); });
  refuse("model \"another model\", those inside for \"the model\"", [&] {
    bank.add("new", soft_memory({{1, 1}}, kOtherModel));
  });
  refuse("rows of 3, those inside of 2", [&] { bank.add("new", soft_memory({{1, 1, 1}})); });
  EXPECT_EQ(bank.size(), 3);
}

TEST(MemoryBank, TakesAnyModelWhenEmpty) {
  MemoryBank bank;
  bank.add("one", soft_memory({{1, 1}}));
  bank.nearest(soft_memory({{1, 1}}), 1);
  bank.remove("one");
  bank.add("one", soft_memory({{1, 2, 3}}, kOtherModel));
  EXPECT_EQ(bank.nearest(soft_memory({{1, 1, 1}}, kOtherModel), 1).at(0).score, 6);
}

TEST(MemoryBank, RefusesEmbeddingsWhoseScoresCouldBeNaN) {
  MemoryBank bank;
  refuse("more than float32 holds", [&] { bank.add("large", soft_memory({{2e38f}, {-2e38f}})); });
  const at::Tensor wide = at::full({1, 1}, 1e300, at::kDouble);
  refuse("more than float32 holds", [&] { bank.add("wide", make_memory(SoftTokens{wide})); });
  refuse("more than float32 holds", [&] { bank.add("nan", soft_memory({{NAN}})); });
  bank.add("just right", soft_memory({{8e37f}, {-8e37f}}));
  EXPECT_EQ(bank.nearest(soft_memory({{1e38f}}), 1, 2).at(0).score, 0);
}

// Searching

TEST(MemoryBank, ScoresFirstSlots) {
  const auto matches = compass().nearest(soft_memory({{2, 1}, {100, 100}}), 3);
  EXPECT_THAT(names_of(matches), ElementsAre("north", "east", "west"));
  EXPECT_EQ(matches[0].score, 7);
  EXPECT_EQ(matches[1].score, 6);
  EXPECT_EQ(matches[2].score, -4);
}

TEST(MemoryBank, ScoresSumsOfLeadingSlots) {
  const MemoryBank bank = compass();
  const Memory query = soft_memory({{1, 0}, {1, 0}, {1, 0}});
  EXPECT_THAT(names_of(bank.nearest(query, 3, 1)), ElementsAre("east", "north", "west"));
  const auto matches = bank.nearest(query, 3, 2);  // 2 * (1 + 1), 2 * -2, 2 * (3 - 9)
  EXPECT_THAT(names_of(matches), ElementsAre("north", "west", "east"));
  EXPECT_EQ(matches[0].score, 4);
  EXPECT_EQ(matches[1].score, -4);
  EXPECT_EQ(matches[2].score, -12);
}

TEST(MemoryBank, AShortMemoryIsSummedWhole) {
  const MemoryBank bank = compass();
  const auto three = bank.nearest(soft_memory({{1, 0}, {1, 0}, {1, 0}}), 3, 3);
  EXPECT_EQ(three[0].score, 6);    // north, with two memory tokens
  EXPECT_EQ(three[1].score, -6);   // west, with one
  EXPECT_EQ(three[2].score, -15);  // east, with three
  const auto short_query = bank.nearest(soft_memory({{1, 0}}), 3, 1000);
  EXPECT_EQ(short_query[0].score, 2);
  EXPECT_EQ(short_query[2].score, -5);
}

TEST(MemoryBank, ReturnsAtMostItsSize) {
  const MemoryBank bank = compass();
  const Memory query = soft_memory({{1, 0}});
  EXPECT_THAT(names_of(bank.nearest(query, 1)), ElementsAre("east"));
  EXPECT_THAT(names_of(bank.nearest(query, 2)), ElementsAre("east", "north"));
  EXPECT_EQ(bank.nearest(query, 1000).size(), 3u);
  EXPECT_EQ(bank.nearest(query, std::numeric_limits<int64_t>::max()).size(), 3u);
}

// Enough memories that a matrix product would sum some of them in another order than others.
TEST(MemoryBank, EqualScoresKeepTheOrderOfAdding) {
  at::manual_seed(1);
  const Memory same = make_memory(SoftTokens{at::randn({2, 577})});
  MemoryBank bank;
  Names added;
  for (int i = 0; i < 203; ++i) {
    added.push_back(std::to_string(i));
    bank.add(added.back(), same);
  }
  EXPECT_EQ(names_of(bank.nearest(make_memory(SoftTokens{at::randn({2, 577})}), 203)), added);
}

TEST(MemoryBank, ScoresAreThoseOfTheFormula) {
  at::manual_seed(2);
  for (const auto dtype : {at::kFloat, at::kBFloat16, at::kDouble}) {
    const at::Tensor memories = at::randn({9, 4, 131}).to(dtype), query = at::randn({4, 131});
    MemoryBank bank;
    for (int64_t i = 0; i < 9; ++i)
      bank.add(std::to_string(i), make_memory(SoftTokens{memories[i]}));
    const at::Tensor expected = memories.to(at::kDouble)
                                    .narrow(1, 0, 3)
                                    .sum(1)
                                    .mv(query.to(at::kDouble).narrow(0, 0, 3).sum(0));
    for (const auto& match : bank.nearest(make_memory(SoftTokens{query}), 9, 3))
      EXPECT_NEAR(match.score, expected[std::stoll(match.name)].item<double>(), 1e-4);
  }
}

TEST(MemoryBank, FindsMemoriesAddedAfterAQueryAndNoRemovedOnes) {
  MemoryBank bank = compass();
  const Memory query = soft_memory({{1, 0}, {0, 0}});
  for (const int64_t slots : {1, 2}) bank.nearest(query, 3, slots);
  bank.add("far east", soft_memory({{50, 0}, {50, 0}, {0, 0}, {0, 0}}));
  for (const int64_t slots : {1, 2, 4}) {
    EXPECT_EQ(bank.nearest(query, 1, slots).at(0).name, "far east");
    EXPECT_EQ(bank.nearest(query, 4, slots).size(), 4u);
  }
  bank.remove("east");
  EXPECT_THAT(names_of(bank.nearest(query, 4)), ElementsAre("far east", "north", "west"));
}

TEST(MemoryBank, AnswersManyThreadsAtOnce) {
  const MemoryBank bank = compass();
  const Memory query = soft_memory({{1, 0}, {1, 0}});
  std::vector<Names> found(8);
  std::vector<std::thread> threads;
  for (size_t i = 0; i < found.size(); ++i) {
    threads.emplace_back([&, i] {
      for (int64_t slots = 1; slots <= 3; ++slots)
        found[i].push_back(bank.nearest(query, 1, slots).at(0).name);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(found, testing::Each(ElementsAre("east", "north", "north")));
}

TEST(MemoryBank, RefusesImpossibleQueries) {
  const MemoryBank bank = compass();
  const Memory query = soft_memory({{1, 0}});
  refuse("count is 0", [&] { bank.nearest(query, 0); });
  refuse("slots is 0", [&] { bank.nearest(query, 1, 0); });
  refuse("nothing in it", [&] { MemoryBank().nearest(query, 1); });
  refuse("cached", [&] { bank.nearest(cached_memory(), 1); });
  refuse("\"another model\"", [&] { bank.nearest(soft_memory({{1, 0}}, kOtherModel), 1); });
  refuse("rows of 1", [&] { bank.nearest(soft_memory({{1}}), 1); });
  refuse("more than float32 holds", [&] { bank.nearest(soft_memory({{INFINITY, 0}}), 1); });
}

}  // namespace
}  // namespace precis
