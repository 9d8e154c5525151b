// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

namespace precis {

// An invented fact, the question about it and the only correct answer, a number or a word.
struct NeedleFact {
  std::string sentence;
  std::string question;
  std::string answer;
  std::string answer_line;  // "Answer with the number only." or "Answer with one word only."
};

// Draws facts and places. The same on every platform: the engine is specified by the C++ standard,
// whose distributions are not.
class NeedleSource {
 public:
  explicit NeedleSource(uint64_t seed) : random_(seed) {}

  // `count` facts about different people with different answers. REQUIRES: 1 <= count <=
  // kMaxNeedles.
  std::vector<NeedleFact> facts(int64_t count);
  double share();  // uniform in [0, 1)

 private:
  uint64_t below(uint64_t bound) { return random_() % bound; }
  std::string name();
  NeedleFact fact();

  std::mt19937_64 random_;
};

inline constexpr int64_t kMaxNeedles = 32;  // of one context

}  // namespace precis
