// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>

namespace precis {

struct MemoryContents;

// Where a memory comes from. It can only be read by the model with this fingerprint.
struct Provenance {
  std::string method = {};                  // "selfcp", ...
  std::string model_fingerprint = {};       // of the weights it was made for
  std::string compressor_fingerprint = {};  // of the compressor that made it
  std::string source_hash = {};             // of the token ids of its text
  int64_t source_tokens = 0;                // how many those are
  std::string model_name = {};  // what the model's directory or file is called, if known
};

// A compressed text: a value that can be kept, copied, saved and put into prompts. Copies share
// their rows, which never change. As sensitive as the text that it was made from.
class Memory {
 public:
  int64_t num_tokens() const;  // memory tokens: rows that it takes in a prompt
  int64_t hidden_size() const;
  int64_t bytes() const;  // of the rows as held
  const Provenance& provenance() const;
  std::string content_hash() const;  // of all but model_name

  // A safetensors file: tensor "embeddings" [num_tokens, hidden], or "keys" and "values" [layers,
  // kv_heads, num_tokens, head_dim] and "lengths" [layers, kv_heads] int64, the rows of each head,
  // with metadata first_position, next_position and num_sinks; provenance as metadata. The file
  // appears whole or not at all. Throws kInvalidArgument if it cannot be written.
  void save(const std::filesystem::path& path) const;
  // Throws kNotFound, or kBadWeights if the file is damaged or no memory.
  static Memory load(const std::filesystem::path& path);
  // Memories of input embeddings one after the other. Throws kInvalidArgument if there is none, if
  // they were made for different models, or if one is of cached keys and values.
  static Memory concat(std::span<const Memory> memories);
  // Memories of input embeddings added row by row, so that many take the room of one (SelfCP's
  // "add"). Rows are added in the given order in float32 (float64 where one is float64) and rounded
  // once to the memories' dtype, or to the one that holds them all. The provenance is that of
  // concat: source_tokens add up, source_hash depends on the order. Throws kInvalidArgument as
  // concat does, if one has more memory tokens than another, or if the dtype cannot hold the sum.
  static Memory sum(std::span<const Memory> memories);

  explicit Memory(std::shared_ptr<const MemoryContents> contents);  // for the engine
  const MemoryContents& contents() const { return *contents_; }

 private:
  std::shared_ptr<const MemoryContents> contents_;
};

}  // namespace precis
