// SPDX-License-Identifier: Apache-2.0
#include "eval/questions.h"

#include <algorithm>
#include <map>
#include <utility>

#include "eval/metrics.h"

namespace precis {
namespace {

std::vector<Text> contexts_of(std::span<const Question> questions) {
  std::vector<Text> contexts;
  for (const Question& question : questions) contexts.emplace_back(question.context);
  return contexts;
}

std::vector<int64_t> room_of(std::span<const Question> questions) {
  std::vector<int64_t> room;
  for (const Question& question : questions) room.push_back(question.room);
  return room;
}

// Scores of answers, one value for each question.
struct AnswerScores {
  std::vector<double> contained, f1, exact;
};
using AnswerScoresByArm = std::map<Arm, AnswerScores>;

AnswerScores answer_scores(const ArmAnswers& answers, std::span<const Question> questions) {
  AnswerScores scores;
  for (size_t i = 0; i < questions.size(); ++i) {
    const std::string& answer = answers.texts[i];
    const std::vector<std::string>& references = questions[i].answers;
    scores.contained.push_back(contains_answer(answer, references) ? 1 : 0);
    scores.f1.push_back(squad_f1(answer, references));
    scores.exact.push_back(squad_exact_match(answer, references) ? 1 : 0);
  }
  return scores;
}

void add_answer_metrics(const AnswerScoresByArm& scores, Arm arm, std::vector<Metric>& metrics) {
  const AnswerScores &own = scores.at(arm), &full = scores.at(Arm::kFull);
  add_metric("contained", mean_of(own.contained), metrics);
  add_metric("f1", mean_of(own.f1), metrics);
  add_metric("exact_match", mean_of(own.exact), metrics);
  if (arm == Arm::kFull) return;
  add_metric("contained_share", ratio_of_sums(own.contained, full.contained), metrics);
  add_metric("f1_share", ratio_of_sums(own.f1, full.f1), metrics);
  if (arm != Arm::kMemory) return;
  const auto over = [&](Arm other) { return mean_difference(own.f1, scores.at(other).f1); };
  add_metric("f1_over_verbatim", over(Arm::kVerbatim), metrics);
  add_metric("f1_over_other", over(Arm::kOther), metrics);
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
            std::span<const Question> questions)
      : engine_(engine),
        readings_(readings),
        prompts_(prompts),
        questions_(questions),
        others_(other_texts(contexts_of(questions), room_of(questions))) {}

  EvaluationTask task() const override { return EvaluationTask::kQuestions; }

  void prepare(const TaskProgress& progress) override {
    for (int64_t i = 0; i < std::ssize(questions_); ++i) {
      const std::string question = with_answer_line(questions_[i].prompt);
      const Text other = questions_[others_[i]].context;
      read(Arm::kNone, prompts_.without_text(question), i, fixed_);
      read(Arm::kOtherFull, prompts_.of_text(other, question), i, fixed_);
      read(Arm::kFull, prompts_.of_text(questions_[i].context, question), i, fixed_);
      report(progress, i, std::ssize(questions_));
    }
  }

  std::vector<ArmResult> run(std::span<const TimedMemory> memories,
                             const TaskProgress& progress) override {
    AllArms all = fixed_;
    for (int64_t i = 0; i < std::ssize(questions_); ++i) {
      const std::string question = with_answer_line(questions_[i].prompt);
      const Memory &memory = memories[i].memory, &other = memories[others_[i]].memory;
      const Text last = verbatim_tail(questions_[i].context, memory);
      read(Arm::kVerbatim, prompts_.of_text(last, question), i, all);
      read(Arm::kMemory, prompts_.of_memory(memory, question), i, all);
      read(Arm::kOther, prompts_.of_memory(other, question), i, all);
      report(progress, i, std::ssize(questions_));
    }
    return with_answers(results_of(all.scores), all.answers);
  }

 private:
  void read(Arm arm, const TemplatedPrompt& templated, int64_t i, AllArms& all) const {
    const std::vector<TokenId> ids = engine_.tokenizer().encode(questions_[i].answers.front());
    add_score(readings_.score(engine_, templated.prompt, ids), all.scores[arm]);
    add_answer(readings_.answer(engine_, templated, kMaxAnswerTokens), all.answers[arm]);
  }

  std::vector<ArmResult> with_answers(std::vector<ArmResult> results,
                                      const AnswersByArm& answers) const {
    AnswerScoresByArm scores;
    for (const auto& [arm, of_arm] : answers)
      scores.emplace(arm, answer_scores(of_arm, questions_));
    for (const auto& [arm, of_arm] : answers) {
      const auto result = std::ranges::find(results, name_of(arm), &ArmResult::arm);
      add_answer_metrics(scores, arm, result->metrics);
      add_metric("generate_ms", median_of(of_arm.ms), result->metrics);
    }
    return results;
  }

  const Engine& engine_;
  Readings& readings_;
  const InstructPrompts& prompts_;
  std::span<const Question> questions_;
  std::vector<int64_t> others_;  // indices of the contexts that the controls read
  AllArms fixed_;                // the arms that do not depend on memories
};

}  // namespace

std::string with_answer_line(const std::string& question) { return question + "\n" + kAnswerLine; }

std::unique_ptr<MemoryTask> make_questions(const Engine& engine,
                                           Readings& readings,
                                           const InstructPrompts& prompts,
                                           std::span<const Question> questions) {
  return std::make_unique<Questions>(engine, readings, prompts, questions);
}

}  // namespace precis
