// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "precis/tokenizer.h"

namespace precis {

// The texts of a JSON Lines file as token ids, held in memory (4 bytes an id).
class TextDataset {
 public:
  // Reads the string field `text` of every line. Throws kNotFound, or kInvalidArgument naming the
  // line that is not a JSON object with such a field. `progress`, if any, hears the share that is
  // done, 0 to 1.
  static TextDataset read(const std::filesystem::path& path,
                          const Tokenizer& tokenizer,
                          const std::function<void(double)>& progress = {});

  int64_t num_texts() const { return static_cast<int64_t>(starts_.size()) - 1; }
  int64_t num_tokens() const { return static_cast<int64_t>(ids_.size()); }
  std::span<const int32_t> text(int64_t index) const;
  std::string fingerprint() const;  // hash of all ids and of where texts end

 private:
  std::vector<int32_t> ids_;
  std::vector<int64_t> starts_{0};
};

// Where one training example lies: `older` tokens to be compressed, then `target` tokens that
// follow them.
struct ExampleRange {
  int64_t text;
  int64_t first;
  int64_t older;
  int64_t target;
};

struct ExampleLengths {
  int64_t min_older = 64;
  int64_t max_older = 256;
  int64_t target = 96;
};

// Draws examples: the same seed and index give the same example, whatever was drawn before, so that
// a resumed run sees what the interrupted one would have seen. Longer texts are drawn more often,
// in proportion to where a target can lie.
class ExampleSampler {
 public:
  // Throws kInvalidArgument if no text is long enough.
  ExampleSampler(const TextDataset& dataset, ExampleLengths lengths, uint64_t seed);

  // `older`: tokens to be compressed, as drawn by older_length(); shorter where the text is.
  ExampleRange draw(uint64_t index, int64_t older) const;
  int64_t older_length(uint64_t index) const;
  int64_t longest_older() const;       // that any example of these texts can have
  double share(uint64_t index) const;  // uniform in [0, 1): decides between objectives

 private:
  const TextDataset& dataset_;
  ExampleLengths lengths_;
  uint64_t seed_;
  std::vector<int64_t> eligible_;    // texts that are long enough
  std::vector<int64_t> cumulative_;  // places where an example can start, summed up
};

}  // namespace precis
