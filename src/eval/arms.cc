// SPDX-License-Identifier: Apache-2.0
#include "eval/arms.h"

#include <algorithm>

#include "base/check.h"

namespace precis {
namespace {

int64_t other_text(int64_t i, std::span<const Text> texts, std::span<const int64_t> room) {
  const int64_t n = std::ssize(texts);
  bool differs = false;
  for (int64_t step = 1; step < n; ++step) {
    const int64_t other = (i + step) % n;
    if (std::ranges::equal(texts[i], texts[other])) continue;
    differs = true;
    if (room.empty() || std::ssize(texts[other]) <= room[i]) return other;
  }
  PRECIS_CHECK(differs,
               kInvalidArgument,
               "evaluation: at least two different texts are needed, since the control reads the "
               "memory of another text; there are ",
               n,
               ", all the same");
  fail(ErrorKind::kInvalidArgument,
       "evaluation: the prompt of a question leaves room for ",
       room[i],
       " tokens of context; no other context, which the control needs, is that short");
}

void add_shares(const ScoresByArm& scores,
                Arm arm,
                Clusters clusters,
                std::vector<Metric>& metrics) {
  if (arm == Arm::kNone || arm == Arm::kFull) return;
  const auto nll = [&](Arm of) -> std::span<const double> { return scores.at(of).nll; };
  const auto share = [&](Arm from) {
    return gained_share(nll(from), nll(arm), nll(Arm::kFull), clusters);
  };
  const auto below = [&](Arm of) { return mean_difference(nll(of), nll(arm), clusters); };
  add_metric("recovered_share", share(Arm::kNone), metrics);
  if (arm != Arm::kOtherFull) add_metric("specific_share", share(Arm::kOtherFull), metrics);
  if (arm != Arm::kMemory) return;
  add_metric("nll_below_verbatim", below(Arm::kVerbatim), metrics);
  add_metric("nll_below_other", below(Arm::kOther), metrics);
}

}  // namespace

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
    case Arm::kOtherFull:
      return "other_full";
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

std::vector<int64_t> other_texts(std::span<const Text> texts, std::span<const int64_t> room) {
  std::vector<int64_t> others;
  for (int64_t i = 0; i < std::ssize(texts); ++i) others.push_back(other_text(i, texts, room));
  return others;
}

Text verbatim_tail(Text text, const Memory& memory) {
  return text.last(std::min<size_t>(memory.num_tokens(), text.size()));
}

std::vector<TokenId> bos_of(const Tokenizer& tokenizer) {
  const SpecialTokens& special = tokenizer.special_tokens();
  if (!special.add_bos || !special.bos) return {};
  return {*special.bos};
}

void add_score(const Readings::Scored& scored, ArmScores& scores) {
  scores.nll.push_back(scored.nll);
  scores.ms.push_back(scored.ms);
}

void add_metric(const char* name,
                const std::optional<Measured>& measured,
                std::vector<Metric>& metrics) {
  if (measured) metrics.push_back({name, *measured});
}

std::vector<ArmResult> results_of(const ScoresByArm& scores, Clusters clusters) {
  std::vector<ArmResult> results;
  for (const auto& [arm, of_arm] : scores) {
    ArmResult& result = results.emplace_back(ArmResult{name_of(arm), {}});
    add_metric("nll", mean_of(of_arm.nll, clusters), result.metrics);
    add_shares(scores, arm, clusters, result.metrics);
    add_metric("score_ms", median_of(of_arm.ms, clusters), result.metrics);
  }
  return results;
}

void report(const TaskProgress& progress, int64_t i, int64_t n) {
  if (progress) progress(static_cast<double>(i + 1) / static_cast<double>(n));
}

}  // namespace precis
