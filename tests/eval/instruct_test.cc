// SPDX-License-Identifier: Apache-2.0
// Questions and summaries: prompts, answers and metrics.
#include "../../examples/mean_pooling.h"
#include "eval/evaluation_items.h"
#include "eval/instruct_prompts.h"
#include "eval/metrics.h"
#include "eval/questions.h"
#include "eval/summaries.h"
#include "eval/words.h"
#include "evaluate_fixture.h"
#include "precis/extend/load_tokenizer.h"

namespace precis {
namespace {

constexpr double kTolerance = 1e-6;

class InstructTest : public EvaluateTest {
 protected:
  static std::vector<TokenId> context(const Engine& engine, int number) {
    return engine.tokenizer().encode(text(number).substr(0, 60));
  }
  // Of the likeliest of the answers in question_options().
  static double answer_nll(const Engine& engine, const Prompt& prompt, int number) {
    return std::min(engine.score(prompt, "town " + std::to_string(number * 37)).mean(),
                    engine.score(prompt, "a town").mean());
  }
  static std::string say(const Engine& engine,
                         const TemplatedPrompt& templated,
                         int64_t max_tokens) {
    GenerationOptions options;
    options.max_tokens = max_tokens;
    options.stop_ids = templated.stop_ids;
    return engine.generate(templated.prompt, options).text;
  }
};

TEST_F(InstructTest, WithAChatTemplateQuestionsAreUserTurns) {
  const Engine engine = load(make_small_selfcp, chat_model());
  const Evaluation evaluation = evaluate(engine, question_options());
  EXPECT_EQ(evaluation.chat, true);
  const TaskResult& task = evaluation.tasks.at(0);
  const std::string asked = "\n\nwhich town\nAnswer with a few words from the text.";
  const auto turn = [] { return Prompt().turn("user"); };
  EXPECT_NEAR(value(task, "none", "nll"),
              mean([&](int i) { return answer_nll(engine, turn().keep(asked.substr(2)), i); }),
              kTolerance);
  EXPECT_NEAR(value(task, "full", "nll"),
              mean([&](int i) {
                return answer_nll(engine, turn().ids(context(engine, i)).keep(asked), i);
              }),
              kTolerance);
  EXPECT_NEAR(value(task, "other_full", "nll"),
              mean([&](int i) {
                return answer_nll(engine, turn().ids(context(engine, next(i))).keep(asked), i);
              }),
              kTolerance);
  const auto with_memory_of = [&](int source, int i) {
    const Memory memory = engine.compress_ids(context(engine, source));
    return answer_nll(engine, turn().memory(memory).keep(asked), i);
  };
  EXPECT_NEAR(
      value(task, "memory", "nll"), mean([&](int i) { return with_memory_of(i, i); }), kTolerance);
  EXPECT_NEAR(value(task, "other", "nll"),
              mean([&](int i) { return with_memory_of(next(i), i); }),
              kTolerance);
}

TEST_F(InstructTest, WithoutAChatTheyAreInTheCompressorsTemplate) {
  const Engine engine = load(
      [](const Decoder& decoder) {
        GistingConfig config = small_gisting();
        config.after = {11, 12};
        config.end = {13};
        return create_gisting(config, decoder);
      },
      chat_model());
  const InstructPrompts prompts(engine, /*templated=*/true);
  EXPECT_FALSE(prompts.chat());
  const auto source = context(engine, 1);
  const Memory memory = engine.compress_ids(source);
  Prompt full = Prompt().ids(source).ids({11, 12}).keep("which town").ids({13});
  EXPECT_NEAR(answer_nll(engine, prompts.of_text(source, "which town").prompt, 1),
              answer_nll(engine, full, 1),
              kTolerance);
  Prompt compressed = Prompt().memory(memory).ids({11, 12}).keep("which town").ids({13});
  EXPECT_NEAR(answer_nll(engine, prompts.of_memory(memory, "which town").prompt, 1),
              answer_nll(engine, compressed, 1),
              kTolerance);
  const InstructPrompts in_chat(engine);
  EXPECT_TRUE(in_chat.chat());
  const Prompt turn = Prompt().turn("user").memory(memory).keep("\n\nwhich town");
  EXPECT_NEAR(answer_nll(engine, in_chat.of_memory(memory, "which town").prompt, 1),
              answer_nll(engine, turn, 1),
              kTolerance);
}

TEST_F(InstructTest, AnEmptyTemplateHasAnEmptyLineBeforeTheInstruction) {
  const Engine engine = load(make_small_selfcp);
  const InstructPrompts prompts(engine);
  ASSERT_FALSE(prompts.chat());
  const auto source = context(engine, 1);
  const Memory memory = engine.compress_ids(source);
  for (const auto& [templated, plain] :
       {std::pair(prompts.of_text(source, "which"), Prompt().ids(source).keep("\n\nwhich")),
        std::pair(prompts.of_memory(memory, "which"), Prompt().memory(memory).keep("which")),
        std::pair(prompts.without_text("which"), Prompt().keep("which"))})
    EXPECT_NEAR(answer_nll(engine, templated.prompt, 1), answer_nll(engine, plain, 1), kTolerance);
}

// No template was trained for its memories, so that they are placed as text is.
TEST_F(InstructTest, AnUntrainedCompressorsMemoryIsFollowedByAnEmptyLine) {
  auto decoder = load_decoder(kLlama, at::kFloat);
  auto compressor = std::make_unique<MeanPooling>(*decoder, 4);
  const Engine engine =
      Engine::assemble(std::move(decoder), std::move(compressor), load_tokenizer(kLlama));
  const InstructPrompts prompts(engine);
  ASSERT_FALSE(prompts.chat());
  const Memory memory = engine.compress_ids(context(engine, 1));
  const double templated = answer_nll(engine, prompts.of_memory(memory, "which").prompt, 1);
  EXPECT_NEAR(
      templated, answer_nll(engine, Prompt().memory(memory).keep("\n\nwhich"), 1), kTolerance);
  EXPECT_GT(std::abs(templated - answer_nll(engine, Prompt().memory(memory).keep("which"), 1)),
            kTolerance);
}

TEST_F(InstructTest, QuestionsAskForAFewWordsInTheTemplateToo) {
  const Engine engine = load(make_small_selfcp);
  const Evaluation evaluation = evaluate(engine, question_options());
  ASSERT_EQ(evaluation.chat, false);
  const double expected = mean([&](int i) {
    const Memory memory = engine.compress_ids(context(engine, i));
    return answer_nll(
        engine,
        Prompt().memory(memory).keep("which town\nAnswer with a few words from the text."),
        i);
  });
  EXPECT_NEAR(value(evaluation.tasks.at(0), "memory", "nll"), expected, kTolerance);
}

TEST_F(InstructTest, TheRoomOfAQuestionIsWhatPromptAndAnswerLeave) {
  const Engine engine = load(make_small_selfcp);
  const auto length = [&](const char* text) { return std::ssize(engine.tokenizer().encode(text)); };
  const auto path = write("one.jsonl",
                          {{{"context", "the water"},
                            {"prompt", "which town"},
                            {"answers", {"a", "a town of water"}}}});
  const QuestionItems items = read_questions(path, engine.tokenizer(), {100, 80}, 10);
  EXPECT_EQ(items.questions.at(0).room, 80 - length("which town") - length("a town of water"));
}

TEST_F(InstructTest, TheLikeliestAnswerCountsInEachArm) {
  const Engine engine = load(make_small_selfcp, chat_model());
  const auto losses = [&](const nlohmann::json& answers) {
    std::vector<nlohmann::json> rows;
    for (int i = 1; i <= 2; ++i)
      rows.push_back(
          {{"context", text(i).substr(0, 60)}, {"prompt", "which town"}, {"answers", answers}});
    EvaluationOptions options;
    options.questions = write("answers.jsonl", rows);
    const TaskResult task = evaluate(engine, options).tasks.at(0);
    return std::pair(value(task, "none", "nll"), value(task, "memory", "nll"));
  };
  const auto kind = losses({"of the kind"}), water = losses({"water"}),
             both = losses({"of the kind", "water", "water"});
  // Both texts' losses of an answer are about the same, so that one answer is the likelier in both.
  EXPECT_LE(both.first, std::min(kind.first, water.first) + kTolerance);
  EXPECT_LE(both.second, std::min(kind.second, water.second) + kTolerance);
  EXPECT_LT(both.first, std::max(kind.first, water.first));
}

TEST_F(InstructTest, QuestionsOfOneContextShareItsMemory) {
  const Engine engine = load(make_small_selfcp, chat_model());
  const std::string first = text(1).substr(0, 60), second = text(2).substr(0, 100);
  const auto path = write("shared.jsonl",
                          {{{"context", first}, {"prompt", "which town"}, {"answer", "town"}},
                           {{"context", second}, {"prompt", "which town"}, {"answer", "kind"}},
                           {{"context", first}, {"prompt", "what kind"}, {"answer", "water"}},
                           {{"context", first}, {"prompt", "what water"}, {"answer", "more"}}});
  const QuestionItems items = read_questions(path, engine.tokenizer(), {400, 400}, 10);
  EXPECT_THAT(contexts_of(items.questions), testing::ElementsAre(0, 1, 0, 0));
  EXPECT_EQ(items.questions[2].prompt, "what kind");
  ASSERT_EQ(items.contexts.size(), 2u);
  EXPECT_EQ(items.contexts[1], engine.tokenizer().encode(second));

  EvaluationOptions options;
  options.questions = path;
  const TaskResult task = evaluate(engine, options).tasks.at(0);
  EXPECT_EQ(task.num_items, 4);
  EXPECT_EQ(task.num_contexts, 2);
  const Memory one = engine.compress_ids(items.contexts[0]),
               two = engine.compress_ids(items.contexts[1]);
  // A mean over contexts.
  EXPECT_NEAR(task.ratios.at(0).memory_rows.value,
              static_cast<double>(one.num_tokens() + two.num_tokens()) / 2,
              kTolerance);
  const auto loss = [&](const Memory& memory, const char* prompt, const char* answer) {
    const std::string asked = "\n\n" + with_answer_line(prompt);
    return engine.score(Prompt().turn("user").memory(memory).keep(asked), answer).mean();
  };
  // A mean over questions.
  EXPECT_NEAR(value(task, "memory", "nll"),
              (loss(one, "which town", "town") + loss(two, "which town", "kind") +
               loss(one, "what kind", "water") + loss(one, "what water", "more")) /
                  4,
              kTolerance);
  EXPECT_NEAR(value(task, "other", "nll"),
              (loss(two, "which town", "town") + loss(one, "which town", "kind") +
               loss(two, "what kind", "water") + loss(two, "what water", "more")) /
                  4,
              kTolerance);
}

// All questions are about two texts: the interval is between the means of these.
TEST_F(InstructTest, IntervalsOfQuestionsAreOverContexts) {
  const Engine engine = load(make_small_selfcp, chat_model());
  std::vector<nlohmann::json> rows;
  for (int i = 0; i < 12; ++i)
    rows.push_back({{"context", text(1 + i % 2).substr(0, 60)},
                    {"prompt", "which town"},
                    {"answer", i % 2 == 0 ? "town" : "of the kind; town 74 is more water"}});
  EvaluationOptions options;
  options.questions = write("alike.jsonl", rows);
  const Measured nll = measured(evaluate(engine, options).tasks.at(0), "full", "nll");
  const auto loss = [&](int number, const char* answer) {
    const std::string asked = "\n\n" + with_answer_line("which town");
    return engine.score(Prompt().turn("user").ids(context(engine, number)).keep(asked), answer)
        .mean();
  };
  const double one = loss(1, "town"), two = loss(2, "of the kind; town 74 is more water");
  EXPECT_NEAR(nll.interval.low, std::min(one, two), kTolerance);
  EXPECT_NEAR(nll.interval.high, std::max(one, two), kTolerance);
}

TEST_F(InstructTest, ChineseQuestionsHaveALineInChinese) {
  const Engine engine = load(make_small_selfcp);
  const auto path = write(
      "chinese.jsonl",
      {{{"context", "the water"}, {"prompt", "\u54ea\u4e2a\u57ce\u5e02\uff1f"}, {"answer", "a"}},
       {{"context", "the water"}, {"prompt", "which town"}, {"answer", "a"}}});
  const QuestionItems items = read_questions(path, engine.tokenizer(), {400, 400}, 10);
  EXPECT_EQ(items.questions.at(0).answer_line, kChineseAnswerLine);
  EXPECT_EQ(items.questions.at(1).answer_line, "Answer with a few words from the text.");
}

// The correct answer is the first word of the model's answer about the first text.
TEST_F(InstructTest, AnswersAreComparedWithThoseOfTheFullText) {
  const Engine engine = load(make_small_selfcp, chat_model());
  const InstructPrompts prompts(engine);
  const std::string said = say(engine,
                               prompts.of_text(context(engine, 1), with_answer_line("which town")),
                               kMaxAnswerTokens);
  const std::string right = answer_words(said).at(0);
  const EvaluationOptions options = question_options();
  std::vector<nlohmann::json> rows;
  for (int i = 1; i <= 3; ++i)
    rows.push_back(
        {{"context", text(i).substr(0, 60)}, {"prompt", "which town"}, {"answer", right}});
  write("questions.jsonl", rows);
  const TaskResult task = evaluate(engine, options).tasks.at(0);
  ASSERT_GT(value(task, "full", "f1"), 0);
  ASSERT_GT(value(task, "full", "contained"), 0);
  for (const std::string arm : {"none", "verbatim", "memory", "other", "other_full"}) {
    for (const std::string mark : {"contained", "f1"})
      EXPECT_NEAR(value(task, arm, mark + "_share"),
                  value(task, arm, mark) / value(task, "full", mark),
                  kTolerance)
          << arm << " " << mark;
  }
  EXPECT_THROW(value(task, "full", "f1_share"), std::out_of_range);
  EXPECT_NEAR(value(task, "memory", "f1_over_verbatim"),
              value(task, "memory", "f1") - value(task, "verbatim", "f1"),
              kTolerance);
  EXPECT_NEAR(value(task, "memory", "f1_over_other"),
              value(task, "memory", "f1") - value(task, "other", "f1"),
              kTolerance);
}

TEST_F(InstructTest, AnswersAreMeasuredAgainstAllReferences) {
  const Engine engine = load(make_small_selfcp, chat_model());
  const TaskResult task = evaluate(engine, question_options()).tasks.at(0);
  const InstructPrompts prompts(engine);
  const std::string asked = with_answer_line("which town");
  for (const std::string arm : {"none", "verbatim", "memory", "other", "other_full", "full"}) {
    double contained = 0, f1 = 0, exact = 0;
    for (int i = 1; i <= 3; ++i) {
      const auto source = context(engine, i), another = context(engine, next(i));
      const Memory memory = engine.compress_ids(source), other = engine.compress_ids(another);
      const std::vector<TokenId> last(source.end() - memory.num_tokens(), source.end());
      const TemplatedPrompt templated = arm == "none"         ? prompts.without_text(asked)
                                        : arm == "verbatim"   ? prompts.of_text(last, asked)
                                        : arm == "memory"     ? prompts.of_memory(memory, asked)
                                        : arm == "other"      ? prompts.of_memory(other, asked)
                                        : arm == "other_full" ? prompts.of_text(another, asked)
                                                              : prompts.of_text(source, asked);
      const std::string said = say(engine, templated, kMaxAnswerTokens);
      const std::vector<std::string> right{"town " + std::to_string(i * 37), "a town"};
      contained += contains_answer(said, right) ? 1 : 0;
      f1 += answer_f1(said, right);
      exact += answer_exact_match(said, right) ? 1 : 0;
    }
    EXPECT_NEAR(value(task, arm, "contained"), contained / 3, kTolerance) << arm;
    EXPECT_NEAR(value(task, arm, "f1"), f1 / 3, kTolerance) << arm;
    EXPECT_NEAR(value(task, arm, "exact_match"), exact / 3, kTolerance) << arm;
  }
}

TEST_F(InstructTest, SummariesAreComparedWithThatOfTheFullText) {
  const Engine engine = load(make_small_selfcp, chat_model());
  const TaskResult task = evaluate(engine, text_options({EvaluationTask::kSummaries})).tasks.at(0);
  const InstructPrompts prompts(engine);
  const double expected = mean([&](int i) {
    const auto older = ids(engine, i, 0, kOlder);
    const Memory memory = engine.compress_ids(older);
    return rouge(say(engine, prompts.of_text(older, kSummaryInstruction), kMaxSummaryTokens),
                 say(engine, prompts.of_memory(memory, kSummaryInstruction), kMaxSummaryTokens))
        .rouge1;
  });
  EXPECT_NEAR(value(task, "memory", "rouge1"), expected, kTolerance);
  const double of_another = mean([&](int i) {
    const auto older = ids(engine, i, 0, kOlder), others = ids(engine, i % 3 + 1, 0, kOlder);
    const Memory memory = engine.compress_ids(others);
    return rouge(say(engine, prompts.of_text(older, kSummaryInstruction), kMaxSummaryTokens),
                 say(engine, prompts.of_memory(memory, kSummaryInstruction), kMaxSummaryTokens))
        .rouge1;
  });
  EXPECT_NEAR(value(task, "other", "rouge1"), of_another, kTolerance);
  const double of_another_text = mean([&](int i) {
    const auto older = ids(engine, i, 0, kOlder), others = ids(engine, next(i), 0, kOlder);
    return rouge(say(engine, prompts.of_text(older, kSummaryInstruction), kMaxSummaryTokens),
                 say(engine, prompts.of_text(others, kSummaryInstruction), kMaxSummaryTokens))
        .rouge1;
  });
  EXPECT_NEAR(value(task, "other_full", "rouge1"), of_another_text, kTolerance);
  EXPECT_NEAR(value(task, "memory", "rouge_l_over_verbatim"),
              value(task, "memory", "rouge_l") - value(task, "verbatim", "rouge_l"),
              kTolerance);
  EXPECT_THROW(value(task, "full", "rouge1"), std::out_of_range);
}

TEST_F(InstructTest, SummariesOfTheFileAreTheReferenceThen) {
  const Engine engine = load(make_small_selfcp, chat_model());
  EvaluationOptions options = text_options({EvaluationTask::kSummaries});
  const std::string given = "the town has more water";
  write("texts.jsonl",
        {{{"text", text(1)}, {"summary", given}},
         {{"text", text(2)}, {"summary", given}},
         {{"text", text(3)}, {"summary", given}}});
  const TaskResult task = evaluate(engine, options).tasks.at(0);
  const InstructPrompts prompts(engine);
  const double expected = mean([&](int i) {
    const auto older = ids(engine, i, 0, kOlder);
    return rouge(given, say(engine, prompts.of_text(older, kSummaryInstruction), kMaxSummaryTokens))
        .rouge_l;
  });
  EXPECT_NEAR(value(task, "full", "rouge_l"), expected, kTolerance);
}

}  // namespace
}  // namespace precis
