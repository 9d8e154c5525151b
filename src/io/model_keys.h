// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string_view>

namespace precis {

// Architectures, as bits of a set.
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
  std::string_view name;  // one that ends in "." stands for all that begin with it
  // Architectures whose computation here obeys it, whatever it says.
  unsigned readers;
  // For the other architectures: a JSON list of values that change nothing (null is always one),
  // or "any" where the architecture's code in transformers does not look at it.
  std::string_view neutral;
  // Why another value is refused, for the message; may be empty.
  std::string_view meaning = {};
};

// Keys of config.json, and those of GGUF metadata behind "<architecture>.".
std::span<const ModelKey> config_keys();
std::span<const ModelKey> gguf_keys();

// Whether a key of config.json is about text, generation, training or files, never about the
// computation.
bool is_beside_the_computation(std::string_view config_key);

// Whether rope_scaling and rope_parameters of config.json may hold this key.
bool is_rope_key(std::string_view key);

}  // namespace precis
