// SPDX-License-Identifier: Apache-2.0
// Engine::submit: requests from several threads, answered on the engine's own.
#include "precis/serving.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <future>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "precis/extend/load_tokenizer.h"
#include "precis/extend/tokenizer.h"
#include "precis/precis.h"
#include "support/expect_error.h"
#include "tokenizers/stop_ids.h"

namespace precis {
namespace {

using std::chrono::milliseconds;
using Finish = Completion::Finish;

class Serving : public testing::Test {
 protected:
  static std::filesystem::path model() {
    return std::filesystem::path(PRECIS_TEST_GOLDEN_DIR) / "models" / "llama";
  }

  static Engine load(const ServingOptions& serving = {}) {
    EngineOptions options;
    options.model = model();
    options.dtype = Dtype::kFloat32;
    options.serving = serving;
    return Engine::load(options);
  }

  // An answer of exactly so many tokens, unless it is stopped.
  static GenerationOptions answer_of(int64_t tokens) {
    static const std::set<TokenId> stops = stop_ids(*load_tokenizer(model()));
    GenerationOptions options;
    options.max_tokens = tokens;
    options.suppressed_ids.assign(stops.begin(), stops.end());
    return options;
  }

  static Prompt prompt_of(int i) {
    std::string text = "Text " + std::to_string(i) + ":";
    for (int word = 0; word < 5 + i % 4 * 9; ++word) text += " " + std::to_string(word * 7 % 13);
    return i % 3 == 2 ? Prompt().compress(text).keep(" so") : Prompt().keep(text);
  }

  static void expect_cancelled(const RequestHandle& handle) {
    EXPECT_EQ(handle.get().finish, Finish::kCancelled);
    EXPECT_EQ(handle.state(), RequestState::kCancelled);
  }
};

// Keeps the engine's thread in a callback from the first token on.
class Gate {
 public:
  SubmitOptions submission() {
    SubmitOptions options;
    options.on_token = [this](const GeneratedToken&) {
      if (!std::exchange(entered_once_, true)) {
        entered_.set_value();
        opened_.get_future().wait();
      }
      return true;
    };
    return options;
  }
  void wait_until_entered() { entered_.get_future().wait(); }
  void open() { opened_.set_value(); }

 private:
  bool entered_once_ = false;  // of the engine's thread
  std::promise<void> entered_, opened_;
};

TEST_F(Serving, ASubmittedRequestIsAnsweredAsByGenerate) {
  const Engine engine = load();
  for (int i = 0; i < 4; ++i) {
    const Completion expected = engine.generate(prompt_of(i), answer_of(12));
    const RequestHandle handle = engine.submit(prompt_of(i), answer_of(12));
    const Completion completion = handle.get();
    EXPECT_EQ(completion.ids, expected.ids);
    EXPECT_EQ(completion.text, expected.text);
    EXPECT_EQ(completion.finish, expected.finish);
    EXPECT_EQ(completion.savings.prompt_rows, expected.savings.prompt_rows);
    EXPECT_EQ(completion.savings.compressed_tokens, expected.savings.compressed_tokens);
    EXPECT_EQ(handle.state(), RequestState::kFinished);
  }
}

TEST_F(Serving, RequestsOfSeveralThreadsAreAnsweredAsAlone) {
  constexpr int kThreads = 3, kEach = 4;
  const Engine engine = load();
  std::vector<std::vector<TokenId>> expected(kThreads * kEach), answers(kThreads * kEach);
  for (int i = 0; i < kThreads * kEach; ++i)
    expected[i] = engine.generate(prompt_of(i), answer_of(4 + i)).ids;
  std::vector<std::thread> threads;
  for (int thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&, thread] {
      std::vector<RequestHandle> handles;
      for (int i = thread * kEach; i < (thread + 1) * kEach; ++i)
        handles.push_back(engine.submit(prompt_of(i), answer_of(4 + i)));
      for (int i = 0; i < kEach; ++i) answers[thread * kEach + i] = handles[i].get().ids;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(answers, expected);
}

TEST_F(Serving, GenerateAnswersBesideSubmittedRequests) {
  const Engine engine = load();
  const std::vector<TokenId> expected = engine.generate(prompt_of(1), answer_of(12)).ids;
  const RequestHandle handle = engine.submit(prompt_of(1), answer_of(12));
  EXPECT_EQ(engine.generate(prompt_of(1), answer_of(12)).ids, expected);
  EXPECT_EQ(handle.get().ids, expected);
}

TEST_F(Serving, ARequestStopsForEachReason) {
  const Engine engine = load();
  const Prompt prompt = Prompt().keep("the town");
  const Completion whole = engine.generate(prompt, answer_of(20));
  ASSERT_GT(whole.ids.size(), 4u);
  ASSERT_GE(whole.text.size(), 4u);
  const auto finish_of = [&](const GenerationOptions& options) {
    const Completion completion = engine.submit(prompt, options).get();
    EXPECT_EQ(completion.text, engine.generate(prompt, options).text);
    return completion.finish;
  };
  GenerationOptions stop_text = answer_of(20), stop_id = answer_of(20);
  stop_text.stop = {whole.text.substr(2, 2)};
  stop_id.stop_ids = {whole.ids[2]};
  EXPECT_EQ(finish_of(answer_of(3)), Finish::kLength);
  EXPECT_EQ(finish_of(stop_text), Finish::kStop);
  EXPECT_EQ(finish_of(stop_id), Finish::kStop);
  SubmitOptions overdue;
  overdue.deadline = std::chrono::steady_clock::now();
  const Completion late = engine.submit(prompt, answer_of(20), overdue).get();
  EXPECT_EQ(late.finish, Finish::kDeadline);
  EXPECT_TRUE(late.ids.empty());
}

TEST_F(Serving, BadRequestsAreRefusedAtOnce) {
  const Engine engine = load();
  expect_error(ErrorKind::kInvalidArgument, "empty", [&] { engine.submit(Prompt()); });
  expect_error(ErrorKind::kInvalidArgument, "over the limit", [&] {
    engine.submit(Prompt().keep("a"), answer_of(100000));
  });
  GenerationOptions bad;
  bad.top_p = 0;
  expect_error(
      ErrorKind::kInvalidArgument, "top_p", [&] { engine.submit(Prompt().keep("a"), bad); });
  SubmitOptions negative;
  negative.top_log_probabilities = -1;
  expect_error(ErrorKind::kInvalidArgument, "top_log_probabilities", [&] {
    engine.submit(Prompt().keep("a"), answer_of(4), negative);
  });
}

// A block of 64 tokens of 3 layers with 2 heads of 8 numbers in float32 has 24,576 bytes.
TEST_F(Serving, ARequestThatTheCacheNeverHasRoomForIsRefused) {
  ServingOptions serving;
  serving.cache_bytes = 3 * 24576;
  const Engine engine = load(serving);
  expect_error(ErrorKind::kInvalidArgument, "cache_bytes", [&] {
    engine.submit(Prompt().keep("a"), answer_of(200));
  });
  EXPECT_EQ(engine.submit(Prompt().keep("a"), answer_of(100)).get().ids,
            engine.generate(Prompt().keep("a"), answer_of(100)).ids);
}

TEST_F(Serving, MoreRequestsThanMayWaitAreRefused) {
  ServingOptions serving;
  serving.max_running = 1;
  serving.max_queued = 1;
  const Engine engine = load(serving);
  Gate gate;
  const RequestHandle running = engine.submit(prompt_of(0), answer_of(12), gate.submission());
  gate.wait_until_entered();
  const RequestHandle waiting = engine.submit(prompt_of(1), answer_of(12));
  expect_error(ErrorKind::kBusy, "max_queued", [&] { engine.submit(prompt_of(1), answer_of(12)); });
  EXPECT_EQ(waiting.state(), RequestState::kQueued);
  gate.open();
  EXPECT_EQ(waiting.get().ids, engine.generate(prompt_of(1), answer_of(12)).ids);
  EXPECT_EQ(engine.submit(prompt_of(0), answer_of(12)).get().ids, running.get().ids);
}

TEST_F(Serving, WaitingEndsWithTheRequestOrTheTime) {
  const Engine engine = load();
  Gate gate;
  const RequestHandle handle = engine.submit(prompt_of(0), answer_of(12), gate.submission());
  gate.wait_until_entered();
  EXPECT_FALSE(handle.wait_for(milliseconds(1)));
  gate.open();
  EXPECT_TRUE(handle.wait_for(milliseconds(60000)));
  handle.wait();
  EXPECT_EQ(handle.state(), RequestState::kFinished);
}

TEST_F(Serving, AHandleCancelsWhileItsRequestWaitsOrRuns) {
  ServingOptions serving;
  serving.max_running = 1;
  const Engine engine = load(serving);
  Gate gate;
  const RequestHandle running = engine.submit(prompt_of(0), answer_of(300), gate.submission());
  gate.wait_until_entered();
  const RequestHandle waiting = engine.submit(prompt_of(1), answer_of(12));
  waiting.cancel();
  running.cancel();
  gate.open();
  expect_cancelled(running);
  expect_cancelled(waiting);
  EXPECT_EQ(running.get().ids.size(), 1u);
}

TEST_F(Serving, AFailedRequestThrowsItsErrorWhenAsked) {
  const Engine engine = load();
  SubmitOptions throwing;
  throwing.on_token = [](const GeneratedToken&) -> bool { throw std::runtime_error("no paper"); };
  const RequestHandle handle = engine.submit(prompt_of(0), answer_of(12), throwing);
  expect_error(ErrorKind::kInternal, "no paper", [&] { static_cast<void>(handle.get()); });
  EXPECT_EQ(handle.state(), RequestState::kFailed);
  EXPECT_EQ(engine.submit(prompt_of(1), answer_of(12)).get().ids,
            engine.generate(prompt_of(1), answer_of(12)).ids);
}

// Answers that take longer than the engine lives.
TEST_F(Serving, RequestsThatAnEngineLeavesBehindFail) {
  std::optional<Engine> engine(load());
  SubmitOptions slow;
  slow.on_token = [](const GeneratedToken&) {
    std::this_thread::sleep_for(milliseconds(10));
    return true;
  };
  const std::vector<RequestHandle> handles{engine->submit(prompt_of(0), answer_of(300), slow),
                                           engine->submit(prompt_of(1), answer_of(300), slow)};
  while (handles[0].state() != RequestState::kDecoding) std::this_thread::yield();
  engine.reset();
  for (const RequestHandle& handle : handles) {
    EXPECT_EQ(handle.state(), RequestState::kFailed);
    expect_error(ErrorKind::kCancelled, "destroyed", [&] { static_cast<void>(handle.get()); });
  }
}

TEST_F(Serving, CancelledAndOverdueRequestsLeaveTheOthersAlone) {
  constexpr int kThreads = 3, kEach = 12;
  const Engine engine = load();
  const std::vector<TokenId> expected = engine.generate(prompt_of(4), answer_of(10)).ids;
  std::vector<std::thread> threads;
  for (int thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&, thread] {
      std::vector<RequestHandle> others, wanted;
      for (int i = 0; i < kEach; ++i) {
        SubmitOptions submission;
        if (i % 3 == 0)
          submission.deadline = std::chrono::steady_clock::now() + milliseconds(i * thread);
        others.push_back(engine.submit(prompt_of(i), answer_of(30), submission));
        wanted.push_back(engine.submit(prompt_of(4), answer_of(10)));
        if (i % 3 == 1) others[i / 2].cancel();
      }
      for (const RequestHandle& handle : wanted) EXPECT_EQ(handle.get().ids, expected);
      for (const RequestHandle& handle : others) {
        handle.cancel();
        EXPECT_NE(handle.get().finish, Finish::kError);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST_F(Serving, AnEngineThatIsMovedGoesOn) {
  Engine engine = load();
  const std::vector<TokenId> expected = engine.generate(prompt_of(1), answer_of(40)).ids;
  const RequestHandle handle = engine.submit(prompt_of(1), answer_of(40));
  const Engine moved = std::move(engine);
  EXPECT_EQ(handle.get().ids, expected);
  EXPECT_EQ(moved.submit(prompt_of(1), answer_of(40)).get().ids, expected);
}

TEST_F(Serving, AnEngineWithoutRequestsIsDestroyed) { load(); }

TEST_F(Serving, OptionsOutOfRangeAreRefused) {
  ServingOptions negative, no_budget;
  negative.cache_bytes = -1;
  no_budget.prompt_budget_ms = 0;
  expect_error(ErrorKind::kInvalidArgument, "cache_bytes", [&] { load(negative); });
  expect_error(ErrorKind::kInvalidArgument, "prompt_budget_ms", [&] { load(no_budget); });
}

}  // namespace
}  // namespace precis
