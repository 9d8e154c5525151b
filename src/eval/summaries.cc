// SPDX-License-Identifier: Apache-2.0
#include "eval/summaries.h"

#include <algorithm>

#include "eval/metrics.h"

namespace precis {
namespace {

struct Rouges {
  std::vector<double> rouge1, rouge2, rouge_l;
};

class Summaries final : public MemoryTask {
 public:
  Summaries(const Engine& engine,
            Readings& readings,
            const InstructPrompts& prompts,
            std::span<const CutText> texts)
      : engine_(engine),
        readings_(readings),
        prompts_(prompts),
        texts_(texts),
        others_(other_texts(older_texts(texts))) {}

  EvaluationTask task() const override { return EvaluationTask::kSummaries; }

  void prepare(const TaskProgress& progress) override {
    ArmAnswers full;
    for (int64_t i = 0; i < std::ssize(texts_); ++i) {
      answer(prompts_.without_text(kSummaryInstruction), fixed_[Arm::kNone]);
      answer(of_text(texts_[i].older), full);
      answer(of_text(texts_[others_[i]].older), fixed_[Arm::kOtherFull]);
      const std::string& given = texts_[i].summary;
      references_.push_back(given.empty() ? full.texts.back() : given);
      report(progress, i, std::ssize(texts_));
    }
    const bool all_given =
        std::ranges::none_of(texts_, [](const CutText& text) { return text.summary.empty(); });
    if (all_given) fixed_[Arm::kFull] = std::move(full);
  }

  std::vector<ArmResult> run(std::span<const TimedMemory> memories,
                             const TaskProgress& progress) override {
    AnswersByArm answers = fixed_;
    for (int64_t i = 0; i < std::ssize(texts_); ++i) {
      const Memory &memory = memories[i].memory, &other = memories[others_[i]].memory;
      answer(of_text(verbatim_tail(texts_[i].older, memory)), answers[Arm::kVerbatim]);
      answer(prompts_.of_memory(memory, kSummaryInstruction), answers[Arm::kMemory]);
      answer(prompts_.of_memory(other, kSummaryInstruction), answers[Arm::kOther]);
      report(progress, i, std::ssize(texts_));
    }
    return results_of(answers);
  }

 private:
  TemplatedPrompt of_text(Text text) const { return prompts_.of_text(text, kSummaryInstruction); }

  void answer(const TemplatedPrompt& templated, ArmAnswers& answers) const {
    add_answer(readings_.answer(engine_, templated, kMaxSummaryTokens), answers);
  }

  Rouges rouges_of(const ArmAnswers& answers) const {
    Rouges rouges;
    for (size_t i = 0; i < references_.size(); ++i) {
      const Rouge score = rouge(references_[i], answers.texts[i]);
      rouges.rouge1.push_back(score.rouge1);
      rouges.rouge2.push_back(score.rouge2);
      rouges.rouge_l.push_back(score.rouge_l);
    }
    return rouges;
  }

  std::vector<ArmResult> results_of(const AnswersByArm& answers) const {
    std::map<Arm, Rouges> rouges;
    for (const auto& [arm, of_arm] : answers) rouges.emplace(arm, rouges_of(of_arm));
    std::vector<ArmResult> results;
    for (const auto& [arm, of_arm] : answers) {
      std::vector<Metric>& metrics = results.emplace_back(ArmResult{name_of(arm), {}}).metrics;
      add_metrics(rouges, arm, metrics);
      add_metric("generate_ms", median_of(of_arm.ms), metrics);
    }
    return results;
  }

  static void add_metrics(const std::map<Arm, Rouges>& rouges,
                          Arm arm,
                          std::vector<Metric>& metrics) {
    const Rouges& own = rouges.at(arm);
    add_metric("rouge1", mean_of(own.rouge1), metrics);
    add_metric("rouge2", mean_of(own.rouge2), metrics);
    add_metric("rouge_l", mean_of(own.rouge_l), metrics);
    if (arm != Arm::kMemory) return;
    const auto over = [&](Arm of) { return mean_difference(own.rouge_l, rouges.at(of).rouge_l); };
    add_metric("rouge_l_over_verbatim", over(Arm::kVerbatim), metrics);
    add_metric("rouge_l_over_other", over(Arm::kOther), metrics);
  }

  const Engine& engine_;
  Readings& readings_;
  const InstructPrompts& prompts_;
  std::span<const CutText> texts_;
  std::vector<int64_t> others_;  // indices of the texts that the controls read
  std::vector<std::string> references_;
  AnswersByArm fixed_;  // the arms that do not depend on memories
};

}  // namespace

std::unique_ptr<MemoryTask> make_summaries(const Engine& engine,
                                           Readings& readings,
                                           const InstructPrompts& prompts,
                                           std::span<const CutText> texts) {
  return std::make_unique<Summaries>(engine, readings, prompts, texts);
}

}  // namespace precis
