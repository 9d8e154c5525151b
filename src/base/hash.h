// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace precis {

// A 128-bit hash of a sequence of values (XXH3). Not cryptographic: an attacker can construct
// collisions.
class Hasher {
 public:
  Hasher();
  ~Hasher();

  void add(std::span<const std::byte> bytes);
  void add(std::string_view text);  // hashes its length, too: "ab", "c" differs from "a", "bc"
  void add(int64_t number);
  std::string hex() const;  // 32 digits

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace precis
