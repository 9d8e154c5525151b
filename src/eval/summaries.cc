// SPDX-License-Identifier: Apache-2.0
#include "eval/summaries.h"

#include <algorithm>

#include "eval/metrics.h"

namespace precis {
namespace {

class Summaries final : public MemoryTask {
 public:
  Summaries(const Engine& engine, const InstructPrompts& prompts, std::span<const CutText> texts)
      : engine_(engine),
        prompts_(prompts),
        texts_(texts),
        others_(other_texts(older_parts(texts))) {}

  EvaluationTask task() const override { return EvaluationTask::kSummaries; }

  void prepare(const TaskProgress& progress) override {
    answer(prompts_.without_text(kSummaryInstruction), none_);
    ArmAnswers full;
    for (int64_t i = 0; i < std::ssize(texts_); ++i) {
      answer(prompts_.of_text(texts_[i].older, kSummaryInstruction), full);
      const std::string& given = texts_[i].summary;
      references_.push_back(given.empty() ? full.texts.back() : given);
      report(progress, i, std::ssize(texts_));
    }
    const bool all_given =
        std::ranges::none_of(texts_, [](const CutText& text) { return text.summary.empty(); });
    if (all_given) full_ = std::move(full);
  }

  std::vector<ArmResult> run(std::span<const TimedMemory> memories,
                             const TaskProgress& progress) override {
    ArmAnswers verbatim, memory, other;
    for (int64_t i = 0; i < std::ssize(texts_); ++i) {
      const Text kept = verbatim_part(texts_[i].older, memories[i].memory);
      answer(prompts_.of_text(kept, kSummaryInstruction), verbatim);
      answer(prompts_.of_memory(memories[i].memory, kSummaryInstruction), memory);
      answer(prompts_.of_memory(memories[others_[i]].memory, kSummaryInstruction), other);
      report(progress, i, std::ssize(texts_));
    }
    std::vector<ArmResult> results{result_of(Arm::kNone, none_),
                                   result_of(Arm::kVerbatim, verbatim),
                                   result_of(Arm::kMemory, memory),
                                   result_of(Arm::kOther, other)};
    if (full_) results.push_back(result_of(Arm::kFull, *full_));
    return results;
  }

 private:
  void answer(const FramedPrompt& framed, ArmAnswers& answers) const {
    add_answer(engine_, framed, kMaxSummaryTokens, answers);
  }

  ArmResult result_of(Arm arm, const ArmAnswers& answers) const {
    std::vector<double> rouge1, rouge2, rouge_l;
    for (size_t i = 0; i < references_.size(); ++i) {
      // Without the text all prompts are the same, and so is what is said.
      const std::string& said = answers.texts[answers.texts.size() == 1 ? 0 : i];
      const Rouge score = rouge(references_[i], said);
      rouge1.push_back(score.rouge1);
      rouge2.push_back(score.rouge2);
      rouge_l.push_back(score.rouge_l);
    }
    return {name_of(arm),
            {{"rouge1", mean_of(rouge1)},
             {"rouge2", mean_of(rouge2)},
             {"rouge_l", mean_of(rouge_l)},
             {"generate_ms", median_of(answers.ms)}}};
  }

  const Engine& engine_;
  const InstructPrompts& prompts_;
  std::span<const CutText> texts_;
  std::vector<int64_t> others_;  // whose memory is the control's
  std::vector<std::string> references_;
  ArmAnswers none_;                 // one for all texts
  std::optional<ArmAnswers> full_;  // where it is not the reference
};

}  // namespace

std::unique_ptr<MemoryTask> make_summaries(const Engine& engine,
                                           const InstructPrompts& prompts,
                                           std::span<const CutText> texts) {
  return std::make_unique<Summaries>(engine, prompts, texts);
}

}  // namespace precis
