// SPDX-License-Identifier: Apache-2.0
// CompressOptions::refine_seconds through the engine.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>

#include "chat/chat_template.h"
#include "engine/compress.h"
#include "engine/refine_prompts.h"
#include "precis/extend/compressor.h"
#include "precis/extend/decoder.h"
#include "precis/extend/load_decoder.h"
#include "precis/extend/load_tokenizer.h"
#include "precis/extend/tokenizer.h"
#include "precis/precis.h"
#include "precis/store.h"
#include "support/expect_error.h"
#include "support/small_compressors.h"

namespace precis {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

const std::filesystem::path kModel =
    std::filesystem::path(PRECIS_TEST_GOLDEN_DIR) / "models" / "llama";

std::unique_ptr<Decoder> llama() { return load_decoder(kModel, at::kFloat); }

Engine engine() {
  auto decoder = llama();
  auto compressor = make_small_icae(*decoder);
  return Engine::assemble(std::move(decoder), std::move(compressor));
}

std::vector<TokenId> some_text(int64_t size = 40) {
  std::vector<TokenId> ids;
  for (int64_t i = 0; i < size; ++i) ids.push_back(5 + 7 * i % 300);
  return ids;
}

CompressOptions seconds(double refine_seconds) {
  CompressOptions options;
  options.refine_seconds = refine_seconds;
  return options;
}

TEST(RefineEngine, SecondsThatAreNoTimeAreRefused) {
  const Engine own = engine();
  for (const double bad : {-1.0, std::nan(""), kInfinity, -kInfinity})
    expect_error(ErrorKind::kInvalidArgument, "refine_seconds", [&] {
      own.compress_ids(some_text(), seconds(bad));
    });
}

TEST(RefineEngine, AMemoryKeepsItsSizeAndProvenance) {
  const Engine own = engine();
  const Memory plain = own.compress_ids(some_text());
  const Memory refined = own.compress_ids(some_text(), seconds(2));
  EXPECT_EQ(refined.num_tokens(), plain.num_tokens());
  EXPECT_EQ(refined.bytes(), plain.bytes());
  EXPECT_EQ(refined.provenance().method, plain.provenance().method);
  EXPECT_EQ(refined.provenance().compressor_fingerprint, plain.provenance().compressor_fingerprint);
  EXPECT_EQ(refined.provenance().source_hash, plain.provenance().source_hash);
  EXPECT_NE(refined.content_hash(), plain.content_hash());  // an untrained memory is easily better
  GenerationOptions options;
  options.max_tokens = 2;
  EXPECT_EQ(own.generate(Prompt().memory(refined).ids({7}), options).ids.size(), 2u);
}

TEST(RefineEngine, ZeroSecondsChangeNothing) {
  const Engine own = engine();
  EXPECT_EQ(own.compress_ids(some_text(), seconds(0)).content_hash(),
            own.compress_ids(some_text()).content_hash());
}

TEST(RefineEngine, ProgressCoversCompressingAndRefiningOfEveryText) {
  const Engine own = engine();
  std::vector<double> reports;
  CompressOptions options = seconds(0.2);
  options.progress = [&](double done) {
    reports.push_back(done);
    return true;
  };
  const std::vector<std::vector<TokenId>> texts{some_text(), some_text(30)};
  EXPECT_EQ(own.compress_ids_batch(texts, options).size(), 2u);
  EXPECT_TRUE(std::ranges::is_sorted(reports));
  EXPECT_GT(std::ranges::count_if(reports, [](double done) { return done > 0.1 && done < 0.55; }),
            0);
  EXPECT_EQ(reports.back(), 1.0);
  EXPECT_EQ(std::ranges::count(reports, 1.0), 1);
}

TEST(RefineEngine, IsCancelledWhileRefining) {
  const Engine own = engine();
  CompressOptions options = seconds(30);
  options.progress = [](double done) { return done <= 0.1; };
  expect_error(
      ErrorKind::kCancelled, "refine: cancelled", [&] { own.compress_ids(some_text(), options); });
}

TEST(RefineEngine, ATextThatDoesNotFitIsRefusedBeforeItIsCompressed) {
  const Engine own = engine();
  CompressOptions options = seconds(1);
  bool any = false;
  options.progress = [&](double) { return any = true; };
  expect_error(ErrorKind::kInvalidArgument, "do not fit the model's window of 512", [&] {
    own.compress_ids(some_text(500), options);
  });
  EXPECT_FALSE(any);
}

TEST(RefineEngine, OtherSecondsAreOtherOptionsAndOtherMemories) {
  EXPECT_TRUE(have_equal_settings(seconds(5), seconds(5)));
  EXPECT_FALSE(have_equal_settings(seconds(5), seconds(0)));
  MemorySource plain, refined;
  refined.options = seconds(5);
  EXPECT_NE(memory_id("tenant", plain), memory_id("tenant", refined));
}

TEST(RefineEngine, APromptsIdsAreThoseOfTheCompressorsTemplate) {
  const auto decoder = llama();
  const auto compressor = make_small_icae(*decoder);
  const CompressorInfo info = compressor->info();
  const RefinePrompts prompts = refine_prompts({*compressor, info, *decoder});
  EXPECT_FALSE(prompts.chat.has_value());
  EXPECT_TRUE(prompts.plain.before_text.empty());
  EXPECT_EQ(prompts.plain.around_memory.after.size(), 1u);  // ICAE's mark
}

TEST(RefineEngine, QuestionsAreAskedInTheModelsChat) {
  const auto decoder = llama();
  const auto compressor = make_small_icae(*decoder);
  const CompressorInfo info = compressor->info();
  const auto tokenizer = load_tokenizer(kModel);
  const ChatTemplate chat(
      "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}<answer>");
  const RefinePrompts prompts =
      refine_prompts({*compressor, info, *decoder, {tokenizer.get(), &chat}});
  ASSERT_TRUE(prompts.chat.has_value());
  const RefineChat& own = *prompts.chat;
  const auto said = [&](const std::vector<TokenId>& ids) { return tokenizer->decode(ids); };
  EXPECT_EQ(said(own.context.before_text), "<user>");
  ASSERT_EQ(own.context.around_memory.before.size(), 1u);
  EXPECT_EQ(std::get<std::vector<TokenId>>(own.context.around_memory.before[0]),
            own.context.before_text);
  EXPECT_EQ(said(own.before_question), "\n\n");
  EXPECT_EQ(said(own.after_question), "<answer>");
  for (const auto* some : {&own.requests, &own.askings})
    for (const std::vector<TokenId>& ids : *some)
      EXPECT_THAT(said(ids), testing::MatchesRegex("\n\n.* the text above.*<answer>"));
  EXPECT_EQ(prompts.vocab_size, tokenizer->vocab_size());
  EXPECT_FALSE(prompts.stop_ids.empty());
}

TEST(RefineEngine, ATemplateThatRefusesIsDoneWithout) {
  const auto decoder = llama();
  const auto compressor = make_small_icae(*decoder);
  const CompressorInfo info = compressor->info();
  const auto tokenizer = load_tokenizer(kModel);
  const ChatTemplate chat("{{ raise_exception('no') }}");
  EXPECT_FALSE(
      refine_prompts({*compressor, info, *decoder, {tokenizer.get(), &chat}}).chat.has_value());
}

}  // namespace
}  // namespace precis
