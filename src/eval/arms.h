// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "eval/evaluation.h"
#include "precis/engine.h"

namespace precis {

// The ways to read a text that does not fit: not at all; as many of its last tokens as its memory
// has rows; its memory; the memory of another text, which tells what a memory is worth that knows
// nothing of the text; all of it.
enum class Arm { kNone, kVerbatim, kMemory, kOther, kFull };

std::string name_of(Arm arm);

using TaskProgress = std::function<void(double done)>;  // 0 to 1; may be empty

// One for each item.
struct ArmScores {
  std::vector<double> nll;  // mean over the scored ids, in nats
  std::vector<double> ms;
};
using ScoresByArm = std::map<Arm, ArmScores>;

struct TimedMemory {
  Memory memory;
  double ms = 0;  // that compressing took
};

using Text = std::span<const TokenId>;

// One memory for each text, made one at a time so that each has its time.
std::vector<TimedMemory> compress_texts(const Engine& engine,
                                        std::span<const Text> texts,
                                        const CompressOptions& options,
                                        const TaskProgress& progress);

// For each text the next one that differs, going round: its memory is the control's. Throws
// kInvalidArgument if all texts are the same.
std::vector<int64_t> other_texts(std::span<const Text> texts);

// The last tokens of a text: as many as the memory has rows, or all.
Text verbatim_part(Text text, const Memory& memory);

// The id that the model wants before a text, if any.
std::vector<TokenId> bos_of(const Tokenizer& tokenizer);

// Scores `ids` after the prompt.
void add_score(const Engine& engine, const Prompt& prompt, Text ids, ArmScores& scores);

// Of each arm "nll", "score_ms" (median) and, but for none and full, "recovered_share", where there
// is something to recover. REQUIRES: none and full are there.
std::vector<ArmResult> results_of(const ScoresByArm& scores);

// Runs `work` and adds to `ms` how long it took.
template <typename Work>
auto timed(double& ms, const Work& work) -> decltype(work()) {
  const auto start = std::chrono::steady_clock::now();
  auto result = work();
  ms += std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
  return result;
}

// Tells how far a loop is: after item `i` of `n`.
void report(const TaskProgress& progress, int64_t i, int64_t n);

// What is asked of the texts or questions of an evaluation. Borrows the engine and the items.
class MemoryTask {
 public:
  virtual ~MemoryTask() = default;
  virtual EvaluationTask task() const = 0;
  // Why the compressor cannot do it; empty: it can.
  virtual std::string obstacle() const { return {}; }
  // The arms that read no memory. Called once, first.
  virtual void prepare(const TaskProgress& progress) = 0;
  // All arms. memories: one for each item.
  virtual std::vector<ArmResult> run(std::span<const TimedMemory> memories,
                                     const TaskProgress& progress) = 0;
};

}  // namespace precis
