// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "precis/extend/memory_tensors.h"
#include "precis/extend/segment.h"
#include "precis/options.h"

namespace precis {

struct CompressorInfo {
  std::string method;         // "selfcp", ...
  double ratio = 0;           // text tokens per memory token, unless the caller chooses
  bool any_ratio = false;     // whether CompressOptions::ratio can be chosen
  int64_t max_segment = 0;    // tokens read in one pass; longer segments are divided
  int64_t slots = 0;          // memory tokens of every chunk, whatever its length; 0: by the ratio
  bool divides = true;        // whether it divides longer segments; otherwise they are refused
  bool any_chaining = false;  // whether CompressOptions::chaining can be chosen
  bool reads_prefix = false;  // whether Segment::prefix is read
  // Memories are keys and values: only kept text and other such memories can precede them.
  bool cached = false;
  std::vector<TokenId> reserved_ids;  // ids of no text: never sampled
  int64_t num_parameters = 0;
  std::string fingerprint;  // hash of its own weights
};

// One item of the template around a memory: token ids, or trained input embeddings [n, hidden].
using TemplateItem = std::variant<std::vector<TokenId>, at::Tensor>;

// The template around memories that a compressor was trained with.
struct MemoryTemplate {
  std::vector<TemplateItem> before;  // before the memories
  std::vector<TemplateItem> after;   // between the memories and the text that follows them
  std::vector<TemplateItem> end;     // after that text, before the answer
  std::vector<TokenId> answer_ends;  // stop ids of the answer, beside the model's own
};

struct NamedTensor {
  std::string name;
  at::Tensor tensor;
};

// Turns segments into memories. Borrows the decoder it was made with, which must outlive it.
// compress() is const and differentiable with respect to parameters(); it may be called from
// several threads as long as the parameters do not change.
class Compressor {
 public:
  virtual ~Compressor() = default;

  virtual CompressorInfo info() const = 0;

  // Memory tokens that a segment of `num_tokens` becomes. Throws kInvalidArgument for num_tokens
  // < 1.
  virtual int64_t memory_size(int64_t num_tokens, const CompressOptions& options) const = 0;

  // One memory for each segment, in order. Throws kInvalidArgument for an empty segment, for ids
  // outside the vocabulary and for options that the method does not support, kCancelled if
  // options.progress returns false.
  virtual std::vector<MemoryTensors> compress(std::span<const Segment> segments,
                                              const CompressOptions& options) const = 0;

  // Throws kUnsupported for a use that the compressor was not trained for.
  virtual MemoryTemplate memory_template(MemoryUse use) const = 0;

  // The trainable tensors, which share storage with the compressor.
  virtual std::vector<NamedTensor> parameters() = 0;

  // Writes compressor.json and compressor.safetensors into `directory`.
  virtual void save(const std::filesystem::path& directory) const = 0;
};

// For compressors: calls `progress`, if any, with the share that is done, 0 to 1. Throws kCancelled
// if it returns false.
void report_progress(const CompressProgress& progress, double done);

}  // namespace precis
