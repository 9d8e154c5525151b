// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "precis/token.h"

namespace precis {

enum class Dtype { kFloat32, kBFloat16 };
enum class DeviceKind { kCpu, kCuda };

// How a text that is too long for one pass is compressed: it is divided into segments (SelfCP's
// modes, arXiv 2405.17052).
enum class Chaining {
  kIndependent,  // "cat": segments do not see each other; they are batched, and can be reused
  kConcat,       // segment i reads the memories of all segments before it; all memories are kept
  kRecursive,    // segment i reads the memory of segment i - 1; only the last memory is kept
};

// The positions that a memory of keys and values takes in the context window. Attention depends on
// differences of positions only, so that both are read alike.
enum class MemoryPositions {
  kText,  // as many as its text has tokens: what follows has the position that it had before
  kRows,  // as many as it has memory tokens: texts longer than the context window can be read
};

// Progress callback: the share of the work that is done, 0 to 1, on the compressing thread.
// Returning false cancels.
using CompressProgress = std::function<bool(double done)>;

struct CompressOptions {
  // Tokens of text per memory token, at least 1; none: the compressor's own ratio.
  std::optional<double> ratio = {};
  Chaining chaining = Chaining::kIndependent;
  // The most tokens in one pass, at most the compressor's own limit; none: that limit.
  std::optional<int64_t> segment = {};
  // For memories of keys and values; none: the compressor's own choice.
  std::optional<MemoryPositions> positions = {};
  // Seconds to refine each memory in, sampling included; 0: off. Gradient steps on the memory move
  // what the model predicts behind it towards what it predicts behind the full text, which has to
  // fit the model's window. A memory that is worse on held-out samples is never returned.
  double refine_seconds = 0;
  CompressProgress progress = {};
};

// The use of a memory: each has a template of its own (Engine::apply_template).
enum class MemoryUse {
  kAutoencode,  // reproduce the text
  kContinue,    // continue the text
  kInstruct,    // answer a prompt about the text
};

// What to do with a prompt that, with max_tokens, is longer than the context window. "Context" is
// text of Prompt::Treatment::kContext.
enum class Overflow {
  kRefuse,          // throw kInvalidArgument
  kTruncate,        // drop the oldest tokens of the context
  kCompressFormer,  // compress the beginning of the context, keep its end verbatim
  kCompressLatter,  // compress the end of the context, keep its beginning verbatim
  kCompressAll,     // compress all of the context
};

struct GenerationOptions {
  int64_t max_tokens = 256;                  // tokens to generate at most, at least 1
  double temperature = 0.0;                  // 0: greedy; at most 1e6
  int64_t top_k = 0;                         // 0: off
  double top_p = 1.0;                        // 1: off
  double min_p = 0.0;                        // 0: off
  double repetition_penalty = 1.0;           // 1: off; applies to tokens of prompt and output
  uint64_t seed = 0;                         // of the random draws
  std::vector<std::string> stop = {};        // output ends before the first of these texts
  std::vector<TokenId> stop_ids = {};        // and before these ids, besides the model's own
  std::vector<TokenId> suppressed_ids = {};  // never drawn
  Overflow overflow = Overflow::kRefuse;
  CompressOptions compression = {};  // for text of the prompt that is compressed
  int64_t context_limit = 0;         // tokens of prompt and output together; 0: the model's limit
};

// The format of the model's weight matrices. They are quantised on loading, whatever the file
// holds; norms, biases and activations stay in EngineOptions::dtype.
enum class WeightFormat {
  kDtype,
  kInt8,  // a scale for each output
  kInt4,  // a scale and a minimum for each group of 32; embedding and head as in kInt8
};

// Limits of requests that are served together (Engine::submit). Calls that answer closed lists
// (generate, generate_batch) are not limited.
struct ServingOptions {
  // Bytes of keys and values at once. A request is let in when its prompt and max_tokens fit
  // beside those of the others, and is refused if they never will. Not counted are the weights and
  // what a pass needs besides. 0: no limit.
  int64_t cache_bytes = 0;
  int64_t max_running = 0;    // requests that are compressed, read or decoded at once; 0: no limit
  int64_t max_queued = 1024;  // requests that wait; one more is refused (kBusy). 0: no limit
  // Time for prompts between two tokens of an answer. Longer prompts are read in several passes.
  // Compression is interrupted where the compressor reports progress.
  double prompt_budget_ms = 50;
};

struct EngineOptions {
  std::filesystem::path model = {};  // a GGUF file or a Hugging Face directory
  // A directory with compressor.json, or the name of a compressor that needs no training:
  // "attention_matching" (the default, also if this is empty) or "kvzip".
  std::filesystem::path compressor = {};
  std::optional<Dtype> dtype = {};  // none: bfloat16 on GPUs and processors that support it
  DeviceKind device = DeviceKind::kCpu;
  WeightFormat weights = WeightFormat::kDtype;
  // The most threads that one call computes on; fewer are used while other programs keep the cores
  // busy. Results do not depend on it, up to rounding. 0: ATen's number (the physical cores, those
  // of the process's affinity, or at::set_num_threads), at most a control group's quota.
  int64_t threads = 0;
  ServingOptions serving = {};
};

}  // namespace precis
