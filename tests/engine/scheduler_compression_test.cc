// SPDX-License-Identifier: Apache-2.0
// Texts of several requests in a scheduler: compressed together and once, while others go on.
#include <gtest/gtest.h>

#include <chrono>
#include <utility>
#include <vector>

#include "engine/scheduler.h"
#include "support/expect_error.h"
#include "support/scheduler_test.h"

namespace precis {
namespace {

using std::chrono::milliseconds;

TEST_F(SchedulerTest, EqualTextsAreCompressedOnce) {
  Scheduler scheduler(stages(), decoding(), serving());
  const Prompt other = Prompt().keep("about").compress(kRiver).keep(" and").compress(kTown);
  std::vector<Record> records{add(scheduler, about(kRiver), answer_of(4)),
                              add(scheduler, about(kRiver), answer_of(7)),
                              add(scheduler, other, answer_of(4))};
  // Arrives while the text is being compressed.
  ScheduledRequest late = scheduled(about(kRiver), answer_of(5));
  records.push_back(late.record);
  compressor.before_report = [&] {
    if (late.record) arriving.push_back(std::move(late));
    late.record = nullptr;
    now += milliseconds(100);
  };
  run(scheduler);
  compressor.before_report = {};
  EXPECT_EQ(compressor.segments_per_call, std::vector<size_t>{2});
  expect_as_alone(records[0], about(kRiver), answer_of(4));
  expect_as_alone(records[1], about(kRiver), answer_of(7));
  expect_as_alone(records[2], other, answer_of(4));
  expect_as_alone(records[3], about(kRiver), answer_of(5));
}

TEST_F(SchedulerTest, TextsWithOtherOptionsAreNotEqual) {
  Scheduler scheduler(stages(), decoding(), serving());
  GenerationOptions half = answer_of(4);
  half.compression.ratio = 2;
  const Record first = add(scheduler, about(kRiver), answer_of(4));
  const Record second = add(scheduler, about(kRiver), half);
  run(scheduler);
  EXPECT_EQ(compressor.segments_per_call, (std::vector<size_t>{1, 1}));
  expect_as_alone(first, about(kRiver), answer_of(4));
  expect_as_alone(second, about(kRiver), half);
}

TEST_F(SchedulerTest, OthersGoOnWhileATextIsCompressed) {
  Scheduler scheduler(stages(), decoding(), serving());
  int64_t tokens = 0;
  add_decoding(scheduler, 40, counting(tokens));
  const Record record = add(scheduler, about(kRiver), answer_of(4));
  ScheduledRequest late = scheduled(prompt_of(9, 2), answer_of(30));
  const Record arrived = late.record;
  compressor.before_report = [&] {
    EXPECT_EQ(record->state(), RequestState::kCompressing);
    if (late.record) arriving.push_back(std::move(late));
    late.record = nullptr;
    now += milliseconds(100);
  };
  scheduler.step();
  compressor.before_report = {};
  EXPECT_EQ(tokens, 1 + 1 + ReportingCompressor::kReports);
  EXPECT_EQ(arrived->state(), RequestState::kDecoding);
  EXPECT_NE(record->state(), RequestState::kCompressing);
  run(scheduler);
  expect_as_alone(record, about(kRiver), answer_of(4));
  expect_as_alone(arrived, prompt_of(9, 2), answer_of(30));
}

TEST_F(SchedulerTest, OneOfTwoRequestsForATextStopsAtItsProgressCallback) {
  Scheduler scheduler(stages(), decoding(), serving());
  GenerationOptions stopping = answer_of(4);
  int asked = 0;
  stopping.compression.progress = [&](double) { return ++asked > 1; };
  const Record first = add(scheduler, about(kRiver), stopping);
  const Record second = add(scheduler, about(kRiver), answer_of(4));
  run(scheduler);
  EXPECT_EQ(asked, 1);
  EXPECT_EQ(first->state(), RequestState::kFailed);
  expect_error(ErrorKind::kCancelled, "cancelled", [&] {
    std::rethrow_exception(first->completion().error);
  });
  EXPECT_EQ(compressor.segments_per_call, std::vector<size_t>{1});
  expect_as_alone(second, about(kRiver), answer_of(4));
}

TEST_F(SchedulerTest, ARequestIsCancelledWhileItsTextIsCompressed) {
  Scheduler scheduler(stages(), decoding(), serving());
  const Record record = add(scheduler, about(kRiver), answer_of(4));
  compressor.before_report = [&] {
    EXPECT_EQ(record->state(), RequestState::kCompressing);
    record->cancel();
    now += milliseconds(100);
  };
  scheduler.step();
  EXPECT_EQ(record->state(), RequestState::kCancelled);
  EXPECT_TRUE(scheduler.is_idle());
  EXPECT_EQ(compressor.segments_per_call, std::vector<size_t>{1});
}

TEST_F(SchedulerTest, ACancelledCompressionGoesOnForTheOthers) {
  Scheduler scheduler(stages(), decoding(), serving());
  const Record record = add(scheduler, about(kRiver), answer_of(4));
  const Record other = add(scheduler, about(kTown), answer_of(4));
  compressor.before_report = [&] {
    record->cancel();
    now += milliseconds(100);
  };
  run(scheduler);
  compressor.before_report = {};
  EXPECT_EQ(record->state(), RequestState::kCancelled);
  EXPECT_EQ(compressor.segments_per_call, std::vector<size_t>{2});
  expect_as_alone(other, about(kTown), answer_of(4));
}

}  // namespace
}  // namespace precis
