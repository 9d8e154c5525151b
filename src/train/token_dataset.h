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

// What one line of training data says, as token ids: a text, or a text, a prompt about it and the
// answer.
struct TrainingRow {
  std::span<const int32_t> text;
  std::span<const int32_t> prompt;
  std::span<const int32_t> answer;  // empty: the row is a text alone
};

// A prompt as ids: all that stands between a text and the answer.
using PromptEncoder = std::function<std::vector<TokenId>(const std::string& prompt)>;

// The lines of a JSON Lines file (plain or zstd) as token ids, tokenised once. With a cache file
// they stay in it, mapped into memory; without one they are held (4 bytes an id).
class TokenDataset {
 public:
  // Every line is an object with a string "text", or with strings "context", "prompt" and "answer",
  // none of them empty; other fields are ignored. `cache`: a safetensors file to be written, or
  // read if it is of this data, this tokenizer and this encoder; empty: none. `encode_prompt`:
  // empty for the tokenizer's own. Throws kNotFound, kInvalidArgument naming the line that holds
  // neither, or a file at `cache` that is something else. `progress`, if any, hears the share that
  // is done, 0 to 1.
  static TokenDataset read(const std::filesystem::path& path,
                           const Tokenizer& tokenizer,
                           const std::filesystem::path& cache = {},
                           const std::function<void(double)>& progress = {},
                           const PromptEncoder& encode_prompt = {});

  int64_t num_rows() const { return static_cast<int64_t>(ends_.size()) / kPieces; }
  int64_t num_tokens() const { return static_cast<int64_t>(ids_.size()); }
  TrainingRow row(int64_t index) const;
  std::string fingerprint() const;  // hash of all ids and of where pieces end

 private:
  static constexpr int64_t kPieces = 3;  // text, prompt, answer

  struct Held;

  TokenDataset(std::shared_ptr<const void> owner,
               std::span<const int32_t> ids,
               std::span<const int64_t> ends);
  static TokenDataset tokenize(const std::filesystem::path& path,
                               const Tokenizer& tokenizer,
                               const PromptEncoder& encode_prompt,
                               const std::function<void(double)>& progress);
  static TokenDataset map(SafetensorsFile file, int64_t vocab_size);

  std::shared_ptr<const void> owner_;  // of what the spans show
  std::span<const int32_t> ids_;
  std::span<const int64_t> ends_;  // of every piece of every row, in ids_
};

}  // namespace precis
