// SPDX-License-Identifier: Apache-2.0
// The arms of an evaluation against scores of the engine.
#include "eval/evaluate.h"

#include <map>

#include "eval/arms.h"
#include "eval/metrics.h"
#include "evaluate_fixture.h"

namespace precis {
namespace {

constexpr double kTolerance = 1e-6;

TEST_F(EvaluateTest, FullAndNoneAreScoresOfPlainIds) {
  const Engine engine = load(make_small_selfcp);
  const Evaluation evaluation = evaluate(engine, text_options({EvaluationTask::kContinue}));
  const TaskResult& task = evaluation.tasks.at(0);
  EXPECT_NEAR(
      value(task, "full", "nll"),
      mean([&](int i) { return nll(engine, Prompt().ids(ids(engine, i, 0, kOlder + kKept)), i); }),
      kTolerance);
  EXPECT_NEAR(
      value(task, "none", "nll"),
      mean([&](int i) { return nll(engine, Prompt().ids(ids(engine, i, kOlder, kKept)), i); }),
      kTolerance);
  EXPECT_EQ(task.num_items, 3);
}

TEST_F(EvaluateTest, VerbatimKeepsAsManyTokensAsTheMemoryHas) {
  const Engine engine = load(make_small_selfcp);
  EvaluationOptions options = text_options({EvaluationTask::kContinue});
  options.ratios = {4, 2, 4};
  const Evaluation evaluation = evaluate(engine, options);
  const TaskResult& task = evaluation.tasks.at(0);
  ASSERT_EQ(task.ratios.size(), 2u);
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(task.ratios[i].ratio, i == 0 ? 2 : 4);
    const int64_t rows = kOlder / (i == 0 ? 2 : 4);
    EXPECT_EQ(task.ratios[i].memory_rows.value, static_cast<double>(rows));
    EXPECT_EQ(task.ratios[i].tokens_saved.value, static_cast<double>(kOlder - rows));
    EXPECT_EQ(task.ratios[i].tokens_per_row, i == 0 ? 2 : 4);
    const auto verbatim = [&](int text) {
      return nll(engine, Prompt().ids(ids(engine, text, kOlder - rows, rows + kKept)), text);
    };
    EXPECT_NEAR(value(task, "verbatim", "nll", i), mean(verbatim), kTolerance);
  }
}

TEST_F(EvaluateTest, MemoryAndOtherAreInTheContinuationTemplate) {
  for (const Make make : {Make(make_small_selfcp),
                          Make(make_small_icae),
                          Make(make_small_ic_former),
                          Make(make_small_gisting)}) {
    const Engine engine = load(make);
    const auto with_memory_of = [&](int source, int text) {
      const Memory memory = engine.compress_ids(ids(engine, source, 0, kOlder));
      Prompt prompt = engine.apply_template({&memory, 1}, MemoryUse::kContinue).prompt;
      return nll(engine, prompt.ids(ids(engine, text, kOlder, kKept)), text);
    };
    const Evaluation evaluation = evaluate(engine, text_options({EvaluationTask::kContinue}));
    const TaskResult& task = evaluation.tasks.at(0);
    EXPECT_NEAR(
        value(task, "memory", "nll"), mean([&](int i) { return with_memory_of(i, i); }), kTolerance)
        << evaluation.method;
    EXPECT_NEAR(value(task, "other", "nll"),
                mean([&](int i) { return with_memory_of(next(i), i); }),
                kTolerance)
        << evaluation.method;
    EXPECT_NE(value(task, "other", "nll"), value(task, "memory", "nll")) << evaluation.method;
  }
}

TEST_F(EvaluateTest, OtherFullReadsTheNextText) {
  const Engine engine = load(make_small_selfcp);
  const TaskResult task = evaluate(engine, text_options({EvaluationTask::kContinue})).tasks.at(0);
  EXPECT_NEAR(value(task, "other_full", "nll"),
              mean([&](int i) {
                const auto older = ids(engine, next(i), 0, kOlder);
                return nll(engine, Prompt().ids(older).ids(ids(engine, i, kOlder, kKept)), i);
              }),
              kTolerance);
  EXPECT_NE(value(task, "other_full", "nll"), value(task, "full", "nll"));
}

// 15 results: without text, another text, the full text, and 6 and 12 tokens of it, for three
// texts. ICAE's memories have 8 memory tokens.
TEST_F(EvaluateTest, PromptsWithoutMemoriesAreReadOnceForAllRatiosAndCompressors) {
  EvaluationOptions options = text_options({EvaluationTask::kContinue});
  Readings readings;
  const Evaluation alone = evaluate(load(make_small_icae), options);
  options.ratios = {2, 4};
  const TaskResult first = evaluate(load(make_small_selfcp), options, readings).tasks.at(0);
  EXPECT_EQ(readings.size(), 15);
  evaluate(load(make_small_selfcp), options, readings);
  EXPECT_EQ(readings.size(), 15);
  options.ratios = {};
  const TaskResult second = evaluate(load(make_small_icae), options, readings).tasks.at(0);
  EXPECT_EQ(readings.size(), 18);
  for (const char* arm : {"none", "verbatim", "memory", "other", "other_full", "full"})
    EXPECT_EQ(value(second, arm, "nll"), value(alone.tasks.at(0), arm, "nll")) << arm;
  // A time to the last digit is that of one reading.
  for (const char* arm : {"none", "other_full", "full"})
    EXPECT_EQ(value(second, arm, "score_ms"), value(first, arm, "score_ms")) << arm;
}

TEST_F(EvaluateTest, ReadingsAreKeyedByPromptAndScoredIds) {
  const Engine engine = load(make_small_selfcp);
  const auto some = ids(engine, 1, 0, 4), more = ids(engine, 1, 4, 4);
  const std::vector<Prompt> prompts{Prompt().ids(some),
                                    Prompt().ids(more),
                                    Prompt().keep("the water"),
                                    Prompt().keep("the water").ids(some),
                                    Prompt().ids(some).keep("the water")};
  Readings readings;
  for (int round = 0; round < 2; ++round) {
    for (const Prompt& prompt : prompts) {
      for (const std::vector<TokenId>& scored : {some, more})
        EXPECT_EQ(readings.score(engine, prompt, scored).nll,
                  engine.score_ids(prompt, scored).mean());
    }
    EXPECT_EQ(readings.size(), 10);
  }
  const Memory memory = engine.compress_ids(some);
  readings.score(engine, Prompt().memory(memory), more);
  EXPECT_EQ(readings.size(), 10);
}

TEST_F(EvaluateTest, ReadingsOfAnswersAreKeyedByTheirSettings) {
  const Engine engine = load(make_small_selfcp);
  Readings readings;
  const TemplatedPrompt plain{Prompt().keep("the water"), {}};
  const std::string six = readings.answer(engine, plain, 6).text;
  GenerationOptions options;
  options.max_tokens = 6;
  const Completion completion = engine.generate(plain.prompt, options);
  const TokenId first = completion.ids.at(0);
  EXPECT_EQ(six, completion.text);
  EXPECT_NE(readings.answer(engine, plain, 2).text, six);
  EXPECT_EQ(readings.answer(engine, {plain.prompt, {first}}, 6).text, "");
  EXPECT_EQ(readings.answer(engine, plain, 6).text, six);
  EXPECT_EQ(readings.size(), 3);
}

TEST_F(EvaluateTest, SavedBytesAreThoseOfTheModelsCache) {
  const Engine engine = load(make_small_icae);
  const Evaluation evaluation = evaluate(engine, text_options({EvaluationTask::kContinue}));
  const RatioResult& result = evaluation.tasks.at(0).ratios.at(0);
  // Two parts of four slots; keys and values of 3 layers with 2 heads of 8 float32.
  EXPECT_EQ(result.memory_rows.value, 8);
  EXPECT_EQ(result.kv_bytes_saved.value, (kOlder - 8) * 2 * 3 * 2 * 8 * 4);
  EXPECT_FALSE(result.ratio.has_value());
}

TEST_F(EvaluateTest, LossesLieInTheirIntervals) {
  const Evaluation evaluation =
      evaluate(load(make_small_selfcp), text_options({EvaluationTask::kContinue}));
  for (const char* arm : {"none", "verbatim", "memory", "other", "other_full", "full"}) {
    const Measured nll = measured(evaluation.tasks.at(0), arm, "nll");
    EXPECT_LT(nll.interval.low, nll.value) << arm;
    EXPECT_GT(nll.interval.high, nll.value) << arm;
  }
}

TEST_F(EvaluateTest, ATextIsReconstructedFromItsMemory) {
  const Engine engine = load(make_small_icae);
  const Evaluation evaluation = evaluate(engine, text_options({EvaluationTask::kReconstruct}));
  std::vector<std::string> said, wanted;
  double prefixes = 0;
  for (int i = 1; i <= 3; ++i) {
    const auto older = ids(engine, i, 0, kOlder);
    const Memory memory = engine.compress_ids(older);
    const TemplatedPrompt templated = engine.apply_template({&memory, 1}, MemoryUse::kAutoencode);
    GenerationOptions options;
    options.max_tokens = kOlder;
    options.stop_ids = templated.stop_ids;
    const Completion completion = engine.generate(templated.prompt, options);
    said.push_back(engine.tokenizer().decode(completion.ids));
    wanted.push_back(engine.tokenizer().decode(older));
    prefixes += exact_prefix_share(completion.ids, older) / 3;
  }
  const TaskResult& task = evaluation.tasks.at(0);
  EXPECT_NEAR(value(task, "memory", "bleu"), corpus_bleu(said, wanted), kTolerance);
  EXPECT_NEAR(value(task, "memory", "exact_prefix_share"), prefixes, kTolerance);
}

TEST_F(EvaluateTest, RunsAllTasksThatFilesAndMethodAllow) {
  EvaluationOptions options = text_options({});
  options.questions = question_options().questions;
  const Evaluation evaluation = evaluate(load(make_small_selfcp), options);
  std::vector<std::string> names, notes;
  for (const TaskResult& task : evaluation.tasks) {
    names.push_back(name_of(task.task));
    EXPECT_EQ(task.ratios.empty(), !task.note.empty()) << names.back();
    if (!task.note.empty()) notes.push_back(names.back() + ": " + task.note);
  }
  EXPECT_THAT(names, testing::ElementsAre("continue", "reconstruct", "summaries", "questions"));
  EXPECT_THAT(notes,
              testing::ElementsAre("reconstruct: selfcp: it is not trained to say a text again"));
}

TEST_F(EvaluateTest, ProgressOfEveryStageEndsAtOne) {
  std::map<std::string, double> stages;
  evaluate(load(make_small_selfcp),
           text_options({EvaluationTask::kContinue}),
           [&](const std::string& stage, double done) {
             EXPECT_GE(done, stages[stage]) << stage;
             stages[stage] = done;
           });
  EXPECT_EQ(stages.size(), 4u);
  for (const auto& [stage, done] : stages) EXPECT_EQ(done, 1.0) << stage;
}

TEST_F(EvaluateTest, TextsThatAreTooShortAreCounted) {
  EvaluationOptions options = text_options({EvaluationTask::kContinue});
  write("texts.jsonl",
        {{{"text", "too short"}}, {{"text", text(1)}}, {{"text", text(2)}}, {{"text", text(3)}}});
  options.limit = 2;
  const TaskResult task = evaluate(load(make_small_selfcp), options).tasks.at(0);
  EXPECT_EQ(task.num_items, 2);
  EXPECT_EQ(task.num_skipped, 1);
}

TEST_F(EvaluateTest, BadFilesAreNamedWithTheLine) {
  const Engine engine = load(make_small_selfcp);
  const auto refuse = [&](const EvaluationOptions& options, const std::string& part) {
    expect_error(ErrorKind::kInvalidArgument, part, [&] { evaluate(engine, options); });
  };
  EvaluationOptions options = text_options({});
  write("texts.jsonl", {{{"text", text(1)}}, {{"words", 1}}});
  refuse(options, "texts.jsonl: line 2 has no string \"text\"");
  write("texts.jsonl", {{{"text", text(1)}, {"summary", 3}}});
  refuse(options, "texts.jsonl: line 1 has no string \"summary\"");
  write("texts.jsonl", {{{"text", "short"}}});
  refuse(options, "texts.jsonl: no text has 36 tokens");
  write("texts.jsonl", {{{"text", text(1)}}, {{"text", text(1)}}});
  refuse(options, "two different texts");
  options = question_options();
  write("questions.jsonl", {{{"context", "a"}, {"answer", "b"}}});
  refuse(options, "questions.jsonl: line 1 has no string \"prompt\"");
  for (const nlohmann::json& answers : {nlohmann::json::array(), nlohmann::json{""}}) {
    write("questions.jsonl", {{{"context", "a"}, {"prompt", "b"}, {"answers", answers}}});
    refuse(options, "questions.jsonl: line 1 has neither");
  }
  write("questions.jsonl",
        {{{"context", text(1) + text(2) + text(3)}, {"prompt", "b"}, {"answer", "c"}}});
  refuse(options, "questions.jsonl: no question fits");
}

TEST_F(EvaluateTest, InvalidOptionsAreRefused) {
  const auto refuse = [&](Make make, const EvaluationOptions& options, const std::string& part) {
    const Engine engine = load(make);
    expect_error(ErrorKind::kInvalidArgument, part, [&] { evaluate(engine, options); });
  };
  EvaluationOptions options = text_options({EvaluationTask::kContinue});
  options.ratios = {2};
  refuse(make_small_icae, options, "icae has a fixed ratio");
  options.ratios = {0.5};
  refuse(make_small_selfcp, options, "a ratio is 0.5");
  options.ratios = {};
  options.older = 500;
  refuse(make_small_selfcp, options, "continue needs a context of 520 tokens, the model's is 512");
  options.older = 121;
  refuse(make_small_gisting, options, "gisting compresses at most 120 tokens, older is 121");
  options.kept = 0;
  refuse(make_small_selfcp, options, "kept is 0");
  options = text_options({EvaluationTask::kQuestions});
  refuse(make_small_selfcp, options, "questions needs questions");
  refuse(make_small_selfcp, {}, "neither texts nor questions");
  expect_error(ErrorKind::kUnsupported, "say a text again", [&] {
    evaluate(load(make_small_selfcp), text_options({EvaluationTask::kReconstruct}));
  });
}

}  // namespace
}  // namespace precis
