// SPDX-License-Identifier: Apache-2.0
#include "eval/questions.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "eval/answer_scores.h"

namespace precis {
namespace {

std::vector<Text> texts_of(const QuestionItems& items) {
  return {items.contexts.begin(), items.contexts.end()};
}

// The least room that a question about each context leaves for another context.
std::vector<int64_t> room_of(const QuestionItems& items) {
  std::vector<int64_t> room(items.contexts.size(), std::numeric_limits<int64_t>::max());
  for (const Question& question : items.questions)
    room[question.context] = std::min(room[question.context], question.room);
  return room;
}

struct AllArms {
  ScoresByArm scores;
  AnswersByArm answers;
};

class Questions final : public MemoryTask {
 public:
  Questions(const Engine& engine,
            Readings& readings,
            const InstructPrompts& prompts,
            const QuestionItems& items)
      : engine_(engine),
        readings_(readings),
        prompts_(prompts),
        items_(items),
        contexts_(contexts_of(items.questions)),
        others_(other_texts(texts_of(items), room_of(items))) {}

  EvaluationTask task() const override {
    return items_.needle_tokens > 0 ? EvaluationTask::kNeedles : EvaluationTask::kQuestions;
  }

  void prepare(const TaskProgress& progress) override {
    for (int64_t i = 0; i < num_questions(); ++i) {
      const std::string question = asked(i);
      const int64_t context = contexts_[i];
      read(Arm::kNone, prompts_.without_text(question), i, fixed_);
      read(Arm::kOtherFull, prompts_.of_text(text(others_[context]), question), i, fixed_);
      read(Arm::kFull, prompts_.of_text(text(context), question), i, fixed_);
      report(progress, i, num_questions());
    }
  }

  std::vector<ArmResult> run(std::span<const TimedMemory> memories,
                             const TaskProgress& progress) override {
    AllArms all = fixed_;
    for (int64_t i = 0; i < num_questions(); ++i) {
      const std::string question = asked(i);
      const int64_t context = contexts_[i];
      const Memory &memory = memories[context].memory, &other = memories[others_[context]].memory;
      const Text last = verbatim_tail(text(context), memory);
      read(Arm::kVerbatim, prompts_.of_text(last, question), i, all);
      read(Arm::kMemory, prompts_.of_memory(memory, question), i, all);
      read(Arm::kOther, prompts_.of_memory(other, question), i, all);
      report(progress, i, num_questions());
    }
    return with_answers(results_of(all.scores, contexts_), all.answers);
  }

 private:
  int64_t num_questions() const { return std::ssize(items_.questions); }
  Text text(int64_t context) const { return items_.contexts[context]; }
  std::string asked(int64_t i) const {
    return with_answer_line(items_.questions[i].prompt, items_.questions[i].answer_line);
  }

  void read(Arm arm, const TemplatedPrompt& templated, int64_t i, AllArms& all) const {
    add_score(score(templated.prompt, items_.questions[i].answers), all.scores[arm]);
    add_answer(readings_.answer(engine_, templated, kMaxAnswerTokens), all.answers[arm]);
  }

  // Of the likeliest answer.
  Readings::Scored score(const Prompt& prompt, std::span<const std::string> answers) const {
    Readings::Scored best{std::numeric_limits<double>::infinity(), 0};
    for (const std::string& answer : answers) {
      const std::vector<TokenId> ids = engine_.tokenizer().encode(answer);
      const Readings::Scored scored = readings_.score(engine_, prompt, ids);
      if (scored.nll < best.nll) best = scored;
    }
    return best;
  }

  std::vector<ArmResult> with_answers(std::vector<ArmResult> results,
                                      const AnswersByArm& answers) const {
    AnswerScoresByArm scores;
    for (const auto& [arm, of_arm] : answers)
      scores.emplace(arm, answer_scores(of_arm, items_.questions));
    for (const auto& [arm, of_arm] : answers) {
      std::vector<Metric>& metrics =
          std::ranges::find(results, name_of(arm), &ArmResult::arm)->metrics;
      add_answer_metrics(scores, arm, contexts_, metrics);
      if (task() == EvaluationTask::kNeedles)
        add_depth_metrics(scores.at(arm), items_.questions, metrics);
      add_metric("generate_ms", median_of(of_arm.ms, contexts_), metrics);
    }
    return results;
  }

  const Engine& engine_;
  Readings& readings_;
  const InstructPrompts& prompts_;
  const QuestionItems& items_;
  std::vector<int64_t> contexts_;  // of each question
  std::vector<int64_t> others_;    // of each context, the one that the controls read
  AllArms fixed_;                  // the arms that do not depend on memories
};

}  // namespace

std::string with_answer_line(const std::string& question, const std::string& answer_line) {
  return question + "\n" + answer_line;
}

std::unique_ptr<MemoryTask> make_questions(const Engine& engine,
                                           Readings& readings,
                                           const InstructPrompts& prompts,
                                           const QuestionItems& items) {
  return std::make_unique<Questions>(engine, readings, prompts, items);
}

}  // namespace precis
