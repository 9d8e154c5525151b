// SPDX-License-Identifier: Apache-2.0
#include "eval/questions.h"

#include <utility>

#include "eval/metrics.h"

namespace precis {
namespace {

std::vector<Text> contexts_of(std::span<const Question> questions) {
  std::vector<Text> contexts;
  for (const Question& question : questions) contexts.emplace_back(question.context);
  return contexts;
}

class Questions final : public MemoryTask {
 public:
  Questions(const Engine& engine,
            const InstructPrompts& prompts,
            std::span<const Question> questions)
      : engine_(engine),
        prompts_(prompts),
        questions_(questions),
        others_(other_texts(contexts_of(questions))) {}

  EvaluationTask task() const override { return EvaluationTask::kQuestions; }

  void prepare(const TaskProgress& progress) override {
    for (int64_t i = 0; i < std::ssize(questions_); ++i) {
      const Question& question = questions_[i];
      const FramedPrompt none = prompts_.without_text(question.prompt),
                         full = prompts_.of_text(question.context, question.prompt);
      score(none, i, fixed_scores_[Arm::kNone]);
      score(full, i, fixed_scores_[Arm::kFull]);
      add_answer(engine_, none, kMaxAnswerTokens, fixed_answers_[Arm::kNone]);
      add_answer(engine_, full, kMaxAnswerTokens, fixed_answers_[Arm::kFull]);
      report(progress, i, std::ssize(questions_));
    }
  }

  std::vector<ArmResult> run(std::span<const TimedMemory> memories,
                             const TaskProgress& progress) override {
    ScoresByArm scores = fixed_scores_;
    std::map<Arm, ArmAnswers> answers = fixed_answers_;
    for (int64_t i = 0; i < std::ssize(questions_); ++i) {
      const Question& question = questions_[i];
      const Memory &memory = memories[i].memory, &other = memories[others_[i]].memory;
      const Text verbatim = verbatim_part(question.context, memory);
      const std::pair<Arm, FramedPrompt> prompts[] = {
          {Arm::kVerbatim, prompts_.of_text(verbatim, question.prompt)},
          {Arm::kMemory, prompts_.of_memory(memory, question.prompt)},
          {Arm::kOther, prompts_.of_memory(other, question.prompt)}};
      for (const auto& [arm, prompt] : prompts) {
        score(prompt, i, scores[arm]);
        add_answer(engine_, prompt, kMaxAnswerTokens, answers[arm]);
      }
      report(progress, i, std::ssize(questions_));
    }
    return with_answers(results_of(scores), answers);
  }

 private:
  void score(const FramedPrompt& framed, int64_t i, ArmScores& scores) const {
    const std::vector<TokenId> ids = engine_.tokenizer().encode(questions_[i].answers.front());
    add_score(engine_, framed.prompt, ids, scores);
  }

  std::vector<ArmResult> with_answers(std::vector<ArmResult> results,
                                      const std::map<Arm, ArmAnswers>& answers) const {
    for (const auto& [arm, of_arm] : answers) {
      for (ArmResult& result : results)
        if (result.arm == name_of(arm)) add_metrics(of_arm, result.metrics);
    }
    return results;
  }

  void add_metrics(const ArmAnswers& answers, std::vector<Metric>& metrics) const {
    std::vector<double> contained, f1, exact;
    for (size_t i = 0; i < answers.texts.size(); ++i) {
      const std::string& answer = answers.texts[i];
      const std::vector<std::string>& right = questions_[i].answers;
      contained.push_back(contains_answer(answer, right) ? 1 : 0);
      f1.push_back(squad_f1(answer, right));
      exact.push_back(squad_exact_match(answer, right) ? 1 : 0);
    }
    metrics.push_back({"contained", mean_of(contained)});
    metrics.push_back({"f1", mean_of(f1)});
    metrics.push_back({"exact_match", mean_of(exact)});
    metrics.push_back({"generate_ms", median_of(answers.ms)});
  }

  const Engine& engine_;
  const InstructPrompts& prompts_;
  std::span<const Question> questions_;
  std::vector<int64_t> others_;  // whose memory is the control's
  ScoresByArm fixed_scores_;     // the arms that read no memory
  std::map<Arm, ArmAnswers> fixed_answers_;
};

}  // namespace

std::unique_ptr<MemoryTask> make_questions(const Engine& engine,
                                           const InstructPrompts& prompts,
                                           std::span<const Question> questions) {
  return std::make_unique<Questions>(engine, prompts, questions);
}

}  // namespace precis
