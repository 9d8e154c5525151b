// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace precis {

struct MemoryContents;

// The origin of a memory. Only the model with this fingerprint can read it.
struct Provenance {
  std::string method = {};                  // "selfcp", ...
  std::string model_fingerprint = {};       // of the weights that it was made for
  std::string compressor_fingerprint = {};  // of the compressor that made it
  std::string source_hash = {};             // of the token ids of its text
  int64_t source_tokens = 0;                // their number
  std::string model_name = {};              // name of the model's directory or file, if known
};

// A compressed text: a value that can be copied, saved and put into prompts. Copies share their
// tensors, which never change; all methods may be called from several threads at once. A memory is
// as sensitive as the text that it was made from.
class Memory {
 public:
  int64_t num_tokens() const;   // memory tokens, which is its length in a prompt
  int64_t hidden_size() const;  // of embeddings; of cached keys num_kv_heads * head_dim
  int64_t bytes() const;        // of its tensors
  const Provenance& provenance() const;
  std::string content_hash() const;  // of its tensors and provenance, without model_name

  // Writes a safetensors file: tensor "embeddings" [num_tokens, hidden], or "keys" and "values"
  // [num_layers, num_kv_heads, num_tokens, head_dim] and "lengths" [num_layers, num_kv_heads]
  // int64; src/memory/README.md lists its metadata. The file appears whole or not at all. Throws
  // kInvalidArgument if it cannot be written.
  void save(const std::filesystem::path& path) const;
  // Throws kNotFound, or kBadWeights if the file is damaged or not a memory.
  static Memory load(const std::filesystem::path& path);
  // The bytes of the file that save() writes, for applications that keep memories elsewhere.
  std::string serialize() const;
  // Reads what serialize() returned, or the bytes of a file of save(). Throws kBadWeights if they
  // are damaged or not a memory, calling them "memory buffer".
  static Memory deserialize(std::string_view bytes);
  // Joins memories of input embeddings end to end. In the provenance source_tokens are added up,
  // source_hash depends on the order, method and compressor_fingerprint are "mixed" where they
  // differ. Throws kInvalidArgument if there is none, if they were made for different models, or if
  // one is of cached keys and values.
  static Memory concat(std::span<const Memory> memories);
  // Adds memories of input embeddings token by token, so that many are as long as one (SelfCP's
  // "add"). Embeddings are added in the given order in float32 (float64 where one is float64) and
  // rounded once to the memories' dtype, promoted where they differ. The provenance is that of
  // concat(). Throws kInvalidArgument as concat() does, if one has more memory tokens than another,
  // or if the sum overflows the dtype.
  static Memory sum(std::span<const Memory> memories);

  explicit Memory(std::shared_ptr<const MemoryContents> contents);  // for the engine
  const MemoryContents& contents() const { return *contents_; }

 private:
  std::shared_ptr<const MemoryContents> contents_;
};

}  // namespace precis
