// SPDX-License-Identifier: Apache-2.0
// Ways in which a request ends in a scheduler, and what its callbacks get until then.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <stdexcept>
#include <string>
#include <vector>

#include "engine/scheduler.h"
#include "support/expect_error.h"
#include "support/scheduler_test.h"

namespace precis {
namespace {

using std::chrono::milliseconds;

TEST_F(SchedulerTest, ARequestIsCancelledWhileItWaits) {
  SchedulerSettings settings = serving();
  settings.max_running = 1;
  Scheduler scheduler(stages(), decoding(), settings);
  const Record other = add_decoding(scheduler, 4);
  const Record record = add(scheduler, prompt_of(9, 2), answer_of(4));
  scheduler.step();
  EXPECT_EQ(record->state(), RequestState::kQueued);
  record->cancel();
  scheduler.step();
  EXPECT_EQ(record->state(), RequestState::kCancelled);
  EXPECT_EQ(record->completion().finish, Completion::Finish::kCancelled);
  run(scheduler);
  expect_as_alone(other, prompt_of(5, 1), answer_of(4));
}

TEST_F(SchedulerTest, ARequestIsCancelledWhileItIsRead) {
  Scheduler scheduler(stages(), decoding(), serving());
  const Record other = add_decoding(scheduler, 12);
  const Record record = add(scheduler, prompt_of(200, 2), answer_of(4));
  scheduler.step();
  scheduler.step();
  EXPECT_EQ(record->state(), RequestState::kReading);
  EXPECT_EQ(scheduler.blocks_in_use(), 1 + 2);  // 64 tokens each
  record->cancel();
  scheduler.step();
  EXPECT_EQ(record->state(), RequestState::kCancelled);
  EXPECT_TRUE(record->completion().ids.empty());
  EXPECT_EQ(scheduler.blocks_in_use(), 1);
  run(scheduler);
  expect_as_alone(other, prompt_of(5, 1), answer_of(12));
}

TEST_F(SchedulerTest, ARequestIsCancelledWhileItIsDecoded) {
  Scheduler scheduler(stages(), decoding(), serving());
  const Record record = add_decoding(scheduler, 40);
  const Record other = add(scheduler, prompt_of(9, 2), answer_of(6));
  scheduler.step();
  scheduler.step();
  record->cancel();
  scheduler.step();
  EXPECT_EQ(record->state(), RequestState::kCancelled);
  std::vector<TokenId> whole = alone(prompt_of(5, 1), answer_of(40)).ids;
  whole.resize(3);
  EXPECT_EQ(record->completion().ids, whole);
  run(scheduler);
  expect_as_alone(other, prompt_of(9, 2), answer_of(6));
  EXPECT_EQ(scheduler.blocks_in_use(), 0);
}

TEST_F(SchedulerTest, ARequestEndsAtItsDeadlineWithWhatItHas) {
  SchedulerSettings settings = serving();
  settings.max_running = 1;
  Scheduler scheduler(stages(), decoding(), settings);
  SubmitOptions submission;
  submission.deadline = now + milliseconds(10);
  const Record decoded = add_decoding(scheduler, 40, submission);
  const Record queued = add(scheduler, prompt_of(9, 2), answer_of(6), submission);
  now += milliseconds(9);
  scheduler.step();
  EXPECT_EQ(decoded->state(), RequestState::kDecoding);
  now += milliseconds(1);
  scheduler.step();
  for (const Record& record : {decoded, queued}) {
    EXPECT_EQ(record->state(), RequestState::kFinished);
    EXPECT_EQ(record->completion().finish, Completion::Finish::kDeadline);
  }
  EXPECT_EQ(decoded->completion().ids.size(), 2u);
  EXPECT_TRUE(queued->completion().ids.empty());
}

TEST_F(SchedulerTest, ACallbackCancels) {
  Scheduler scheduler(stages(), decoding(), serving());
  int64_t tokens = 0;
  SubmitOptions submission;
  submission.on_token = [&](const GeneratedToken&) { return ++tokens < 3; };
  const Record record = add(scheduler, prompt_of(9, 2), answer_of(12), submission);
  run(scheduler);
  EXPECT_EQ(record->state(), RequestState::kCancelled);
  EXPECT_EQ(record->completion().ids.size(), 3u);
}

TEST_F(SchedulerTest, CallbacksGetTokensInOrderAndThenTheEnd) {
  Scheduler scheduler(stages(), decoding(), serving());
  std::vector<TokenId> ids;
  std::string text;
  int ends = 0;
  SubmitOptions submission;
  submission.on_token = [&](const GeneratedToken& token) {
    EXPECT_EQ(ends, 0);
    if (token.id) ids.push_back(*token.id);
    text += token.text;
    return true;
  };
  submission.on_end = [&](const Completion& completion) {
    ++ends;
    EXPECT_EQ(completion.ids, ids);
    EXPECT_EQ(completion.text, text);
  };
  const Record record = add(scheduler, prompt_of(9, 2), answer_of(12), submission);
  run(scheduler);
  EXPECT_EQ(ends, 1);
  EXPECT_EQ(ids.size(), 12u);
  EXPECT_EQ(record->completion().text, text);
}

TEST_F(SchedulerTest, WhatACallbackThrowsEndsItsRequestAlone) {
  Scheduler scheduler(stages(), decoding(), serving());
  SubmitOptions throwing;
  throwing.on_token = [](const GeneratedToken&) -> bool { throw std::runtime_error("no paper"); };
  throwing.on_end = [](const Completion&) { throw std::runtime_error("no ink"); };
  const Record failed = add(scheduler, prompt_of(9, 2), answer_of(12), throwing);
  const Record other = add(scheduler, prompt_of(9, 3), answer_of(12));
  run(scheduler);
  EXPECT_EQ(failed->state(), RequestState::kFailed);
  expect_error(ErrorKind::kInternal, "no paper", [&] {
    std::rethrow_exception(failed->completion().error);
  });
  expect_as_alone(other, prompt_of(9, 3), answer_of(12));
}

TEST_F(SchedulerTest, LogProbabilitiesAreThoseOfTheModel) {
  std::vector<GeneratedToken> tokens;
  SubmitOptions submission;
  submission.top_log_probabilities = 3;
  submission.on_token = [&](const GeneratedToken& token) {
    if (token.id) tokens.push_back(token);
    return true;
  };
  // Suppressed ids change what is drawn, not the probabilities.
  const GenerationOptions options = answer_of(6);
  Scheduler scheduler(stages(), decoding(), serving());
  const Prompt prompt = prompt_of(9, 2);
  const Record record = add(scheduler, prompt, options, submission);
  run(scheduler);
  std::vector<TokenId> ids = std::get<Prompt::Ids>(prompt.turns()[0].pieces[0]).ids;
  const int64_t before = std::ssize(ids);
  for (const TokenId id : record->completion().ids) ids.push_back(id);
  KvCache cache(decoder.config().kv_shape(), decoder.options());
  const int64_t n = std::ssize(ids);
  const at::Tensor hidden =
      decoder.forward({decoder.embed(at::tensor(ids, at::kLong)), at::arange(n), {0, n}, {0}},
                      cache,
                      nullptr,
                      nullptr);
  const int64_t vocab = std::min(tokenizer->vocab_size(), decoder.config().vocab_size);
  const at::Tensor expected = decoder.logits(hidden).narrow(1, 0, vocab).log_softmax(1);
  ASSERT_EQ(std::ssize(tokens), n - before);
  ASSERT_FALSE(tokens.empty());
  for (int64_t i = 0; i < std::ssize(tokens); ++i) {
    const at::Tensor row = expected[before - 1 + i];
    EXPECT_NEAR(tokens[i].log_probability, row[*tokens[i].id].item<double>(), 1e-4);
    const at::Tensor sorted = std::get<0>(row.sort(0, /*descending=*/true));
    ASSERT_EQ(tokens[i].alternatives.size(), 3u);
    for (int64_t j = 0; j < 3; ++j) {
      const TokenLogProbability& own = tokens[i].alternatives[j];
      EXPECT_NEAR(own.log_probability, sorted[j].item<double>(), 1e-4);
      EXPECT_NEAR(own.log_probability, row[own.id].item<double>(), 1e-4);
    }
  }
}

TEST_F(SchedulerTest, AFailedPassEndsItsRequestsAndLeavesLaterOnes) {
  Scheduler scheduler(stages(), decoding(), serving());
  const Record first = add_decoding(scheduler, 12);
  decoder.on_pass = [](int64_t) { throw std::runtime_error("the pass failed"); };
  scheduler.step();
  decoder.on_pass = {};
  EXPECT_EQ(first->state(), RequestState::kFailed);
  expect_error(ErrorKind::kInternal, "the pass failed", [&] {
    std::rethrow_exception(first->completion().error);
  });
  EXPECT_EQ(scheduler.blocks_in_use(), 0);
  const Record second = add(scheduler, prompt_of(9, 2), answer_of(6));
  run(scheduler);
  expect_as_alone(second, prompt_of(9, 2), answer_of(6));
}

TEST_F(SchedulerTest, FailingAllEndsRequestsInEveryState) {
  SchedulerSettings settings = serving();
  settings.max_running = 2;
  Scheduler scheduler(stages(), decoding(), settings);
  const std::vector<Record> records{add_decoding(scheduler, 40),
                                    add(scheduler, prompt_of(200, 2), answer_of(4)),
                                    add(scheduler, prompt_of(9, 3), answer_of(4))};
  scheduler.step();
  EXPECT_EQ(records[1]->state(), RequestState::kReading);
  EXPECT_EQ(records[2]->state(), RequestState::kQueued);
  scheduler.fail_all(std::make_exception_ptr(Error(ErrorKind::kCancelled, "the end")));
  EXPECT_TRUE(scheduler.is_idle());
  for (const Record& record : records) EXPECT_EQ(record->state(), RequestState::kFailed);
  EXPECT_EQ(scheduler.blocks_in_use(), 0);
}

}  // namespace
}  // namespace precis
