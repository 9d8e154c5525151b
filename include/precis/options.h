// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "precis/extend/tokenizer.h"

namespace precis {

enum class Dtype { kFloat32, kBFloat16 };
enum class DeviceKind { kCpu, kCuda };

// How a segment that is too long for one pass is compressed (SelfCP's modes, arXiv 2405.17052).
enum class Chaining {
  kIndependent,  // "cat": parts know nothing of each other; batched, and each can be reused
  kConcat,       // part i reads the memories of all parts before it; all memories are kept
  kRecursive,    // part i reads the memory of part i - 1; only the last memory is kept
};

// Where a memory of cached keys and values stands in the model's window. Attention sees differences
// of positions only, so that both are read alike.
enum class MemoryPositions {
  kText,  // as many positions as its text has tokens: what follows stands where it stood
  kRows,  // as many as it has rows: a text that is longer than the window can be read
};

// Progress callback: the share of the work that is done, 0 to 1, on the compressing thread.
// Returning false cancels.
using CompressProgress = std::function<bool(double done)>;

struct CompressOptions {
  // Context tokens per memory token, at least 1; none: the compressor's own.
  std::optional<double> ratio = {};
  Chaining chaining = Chaining::kIndependent;
  // Tokens in one pass, at most the compressor's own limit; none: that limit.
  std::optional<int64_t> segment = {};
  // Of memories that are cached keys and values; none: the compressor's own.
  std::optional<MemoryPositions> positions = {};
  CompressProgress progress = {};
};

// What a memory is read for.
enum class MemoryUse {
  kAutoencode,  // to say the text again
  kContinue,    // to go on with the text
  kInstruct,    // to answer a prompt about the text
};

// What to do with a prompt that, with the tokens to be generated, is longer than the context
// window.
enum class Overflow {
  kRefuse,          // throw kInvalidArgument
  kTruncate,        // drop the oldest tokens of the text that may be compressed
  kCompressFormer,  // compress the beginning of that text, keep its end verbatim
  kCompressLatter,  // compress its end, keep its beginning verbatim
  kCompressAll,     // compress all of it
};

struct GenerationOptions {
  int64_t max_tokens = 256;
  double temperature = 0.0;         // 0: greedy; at most 1e6
  int64_t top_k = 0;                // 0: off
  double top_p = 1.0;               // 1: off
  double min_p = 0.0;               // 0: off
  double repetition_penalty = 1.0;  // 1: off; over prompt and output
  uint64_t seed = 0;
  std::vector<std::string> stop = {};  // output ends before the first of these strings
  // And before these token ids, beside the model's own end tokens.
  std::vector<TokenId> stop_ids = {};
  std::vector<TokenId> suppressed_ids = {};  // never drawn
  Overflow overflow = Overflow::kRefuse;
  CompressOptions compression = {};  // for text that the prompt has compressed
  int64_t context_limit = 0;         // tokens of prompt and output in all; 0: the model's own
};

// How the model's matrices are kept. Quantised on loading, from whatever the file holds; norms,
// biases and all that is computed stay in the dtype.
enum class WeightFormat {
  kDtype,
  kInt8,  // a scale for each output
  kInt4,  // a scale and a minimum for each group of 32; embedding and head as in kInt8
};

struct EngineOptions {
  std::filesystem::path model = {};  // a GGUF file or a Hugging Face directory
  // A directory with compressor.json, or a built-in compressor that needs no training:
  // "attention_matching" (also where this is empty) or "kvzip".
  std::filesystem::path compressor = {};
  std::optional<Dtype> dtype = {};  // none: bfloat16 on GPUs and processors that have it
  DeviceKind device = DeviceKind::kCpu;
  WeightFormat weights = WeightFormat::kDtype;
  // Threads that compute, at most; fewer are used while other programs keep the cores busy. What is
  // computed does not depend on it, up to rounding. 0: ATen's number (the physical cores, those of
  // the process's affinity, or at::set_num_threads), and no more than a control group's quota.
  int64_t threads = 0;
};

}  // namespace precis
