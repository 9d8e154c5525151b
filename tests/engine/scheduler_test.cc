// SPDX-License-Identifier: Apache-2.0
// Requests that join and leave between steps, with a clock that the tests set. Whatever is beside
// it, each request is answered as it would be alone.
#include "engine/scheduler.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <random>
#include <utility>
#include <vector>

#include "engine/prefill.h"
#include "memory/memory_contents.h"
#include "support/scheduler_test.h"

namespace precis {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

TEST_F(SchedulerTest, APromptIsReadInPartsWhileOthersDecode) {
  Scheduler scheduler(stages(), decoding(), serving());
  int64_t tokens = 0;
  const Record first = add_decoding(scheduler, 20, counting(tokens));
  const Record second = add(scheduler, prompt_of(200, 2), answer_of(4));
  for (int64_t step = 1; step <= 3; ++step) {
    scheduler.step();
    EXPECT_EQ(second->state(), RequestState::kReading);
    EXPECT_EQ(tokens, 1 + step);
  }
  scheduler.step();
  EXPECT_EQ(second->state(), RequestState::kDecoding);
  run(scheduler);
  expect_as_alone(first, prompt_of(5, 1), answer_of(20));
  expect_as_alone(second, prompt_of(200, 2), answer_of(4));
}

TEST_F(SchedulerTest, APromptIsReadWholeWhileNobodyDecodes) {
  Scheduler scheduler(stages(), decoding(), serving());
  const Record record = add(scheduler, prompt_of(300, 1), answer_of(3));
  scheduler.step();
  EXPECT_EQ(record->state(), RequestState::kDecoding);
}

// At 1 ms a token, 50 tokens fit.
TEST_F(SchedulerTest, APassOverPromptsTakesTheBudgetAtTheMeasuredSpeed) {
  std::vector<int64_t> sizes;
  decoder.on_pass = [&](int64_t num_tokens) {
    now += num_tokens * milliseconds(1);
    if (num_tokens > 1) sizes.push_back(num_tokens);
  };
  SchedulerSettings settings = serving();
  settings.prompt_budget = microseconds(50500);
  Scheduler scheduler(stages(), decoding(), settings);
  add_decoding(scheduler, 20);
  add(scheduler, prompt_of(250, 2), answer_of(4));
  for (int step = 0; step < 5; ++step) scheduler.step();
  EXPECT_EQ(sizes, (std::vector<int64_t>{5, 50, 50, 50, 50, 50}));
}

TEST_F(SchedulerTest, PromptsWithFewerTokensLeftAreReadFirst) {
  Scheduler scheduler(stages(), decoding(), serving());
  add_decoding(scheduler, 20);
  const Record longer = add(scheduler, prompt_of(200, 2), answer_of(4));
  const Record shorter = add(scheduler, prompt_of(10, 3), answer_of(4));
  scheduler.step();
  EXPECT_EQ(longer->state(), RequestState::kReading);
  EXPECT_EQ(shorter->state(), RequestState::kDecoding);
}

TEST_F(SchedulerTest, PromptsOfAHigherPriorityAreReadFirst) {
  Scheduler scheduler(stages(), decoding(), serving());
  add_decoding(scheduler, 20);
  SubmitOptions urgent;
  urgent.priority = 1;
  const Record longer = add(scheduler, prompt_of(120, 2), answer_of(4), urgent);
  const Record shorter = add(scheduler, prompt_of(10, 3), answer_of(4));
  scheduler.step();
  EXPECT_EQ(shorter->state(), RequestState::kReading);
  scheduler.step();
  EXPECT_EQ(longer->state(), RequestState::kDecoding);
}

// Each step reads 16 tokens, which is what arrives in each step.
TEST_F(SchedulerTest, ALongPromptIsReadThoughShortOnesKeepArriving) {
  SchedulerSettings settings = serving();
  settings.prompt_budget = microseconds(1);
  settings.now = [this] { return now += milliseconds(1); };
  Scheduler scheduler(stages(), decoding(), settings);
  add_decoding(scheduler, 100);
  const Record record = add(scheduler, prompt_of(160, 2), answer_of(4));
  for (int64_t step = 0; step < 50; ++step) {
    add(scheduler, prompt_of(16, 3 + step), answer_of(1));
    scheduler.step();
  }
  EXPECT_NE(record->state(), RequestState::kQueued);
  EXPECT_NE(record->state(), RequestState::kReading);
}

TEST_F(SchedulerTest, AnyInterleavingGivesTheIdsOfEachRequestAlone) {
  constexpr int kRequests = 10;
  std::vector<std::pair<Prompt, GenerationOptions>> requests;
  std::vector<std::vector<TokenId>> expected;
  for (int i = 0; i < kRequests; ++i) {
    GenerationOptions options;
    options.max_tokens = 1 + i * 7 % 16;
    if (i % 3 == 1) {
      options.temperature = 1.2;
      options.seed = i;
    }
    if (i == 4) options.repetition_penalty = 1.5;
    requests.emplace_back(
        i % 4 == 3 ? about(i % 8 == 3 ? kRiver : kTown) : prompt_of(1 + i * 53 % 150, i), options);
    expected.push_back(alone(requests.back().first, options).ids);
  }
  for (const uint64_t seed : {1, 2, 3, 4, 5, 6}) {
    std::mt19937_64 random(seed);
    const auto below = [&](uint64_t n) { return static_cast<int64_t>(random() % n); };
    SchedulerSettings settings = serving();
    settings.now = [&] { return now += microseconds(below(20000)); };
    settings.max_running = below(5);
    settings.max_blocks = below(2) * 12;
    Scheduler scheduler(stages(), decoding(), settings);
    std::vector<Record> records, dropped;
    while (records.size() < kRequests || !scheduler.is_idle()) {
      if (records.size() < kRequests && below(2) == 0) {
        const auto& [prompt, options] = requests[records.size()];
        records.push_back(add(scheduler, prompt, options));
      }
      if (records.size() < kRequests && below(4) == 0)
        dropped.push_back(add(scheduler, prompt_of(1 + below(100), below(50)), answer_of(40)));
      if (!dropped.empty() && (below(4) == 0 || records.size() == kRequests)) {
        dropped.back()->cancel();
        dropped.pop_back();
      }
      scheduler.step();
    }
    for (int i = 0; i < kRequests; ++i) {
      ASSERT_EQ(records[i]->state(), RequestState::kFinished) << seed << ' ' << i;
      EXPECT_EQ(records[i]->completion().ids, expected[i]) << seed << ' ' << i;
    }
    EXPECT_EQ(scheduler.blocks_in_use(), 0);
  }
}

TEST_F(SchedulerTest, TheSameSeedGivesTheSameAnswerBesideOthers) {
  GenerationOptions options = answer_of(16);
  options.temperature = 1.5;
  options.seed = 7;
  Scheduler scheduler(stages(), decoding(), serving());
  add_decoding(scheduler, 30);
  const Record first = add(scheduler, prompt_of(9, 4), options);
  scheduler.step();
  const Record second = add(scheduler, prompt_of(9, 4), options);
  run(scheduler);
  EXPECT_EQ(first->completion().ids, second->completion().ids);
  expect_as_alone(first, prompt_of(9, 4), options);
}

// The first takes 2 of 4 blocks. The second may need 3 and waits; the third, which would fit, does
// not overtake it.
TEST_F(SchedulerTest, ARequestWaitsUntilTheCacheHasRoom) {
  SchedulerSettings settings = serving();
  settings.max_blocks = 4;
  Scheduler scheduler(stages(), decoding(), settings);
  const Record first = add(scheduler, prompt_of(60, 1), answer_of(8));
  const Record second = add(scheduler, prompt_of(70, 2), answer_of(8));
  const Record third = add(scheduler, prompt_of(1, 3), answer_of(2));
  while (first->state() != RequestState::kFinished) {
    EXPECT_EQ(second->state(), RequestState::kQueued);
    EXPECT_EQ(third->state(), RequestState::kQueued);
    scheduler.step();
  }
  run(scheduler);
  expect_as_alone(first, prompt_of(60, 1), answer_of(8));
  expect_as_alone(second, prompt_of(70, 2), answer_of(8));
  expect_as_alone(third, prompt_of(1, 3), answer_of(2));
}

TEST_F(SchedulerTest, AHigherPriorityIsAdmittedFirst) {
  SchedulerSettings settings = serving();
  settings.max_running = 1;
  Scheduler scheduler(stages(), decoding(), settings);
  const Record first = add_decoding(scheduler, 3);
  SubmitOptions urgent;
  urgent.priority = 1;
  const Record second = add(scheduler, prompt_of(9, 2), answer_of(6));
  const Record third = add(scheduler, prompt_of(9, 3), answer_of(6), urgent);
  while (third->state() == RequestState::kQueued) {
    EXPECT_EQ(second->state(), RequestState::kQueued);
    scheduler.step();
  }
  EXPECT_EQ(first->state(), RequestState::kFinished);
  EXPECT_EQ(second->state(), RequestState::kQueued);
}

// Two full blocks and 2 tokens, which each reader has in a block of its own.
TEST_F(SchedulerTest, AMemoryThatSeveralRequestsReadIsHeldOnce) {
  std::vector<TokenId> text;
  for (TokenId id = 0; id < 130; ++id) text.push_back(5 + id);
  const Memory memory(std::make_shared<const MemoryContents>(
      MemoryContents{prefill({decoder.embed(at::tensor(text, at::kLong))}, decoder),
                     {"passthrough", decoder.fingerprint(), "", "", std::ssize(text)}}));
  const auto question = [&](int64_t seed) {
    Prompt prompt = prompt_of(5, seed);
    const auto ids = std::get<Prompt::Ids>(prompt.turns()[0].pieces[0]).ids;
    return Prompt().memory(memory).ids(ids);
  };
  Scheduler scheduler(stages(), decoding(), serving());
  std::vector<Record> records;
  for (int64_t seed = 0; seed < 4; ++seed) {
    records.push_back(add(scheduler, question(seed), answer_of(8)));
    scheduler.step();
    EXPECT_EQ(scheduler.blocks_in_use(), 3 + seed + 1);
  }
  run(scheduler);
  for (int64_t seed = 0; seed < 4; ++seed)
    expect_as_alone(records[seed], question(seed), answer_of(8));
  EXPECT_EQ(scheduler.blocks_in_use(), 0);
}

}  // namespace
}  // namespace precis
