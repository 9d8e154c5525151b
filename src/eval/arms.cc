// SPDX-License-Identifier: Apache-2.0
#include "eval/arms.h"

#include <algorithm>

#include "base/check.h"

namespace precis {

std::string name_of(Arm arm) {
  switch (arm) {
    case Arm::kNone:
      return "none";
    case Arm::kVerbatim:
      return "verbatim";
    case Arm::kMemory:
      return "memory";
    case Arm::kOther:
      return "other";
    case Arm::kFull:
      return "full";
  }
  fail(ErrorKind::kInternal, "evaluation: no such arm");
}

std::vector<TimedMemory> compress_texts(const Engine& engine,
                                        std::span<const Text> texts,
                                        const CompressOptions& options,
                                        const TaskProgress& progress) {
  std::vector<TimedMemory> memories;
  for (const Text text : texts) {
    double ms = 0;
    Memory memory = timed(ms, [&] { return engine.compress_ids(text, options); });
    memories.push_back({std::move(memory), ms});
    report(progress, std::ssize(memories) - 1, std::ssize(texts));
  }
  return memories;
}

std::vector<int64_t> other_texts(std::span<const Text> texts) {
  std::vector<int64_t> others;
  const int64_t n = std::ssize(texts);
  for (int64_t i = 0; i < n; ++i) {
    int64_t step = 1;
    while (step < n && std::ranges::equal(texts[i], texts[(i + step) % n])) ++step;
    PRECIS_CHECK(step < n,
                 kInvalidArgument,
                 "evaluation: two texts that differ are needed, since the control reads the memory "
                 "of another; there are ",
                 n,
                 ", all the same");
    others.push_back((i + step) % n);
  }
  return others;
}

Text verbatim_part(Text text, const Memory& memory) {
  return text.last(std::min<size_t>(memory.num_tokens(), text.size()));
}

std::vector<TokenId> bos_of(const Tokenizer& tokenizer) {
  const SpecialTokens& special = tokenizer.special_tokens();
  if (!special.add_bos || !special.bos) return {};
  return {*special.bos};
}

void add_score(const Engine& engine, const Prompt& prompt, Text ids, ArmScores& scores) {
  double ms = 0;
  scores.nll.push_back(timed(ms, [&] { return engine.score_ids(prompt, ids).mean(); }));
  scores.ms.push_back(ms);
}

std::vector<ArmResult> results_of(const ScoresByArm& scores) {
  const std::vector<double>&none = scores.at(Arm::kNone).nll, &full = scores.at(Arm::kFull).nll;
  std::vector<ArmResult> results;
  for (const auto& [arm, of_arm] : scores) {
    ArmResult& result = results.emplace_back(ArmResult{name_of(arm), {}});
    result.metrics.push_back({"nll", mean_of(of_arm.nll)});
    if (arm != Arm::kNone && arm != Arm::kFull) {
      if (const auto share = recovered_share(none, of_arm.nll, full))
        result.metrics.push_back({"recovered_share", *share});
    }
    result.metrics.push_back({"score_ms", median_of(of_arm.ms)});
  }
  return results;
}

void report(const TaskProgress& progress, int64_t i, int64_t n) {
  if (progress) progress(static_cast<double>(i + 1) / static_cast<double>(n));
}

}  // namespace precis
