// SPDX-License-Identifier: Apache-2.0
// Batches: each request is answered as it would be alone, with its own options and callback, and
// fails alone. The texts of all prompts are compressed together.
#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

#include "precis/extend/decoder.h"
#include "precis/extend/load_decoder.h"
#include "precis/extend/load_tokenizer.h"
#include "precis/extend/tokenizer.h"
#include "precis/precis.h"
#include "support/expect_error.h"
#include "support/recording_compressor.h"
#include "support/small_compressors.h"

namespace precis {
namespace {

const std::filesystem::path kModel =
    std::filesystem::path(PRECIS_TEST_GOLDEN_DIR) / "models" / "llama";

const std::string kRiver = "the river is full of old boats and the rain is not over";
const std::string kTown = "the water of the town and the old bridge";
const std::string kHouse = "a house by the road";

class Batch : public testing::Test {
 protected:
  using Calls = std::vector<std::vector<Segment>>;

  // Its compressor is a SelfCP that was not trained. `fail`, if any, may throw.
  Engine make_engine(const RecordingCompressor::Record& fail = {}) {
    const c10::NoGradGuard no_grad;
    std::unique_ptr<Decoder> decoder = load_decoder(kModel, at::kFloat);
    auto compressor = std::make_unique<RecordingCompressor>(
        make_small_selfcp(*decoder), [this, fail](std::span<const Segment> segments) {
          calls.emplace_back(segments.begin(), segments.end());
          if (fail) fail(segments);
        });
    return Engine::assemble(std::move(decoder), std::move(compressor), load_tokenizer(kModel));
  }

  static GenerationOptions short_answer(int64_t tokens = 12) {
    GenerationOptions options;
    options.max_tokens = tokens;
    return options;
  }

  static Request about(const std::string& text, GenerationOptions options = short_answer()) {
    return {Prompt().keep("about").compress(text).keep(" so"), std::move(options), {}};
  }

  static Request plain(GenerationOptions options) {
    return {Prompt().keep("the town"), std::move(options), {}};
  }

  static void expect_same(const Completion& completion, const Completion& alone) {
    EXPECT_EQ(completion.error, nullptr);
    EXPECT_EQ(completion.ids, alone.ids);
    EXPECT_EQ(completion.text, alone.text);
    EXPECT_EQ(completion.finish, alone.finish);
    EXPECT_EQ(completion.savings.prompt_rows, alone.savings.prompt_rows);
    EXPECT_EQ(completion.savings.compressed_tokens, alone.savings.compressed_tokens);
  }

  static void expect_as_alone(const Engine& engine,
                              const Completion& completion,
                              const Request& request) {
    expect_same(completion, engine.generate(request.prompt, request.options));
  }

  // The number of segments of each call.
  std::vector<size_t> segments_per_call() const {
    std::vector<size_t> sizes;
    for (const std::vector<Segment>& call : calls) sizes.push_back(call.size());
    return sizes;
  }

  Calls calls;  // of Compressor::compress
};

TEST_F(Batch, TheTextsOfAllPromptsAreCompressedInOneCall) {
  const Engine engine = make_engine();
  const std::vector<Request> requests{
      about(kRiver),
      {Prompt().compress(kTown).keep(" and").compress(kHouse).keep(" so"), short_answer(), {}},
      plain(short_answer()),
      about(kHouse)};
  const std::vector<Completion> completions = engine.generate_batch(requests);
  EXPECT_EQ(segments_per_call(), std::vector<size_t>{4});
  ASSERT_EQ(completions.size(), requests.size());
  for (size_t i = 0; i < requests.size(); ++i) expect_as_alone(engine, completions[i], requests[i]);
}

TEST_F(Batch, PromptsWithOneSetOfOptionsAreCompressedInOneCallToo) {
  const Engine engine = make_engine();
  const std::vector<Prompt> prompts{
      about(kRiver).prompt, about(kTown).prompt, about(kHouse).prompt};
  const std::vector<Completion> completions = engine.generate_batch(prompts, short_answer());
  EXPECT_EQ(segments_per_call(), std::vector<size_t>{3});
  for (size_t i = 0; i < prompts.size(); ++i)
    expect_same(completions[i], engine.generate(prompts[i], short_answer()));
}

TEST_F(Batch, TextsWithOtherOptionsAreCompressedInACallOfTheirOwn) {
  const Engine engine = make_engine();
  GenerationOptions half = short_answer();
  half.compression.ratio = 2;
  const std::vector<Request> requests{about(kRiver), about(kTown, half), about(kHouse)};
  const std::vector<Completion> completions = engine.generate_batch(requests);
  EXPECT_EQ(segments_per_call(), (std::vector<size_t>{2, 1}));
  EXPECT_EQ(calls[1][0].tokens, engine.tokenizer().encode(kTown));
  for (size_t i = 0; i < requests.size(); ++i) expect_as_alone(engine, completions[i], requests[i]);
}

TEST_F(Batch, PromptsThatBeginAlikeShareTheirPrefix) {
  const Engine engine = make_engine();
  const Request other{Prompt().keep("of").compress(kRiver).keep(" so"), short_answer(), {}};
  const std::vector<Request> requests{about(kRiver), about(kTown), other};
  const std::vector<Completion> completions = engine.generate_batch(requests);
  ASSERT_EQ(segments_per_call(), std::vector<size_t>{3});
  ASSERT_NE(calls[0][0].prefix, nullptr);
  EXPECT_EQ(calls[0][0].prefix, calls[0][1].prefix);
  EXPECT_NE(calls[0][0].prefix, calls[0][2].prefix);
  for (size_t i = 0; i < requests.size(); ++i) expect_as_alone(engine, completions[i], requests[i]);
}

TEST_F(Batch, ATextThatCannotBeCompressedFailsItsRequestAlone) {
  const std::vector<TokenId> bad = load_tokenizer(kModel)->encode(kTown);
  const Engine engine = make_engine([bad](std::span<const Segment> segments) {
    for (const Segment& segment : segments) {
      if (segment.tokens == bad) throw Error(ErrorKind::kInvalidArgument, "a bad text");
    }
  });
  const std::vector<Request> requests{about(kRiver), about(kTown), about(kHouse)};
  const std::vector<Completion> completions = engine.generate_batch(requests);
  EXPECT_EQ(segments_per_call(), (std::vector<size_t>{3, 1, 1, 1}));
  EXPECT_EQ(completions[1].finish, Completion::Finish::kError);
  expect_error(ErrorKind::kInvalidArgument, "a bad text", [&] {
    std::rethrow_exception(completions[1].error);
  });
  expect_as_alone(engine, completions[0], requests[0]);
  expect_as_alone(engine, completions[2], requests[2]);
}

TEST_F(Batch, ACancelledCompressionIsCancelledOnceAndLeavesTheOthers) {
  const Engine engine = make_engine();
  int asked = 0;
  double done = 0;
  std::vector<Request> requests{about(kRiver), about(kTown), about(kHouse)};
  requests[1].options.compression.progress = [&](double) { return ++asked > 1; };
  requests[2].options.compression.progress = [&](double share) { return (done = share) >= 0; };
  const std::vector<Completion> completions = engine.generate_batch(requests);
  EXPECT_EQ(asked, 1);
  EXPECT_EQ(done, 1);
  EXPECT_EQ(segments_per_call(), (std::vector<size_t>{3, 1, 1}));
  EXPECT_EQ(completions[1].finish, Completion::Finish::kError);
  expect_error(
      ErrorKind::kCancelled, "cancelled", [&] { std::rethrow_exception(completions[1].error); });
  expect_as_alone(engine, completions[0], requests[0]);
  expect_as_alone(engine, completions[2], requests[2]);
}

TEST_F(Batch, EachRequestHasItsOwnSampling) {
  const Engine engine = make_engine();
  const Completion greedy = engine.generate(plain({}).prompt, short_answer());
  std::vector<Request> requests(6, plain(short_answer()));
  requests[1].options.temperature = 1.5;
  requests[1].options.seed = 3;
  requests[2].options.temperature = 1.5;
  requests[2].options.seed = 4;
  requests[3].options.temperature = 0.9;
  requests[3].options.top_k = 20;
  requests[3].options.top_p = 0.9;
  requests[3].options.min_p = 0.01;
  requests[4].options.repetition_penalty = 1.8;
  requests[5].options.suppressed_ids = {greedy.ids.at(0)};
  const std::vector<Completion> completions = engine.generate_batch(requests);
  for (size_t i = 0; i < requests.size(); ++i) expect_as_alone(engine, completions[i], requests[i]);
  EXPECT_EQ(completions[0].ids, greedy.ids);
  EXPECT_NE(completions[1].ids, completions[2].ids);
  EXPECT_EQ(std::ranges::count(completions[5].ids, greedy.ids[0]), 0);
}

TEST_F(Batch, EachRequestHasItsOwnEnd) {
  const Engine engine = make_engine();
  const Completion whole = engine.generate(plain({}).prompt, short_answer(20));
  ASSERT_GT(whole.ids.size(), 4u);
  ASSERT_GE(whole.text.size(), 4u);
  std::vector<Request> requests(4, plain(short_answer(20)));
  requests[1].options.max_tokens = 3;
  requests[2].options.stop = {whole.text.substr(2, 2)};
  requests[3].options.stop_ids = {whole.ids[2]};
  const std::vector<Completion> completions = engine.generate_batch(requests);
  for (size_t i = 0; i < requests.size(); ++i) expect_as_alone(engine, completions[i], requests[i]);
  EXPECT_EQ(completions[0].ids, whole.ids);
  EXPECT_EQ(completions[1].ids, std::vector<TokenId>(whole.ids.begin(), whole.ids.begin() + 3));
  EXPECT_EQ(completions[1].finish, Completion::Finish::kLength);
  EXPECT_EQ(completions[2].finish, Completion::Finish::kStop);
  EXPECT_LE(completions[3].ids.size(), 2u);
}

TEST_F(Batch, EachRequestHasItsOwnCallback) {
  const Engine engine = make_engine();
  std::vector<Request> requests(4, plain(short_answer()));
  std::string streamed;
  requests[0].on_text = [&](std::string_view text) {
    streamed += text;
    return true;
  };
  requests[1].on_text = [](std::string_view) { return false; };
  requests[2].on_text = [](std::string_view) -> bool { throw std::runtime_error("no paper"); };
  const std::vector<Completion> completions = engine.generate_batch(requests);
  EXPECT_EQ(streamed, completions[0].text);
  EXPECT_EQ(completions[1].finish, Completion::Finish::kCancelled);
  EXPECT_EQ(completions[2].finish, Completion::Finish::kError);
  expect_error(
      ErrorKind::kInternal, "no paper", [&] { std::rethrow_exception(completions[2].error); });
  expect_as_alone(engine, completions[0], requests[0]);
  expect_as_alone(engine, completions[3], requests[3]);
}

TEST_F(Batch, OptionsOutOfRangeFailTheirRequestAlone) {
  const Engine engine = make_engine();
  std::vector<Request> requests(4, plain(short_answer()));
  requests[0].options.top_p = 0;
  requests[1].options.stop_ids = {100000};
  requests[2].options.suppressed_ids.resize(engine.tokenizer().vocab_size());
  std::iota(
      requests[2].options.suppressed_ids.begin(), requests[2].options.suppressed_ids.end(), 0);
  const std::vector<Completion> completions = engine.generate_batch(requests);
  const char* const messages[] = {"top_p", "stop_ids: id 100000", "nothing to draw"};
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(completions[i].finish, Completion::Finish::kError);
    expect_error(ErrorKind::kInvalidArgument, messages[i], [&] {
      std::rethrow_exception(completions[i].error);
    });
  }
  expect_as_alone(engine, completions[3], requests[3]);
}

TEST_F(Batch, NoRequestsHaveNoCompletions) {
  EXPECT_TRUE(make_engine().generate_batch(std::vector<Request>{}).empty());
}

}  // namespace
}  // namespace precis
