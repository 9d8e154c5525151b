// SPDX-License-Identifier: Apache-2.0
// Invented facts, hidden in texts.
#include "eval/needles.h"

#include <set>

#include "eval/needle_facts.h"
#include "eval/sentences.h"
#include "evaluate_fixture.h"
#include "precis/extend/load_tokenizer.h"

namespace precis {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(Sentences, EndBeforeSpaceAndBeginWithIt) {
  EXPECT_THAT(sentences_of("One is 1.5. Two?  Three! \"Four.\" five"),
              ElementsAre("One is 1.5.", " Two?", "  Three!", " \"Four.\" five"));
  EXPECT_THAT(sentences_of("A title\n\nA line\nand more. "),
              ElementsAre("A title", "\n\nA line\nand more. "));
  EXPECT_THAT(sentences_of("\n\nA text"), ElementsAre("\n\nA text"));
  EXPECT_TRUE(sentences_of("").empty());
}

// "One. 'Two!' (Three?) four" in Chinese, with full-width punctuation and no space.
TEST(Sentences, EndAfterChinesePunctuation) {
  EXPECT_THAT(
      sentences_of("\u4e00\u3002\u201c\u4e8c\uff01\u201d\uff08\u4e09\uff1f\uff09\u56db"),
      ElementsAre(
          "\u4e00\u3002", "\u201c\u4e8c\uff01\u201d", "\uff08\u4e09\uff1f\uff09", "\u56db"));
}

TEST(Sentences, JoinedAreTheText) {
  const std::string text = "  A. B\n\n\nC! \u3002\u3002 D?\nE.\n";
  std::string joined;
  for (const std::string& sentence : sentences_of(text)) joined += sentence;
  EXPECT_EQ(joined, text);
}

// The numbers are those of a separate mt19937_64 seeded with 1: after four draws for each fact, one
// for a place.
TEST(NeedleSource, DrawsTheSameEverywhere) {
  NeedleSource source(1);
  const std::vector<NeedleFact> facts = source.facts(3);
  EXPECT_EQ(facts[0].sentence, "The access code of Olga Corbett's locker is 25246.");
  EXPECT_EQ(facts[0].question, "What is the access code of Olga Corbett's locker?");
  EXPECT_EQ(facts[0].answer, "25246");
  EXPECT_EQ(facts[0].answer_line, "Answer with the number only.");
  EXPECT_EQ(facts[1].sentence, "The access code of Jonas Underhill's locker is 20665.");
  EXPECT_EQ(facts[2].sentence, "The access code of Quinn Abbott's locker is 55563.");
  EXPECT_DOUBLE_EQ(source.share(), 0.7896519695064835);
}

// Seeded with 2, the second fact that is drawn has the first one's answer and is left out.
TEST(NeedleSource, FactsOfATextDiffer) {
  const std::vector<NeedleFact> facts = NeedleSource(2).facts(2);
  EXPECT_EQ(facts[0].sentence, "The password that Zelda Farrow chose is pillow.");
  EXPECT_EQ(facts[1].sentence, "The sign over the shop of Greta Granger shows a violin.");
  EXPECT_EQ(facts[1].answer_line, "Answer with one word only.");
  std::set<std::string> answers, questions;
  for (const NeedleFact& fact : NeedleSource(3).facts(kMaxNeedles)) {
    answers.insert(fact.answer);
    questions.insert(fact.question);
    EXPECT_THAT(fact.sentence, HasSubstr(fact.answer));
    EXPECT_THAT(fact.question, testing::Not(HasSubstr(fact.answer)));
  }
  EXPECT_EQ(std::ssize(answers), kMaxNeedles);
  EXPECT_EQ(std::ssize(questions), kMaxNeedles);
}

class NeedlesTest : public EvaluateTest {
 protected:
  // 40 sentences each, of about 20 tokens.
  static std::vector<std::string> texts(int count) {
    std::vector<std::string> texts;
    for (int i = 1; i <= count; ++i) {
      std::string& text = texts.emplace_back();
      for (int j = 1; j <= 40; ++j)
        text += "The water of town " + std::to_string(100 * i + j) + " is more of the kind. ";
    }
    return texts;
  }
  QuestionItems make(int num_texts, int64_t tokens, int64_t limit, uint64_t seed = 1) const {
    NeedleOptions options;
    options.texts = "texts.jsonl";
    options.per_text = 3;
    options.seed = seed;
    return make_needles(texts(num_texts), *tokenizer, options, tokens, limit, 1000);
  }
  std::string context_of(const QuestionItems& items, const Question& question) const {
    return tokenizer->decode(items.contexts.at(question.context));
  }
  std::filesystem::path write_texts() const {
    std::vector<nlohmann::json> rows;
    for (const std::string& text : texts(3)) rows.push_back({{"text", text}});
    return write("texts.jsonl", rows);
  }

  std::unique_ptr<Tokenizer> tokenizer = load_tokenizer(kLlama);
};

TEST_F(NeedlesTest, ContextsHaveTheLengthAndTheFacts) {
  for (const int64_t tokens : {200, 400}) {
    const QuestionItems items = make(4, tokens, 9);
    ASSERT_EQ(items.questions.size(), 9u);
    ASSERT_EQ(items.contexts.size(), 3u);
    EXPECT_EQ(items.needle_tokens, tokens);
    for (const auto& context : items.contexts) {
      EXPECT_LE(std::ssize(context), tokens);
      EXPECT_GE(std::ssize(context), tokens - 30);
    }
    NeedleSource source(1);
    const std::vector<NeedleFact> facts = source.facts(3);
    for (int i = 0; i < 3; ++i) {
      const Question& question = items.questions[i];
      EXPECT_EQ(question.context, 0);
      EXPECT_EQ(question.prompt, facts[i].question);
      EXPECT_THAT(question.answers, ElementsAre(facts[i].answer));
      EXPECT_EQ(question.answer_line, facts[i].answer_line);
      EXPECT_THAT(context_of(items, question), HasSubstr(facts[i].sentence));
    }
  }
}

TEST_F(NeedlesTest, FactsStandAtDepthsThatAreDrawn) {
  const QuestionItems items = make(4, 400, 9);
  NeedleSource source(1);
  for (int context = 0; context < 3; ++context) {
    const std::vector<NeedleFact> facts = source.facts(3);
    for (int i = 0; i < 3; ++i) {
      const double share = source.share();
      const Question& question = items.questions[3 * context + i];
      // A sentence is a twelfth of what stands beside the facts.
      EXPECT_NEAR(question.depth, share, 0.05);
      const std::string text = context_of(items, question);
      const double place = static_cast<double>(text.find(facts[i].sentence)) /
                           static_cast<double>(text.size() - facts[i].sentence.size());
      // Other facts, a tenth of the text each, stand before or after it.
      EXPECT_NEAR(place, question.depth, 0.25);
    }
  }
}

TEST_F(NeedlesTest, FactsStandBetweenSentences) {
  const QuestionItems items = make(4, 400, 9);
  NeedleSource source(1);
  std::string text = context_of(items, items.questions[0]);
  EXPECT_EQ(text.substr(0, 4), "The ");
  for (const NeedleFact& fact : source.facts(3)) {
    const size_t at = text.find(fact.sentence);
    ASSERT_NE(at, std::string::npos);
    text.erase(at > 0 ? at - 1 : 0, fact.sentence.size() + 1);
  }
  EXPECT_EQ(text, texts(1)[0].substr(0, text.size()));
}

TEST_F(NeedlesTest, AllLengthsAskTheSame) {
  const QuestionItems shorter = make(4, 200, 9), longer = make(4, 400, 9),
                      other = make(4, 200, 9, 2);
  for (size_t i = 0; i < 9; ++i) EXPECT_EQ(shorter.questions[i].prompt, longer.questions[i].prompt);
  EXPECT_NE(shorter.questions[0].prompt, other.questions[0].prompt);
}

TEST_F(NeedlesTest, ContextsGoOnWhereTheLastOneEnded) {
  const QuestionItems items = make(4, 200, 9);
  std::set<std::string> sentences;
  size_t num_sentences = 0;
  for (const auto& context : items.contexts) {
    for (const std::string& sentence : sentences_of(tokenizer->decode(context))) {
      sentences.insert(sentence.substr(sentence.find_first_not_of(" \n")));
      ++num_sentences;
    }
  }
  EXPECT_EQ(sentences.size(), num_sentences);
}

TEST_F(NeedlesTest, TheLimitAndTheTextsEndThem) {
  EXPECT_EQ(make(4, 200, 5).questions.size(), 5u);
  EXPECT_EQ(make(4, 200, 5).contexts.size(), 2u);
  const QuestionItems all = make(1, 300, 100);
  EXPECT_EQ(all.questions.size(), 3 * all.contexts.size());
  EXPECT_LT(all.contexts.size(), 10u);
  const auto refuse = [&](int num_texts, int64_t tokens, int64_t limit, const std::string& part) {
    expect_error(ErrorKind::kInvalidArgument, part, [&] { make(num_texts, tokens, limit); });
  };
  refuse(1, 700, 9, "texts.jsonl: 1 contexts of 700 tokens");
  refuse(1, 5000, 9, "texts.jsonl: 0 contexts");
  refuse(4, 200, 3, "a higher limit");
  refuse(4, 50, 9, "contexts of 50 tokens have no room for 3 facts");
}

TEST_F(NeedlesTest, AreEvaluatedAtEachLength) {
  const Engine engine = load(make_small_selfcp, chat_model());
  EvaluationOptions options;
  options.needles.texts = write_texts();
  options.needles.tokens = {250, 200, 250};
  options.limit = 6;
  options.ratios = {4};
  const Evaluation evaluation = evaluate(engine, options);
  ASSERT_EQ(evaluation.tasks.size(), 2u);
  for (size_t i = 0; i < 2; ++i) {
    const TaskResult& task = evaluation.tasks[i];
    EXPECT_EQ(task.task, EvaluationTask::kNeedles);
    EXPECT_EQ(task.needle_tokens, i == 0 ? 200 : 250);
    EXPECT_EQ(task.num_items, 6);
    EXPECT_EQ(task.num_contexts, 2);
    // A quarter of the tokens, rounded up in each chunk.
    EXPECT_GT(task.ratios.at(0).memory_rows.value, i == 0 ? 150 / 4 : 200 / 4);
    EXPECT_LE(task.ratios.at(0).memory_rows.value, i == 0 ? 200 / 3 : 250 / 3);
    for (const char* arm : {"none", "verbatim", "memory", "other", "other_full", "full"}) {
      EXPECT_GE(value(task, arm, "contained"), 0) << arm;
      EXPECT_GT(value(task, arm, "nll"), 0) << arm;
    }
  }
}

// The likelihood of the first fact's answer, after the first context in full.
TEST_F(NeedlesTest, AreAskedForWithTheirOwnLine) {
  const Engine engine = load(make_small_selfcp, chat_model());
  EvaluationOptions options;
  options.needles.texts = write_texts();
  options.needles.tokens = {200};
  options.needles.per_text = 1;
  options.limit = 2;
  const TaskResult task = evaluate(engine, options).tasks.at(0);
  const QuestionItems items =
      make_needles(texts(3), engine.tokenizer(), options.needles, 200, 2, 1000);
  double nll = 0;
  for (const Question& question : items.questions) {
    const Prompt prompt = Prompt()
                              .turn("user")
                              .ids(items.contexts[question.context])
                              .keep("\n\n" + question.prompt + "\n" + question.answer_line);
    nll += engine.score(prompt, question.answers[0]).mean() / 2;
  }
  EXPECT_NEAR(value(task, "full", "nll"), nll, 1e-6);
}

TEST_F(NeedlesTest, BadOptionsAreRefused) {
  const Engine engine = load(make_small_selfcp);
  EvaluationOptions options;
  options.needles.texts = write_texts();
  const auto refuse = [&](const std::string& part) {
    expect_error(ErrorKind::kInvalidArgument, part, [&] { evaluate(engine, options); });
  };
  options.needles.tokens = {500};
  refuse("needles are in contexts of 500 tokens");
  options.needles.tokens = {};
  refuse("needles have no length");
  options.needles.tokens = {200};
  options.needles.per_text = 0;
  refuse("needles per text are 0");
  options.needles.per_text = 3;
  write("texts.jsonl", {{{"text", ""}}});
  refuse("texts.jsonl: line 1 has no string \"text\"");
  options = {};
  options.tasks = {EvaluationTask::kNeedles};
  options.texts = write_texts();
  refuse("needles needs texts for needles");
}

}  // namespace
}  // namespace precis
