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
#include "precis/extend/tokenizer.h"

namespace precis {

// What the model reads in place of a text.
enum class Arm {
  kNone,       // nothing
  kVerbatim,   // its last tokens, as many as its memory has memory tokens: truncation
  kMemory,     // its memory
  kOther,      // control: the memory of another text
  kOtherFull,  // control: that other text in full
  kFull,       // the text in full
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
  double ms = 0;  // to compress
};

using Text = std::span<const TokenId>;

// One memory for each text, compressed one at a time so that each is timed.
std::vector<TimedMemory> compress_texts(const Engine& engine,
                                        std::span<const Text> texts,
                                        const CompressOptions& options,
                                        const TaskProgress& progress);

// For each text the index of the text that kOther and kOtherFull read: the next one, cyclically,
// that differs and is no longer than the text's entry in `room` (empty: any length), in tokens.
// Throws kInvalidArgument if there is none.
std::vector<int64_t> other_texts(std::span<const Text> texts, std::span<const int64_t> room = {});

// What kVerbatim reads: the last tokens of a text, as many as the memory has memory tokens, or all.
Text verbatim_tail(Text text, const Memory& memory);

// The BOS id, if the model expects one before a text.
std::vector<TokenId> bos_of(const Tokenizer& tokenizer);

void add_score(const Readings::Scored& scored, ArmScores& scores);

// Appends a metric, if it has a value.
void add_metric(const char* name,
                const std::optional<Measured>& measured,
                std::vector<Metric>& metrics);

// The metrics of losses. Of each arm "nll" and "score_ms" (median); where the full text lowers the
// loss, too:
// - "recovered_share", but not of none and full: (none - arm) / (none - full);
// - "specific_share" of verbatim, memory and other: (other_full - arm) / (other_full - full), which
//   leaves out what any text of the same kind gives;
// and of memory "nll_below_verbatim" and "nll_below_other", means of paired differences, above 0
// where the memory is better. REQUIRES: all arms.
std::vector<ArmResult> results_of(const ScoresByArm& scores, Clusters clusters = {});

// Reports that item `i` of `n` is done.
void report(const TaskProgress& progress, int64_t i, int64_t n);

// A task over the texts or questions of an evaluation. Borrows the engine and the items.
class MemoryTask {
 public:
  virtual ~MemoryTask() = default;
  virtual EvaluationTask task() const = 0;
  // Why the compressor cannot do the task; empty: it can.
  virtual std::string unsupported_reason() const { return {}; }
  // Computes the arms that do not depend on memories. Called once, first.
  virtual void prepare(const TaskProgress& progress) = 0;
  // The metrics of all arms. memories: one for each text.
  virtual std::vector<ArmResult> run(std::span<const TimedMemory> memories,
                                     const TaskProgress& progress) = 0;
};

}  // namespace precis
