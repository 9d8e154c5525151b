// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "io/safetensors.h"
#include "precis/extend/tokenizer.h"

namespace precis {

// One line of training data as token ids: a text, or a text, a prompt about it and the answer.
struct TrainingRecord {
  std::span<const int32_t> text;
  std::span<const int32_t> prompt;
  std::span<const int32_t> answer;  // empty: the record is a text alone
};

// The ids of a prompt: everything between a text and the answer.
using PromptEncoder = std::function<std::vector<TokenId>(const std::string& prompt)>;

// A tokenised JSON Lines file (plain or zstd). With a cache file the ids are mapped from it;
// without one they are in memory (4 bytes an id).
class TokenDataset {
 public:
  // Every line is an object with a string "text", or with strings "context", "prompt" and "answer",
  // none of them empty; other fields are ignored. `cache`: a safetensors file, read if it was made
  // of this data with this tokenizer and encoder, else written; empty: none. `encode_prompt`:
  // empty: the tokenizer's encode(). `progress`: called with the share that is done, 0 to 1.
  // Throws kNotFound; kInvalidArgument for a line that has neither, which it names, and for a file
  // at `cache` that is something else; kBadWeights for a damaged cache.
  static TokenDataset read(const std::filesystem::path& path,
                           const Tokenizer& tokenizer,
                           const std::filesystem::path& cache = {},
                           const std::function<void(double)>& progress = {},
                           const PromptEncoder& encode_prompt = {});

  int64_t num_records() const { return static_cast<int64_t>(ends_.size()) / kFields; }
  int64_t num_tokens() const { return static_cast<int64_t>(ids_.size()); }
  TrainingRecord record(int64_t index) const;
  std::string fingerprint() const;  // hash of all ids and of where fields end

 private:
  static constexpr int64_t kFields = 3;  // text, prompt, answer

  struct Held;

  TokenDataset(std::shared_ptr<const void> owner,
               std::span<const int32_t> ids,
               std::span<const int64_t> ends);
  static TokenDataset tokenize(const std::filesystem::path& path,
                               const Tokenizer& tokenizer,
                               const PromptEncoder& encode_prompt,
                               const std::function<void(double)>& progress);
  static TokenDataset map(SafetensorsFile file, int64_t vocab_size);

  std::shared_ptr<const void> owner_;  // of the memory behind the spans
  std::span<const int32_t> ids_;
  std::span<const int64_t> ends_;  // of every field of every record, in ids_
};

}  // namespace precis
