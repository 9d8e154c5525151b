// SPDX-License-Identifier: Apache-2.0
#include "eval/continuation.h"

namespace precis {
namespace {

class Continuation final : public MemoryTask {
 public:
  Continuation(const Engine& engine, Readings& readings, std::span<const CutText> texts)
      : engine_(engine),
        readings_(readings),
        texts_(texts),
        others_(other_texts(older_texts(texts))),
        bos_(bos_of(engine.tokenizer())) {
    engine.apply_template({}, MemoryUse::kContinue);
  }

  EvaluationTask task() const override { return EvaluationTask::kContinue; }

  void prepare(const TaskProgress& progress) override {
    for (int64_t i = 0; i < std::ssize(texts_); ++i) {
      score(of_ids(i, {}), i, fixed_[Arm::kNone]);
      score(of_ids(i, texts_[others_[i]].older), i, fixed_[Arm::kOtherFull]);
      score(of_ids(i, texts_[i].older), i, fixed_[Arm::kFull]);
      report(progress, i, std::ssize(texts_));
    }
  }

  std::vector<ArmResult> run(std::span<const TimedMemory> memories,
                             const TaskProgress& progress) override {
    ScoresByArm scores = fixed_;
    for (int64_t i = 0; i < std::ssize(texts_); ++i) {
      const Memory &memory = memories[i].memory, &other = memories[others_[i]].memory;
      score(of_ids(i, verbatim_tail(texts_[i].older, memory)), i, scores[Arm::kVerbatim]);
      score(of_memory(i, memory), i, scores[Arm::kMemory]);
      score(of_memory(i, other), i, scores[Arm::kOther]);
      report(progress, i, std::ssize(texts_));
    }
    return results_of(scores);
  }

 private:
  Prompt of_ids(int64_t i, Text before) const {
    Prompt prompt;
    if (!bos_.empty()) prompt.ids(bos_);
    if (!before.empty()) prompt.ids({before.begin(), before.end()});
    return prompt.ids(texts_[i].kept);
  }

  // As in training, the continuation mark stands before the kept tokens.
  Prompt of_memory(int64_t i, const Memory& memory) const {
    return engine_.apply_template({&memory, 1}, MemoryUse::kContinue).prompt.ids(texts_[i].kept);
  }

  void score(const Prompt& prompt, int64_t i, ArmScores& scores) const {
    add_score(readings_.score(engine_, prompt, texts_[i].scored), scores);
  }

  const Engine& engine_;
  Readings& readings_;
  std::span<const CutText> texts_;
  std::vector<int64_t> others_;  // for each text, the one that kOther and kOtherFull read
  std::vector<TokenId> bos_;
  ScoresByArm fixed_;  // of the arms that do not depend on the memories
};

}  // namespace

std::unique_ptr<MemoryTask> make_continuation(const Engine& engine,
                                              Readings& readings,
                                              std::span<const CutText> texts) {
  return std::make_unique<Continuation>(engine, readings, texts);
}

}  // namespace precis
