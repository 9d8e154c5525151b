// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "eval/evaluation.h"
#include "eval/readings.h"
#include "eval/timed.h"
#include "precis/engine.h"

namespace precis {

// What the model reads in place of a text that does not fit.
enum class Arm {
  kNone,       // nothing
  kVerbatim,   // as many of its last tokens as its memory has rows
  kMemory,     // its memory
  kOther,      // the memory of another text: what a memory is worth that knows nothing of the text
  kOtherFull,  // that other text in full: what any text of the kind is worth
  kFull,       // all of it
};

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

// For each text the next one that differs, going round, and that is no longer than the text's
// entry in `room` (empty: any length): kOther and kOtherFull read it. Throws kInvalidArgument for a
// text without one.
std::vector<int64_t> other_texts(std::span<const Text> texts, std::span<const int64_t> room = {});

// The last tokens of a text: as many as the memory has rows, or all.
Text verbatim_part(Text text, const Memory& memory);

// The id that the model wants before a text, if any.
std::vector<TokenId> bos_of(const Tokenizer& tokenizer);

void add_score(const Readings::Scored& scored, ArmScores& scores);

// Adds a metric where there is one.
void add_metric(const char* name,
                const std::optional<Measured>& measured,
                std::vector<Metric>& metrics);

// Of each arm "nll" and "score_ms" (median), and where the full text gains something:
// - "recovered_share", but not of none and full: (none - arm) / (none - full);
// - "specific_share" of verbatim, memory and other: (other_full - arm) / (other_full - full), what
//   the arm gains over any text of the kind;
// and of memory "nll_below_verbatim" and "nll_below_other", means of paired differences, above 0
// where the memory is better. REQUIRES: all arms are there.
std::vector<ArmResult> results_of(const ScoresByArm& scores);

// Tells how far a loop is: after item `i` of `n`.
void report(const TaskProgress& progress, int64_t i, int64_t n);

// What is asked of the texts or questions of an evaluation. Borrows the engine and the items.
class MemoryTask {
 public:
  virtual ~MemoryTask() = default;
  virtual EvaluationTask task() const = 0;
  // Why the compressor cannot do it; empty: it can.
  virtual std::string obstacle() const { return {}; }
  // The arms that read neither a memory nor as much text as one has rows. Called once, first.
  virtual void prepare(const TaskProgress& progress) = 0;
  // All arms. memories: one for each item.
  virtual std::vector<ArmResult> run(std::span<const TimedMemory> memories,
                                     const TaskProgress& progress) = 0;
};

}  // namespace precis
