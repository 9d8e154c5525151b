// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace precis {

// SHA-256 of a sequence of fields. Each is hashed with its length, so that sequences whose bytes
// are the same but are divided differently have different hashes.
class Sha256 {
 public:
  Sha256();  // throws kOutOfMemory
  ~Sha256();

  void add(std::string_view field);
  void add(std::span<const std::byte> field);
  void add(int64_t number);
  std::string hex();  // 64 digits; ends the sequence

 private:
  struct State;
  void update(const void* data, size_t size);

  std::unique_ptr<State> state_;
};

}  // namespace precis
