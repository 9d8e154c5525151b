// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string_view>

namespace precis {

// Sets of architectures, as bits.
enum KeyReaders : unsigned {
  kNoArchitecture = 0,
  kLlama = 1,
  kMistral = 2,
  kQwen2 = 4,
  kQwen3 = 8,
  kGemma3 = 16,
  kQwen = kQwen2 | kQwen3,
  kEveryArchitecture = 31,
};

// A setting of a model's configuration that can change what the model computes.
struct ModelKey {
  std::string_view name;  // if it ends in ".", all keys that begin with it
  // Architectures for which Precis implements every value of it.
  unsigned readers;
  // For the other architectures: a JSON list of values without effect (null is always one), or
  // "any" if the architecture's code in transformers does not read it.
  std::string_view neutral;
  // Why another value is refused, for the message; may be empty.
  std::string_view meaning = {};
};

// Keys of config.json, and of GGUF metadata after "<architecture>.".
std::span<const ModelKey> config_keys();
std::span<const ModelKey> gguf_keys();

// Whether a key of config.json is about text, generation, training or files, never about the
// computation.
bool is_beside_the_computation(std::string_view config_key);

// Whether rope_scaling and rope_parameters of config.json may hold this key.
bool is_rope_key(std::string_view key);

}  // namespace precis
