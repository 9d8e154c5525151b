// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

namespace precis::fuzz {

// Makes new inputs of old ones. The same seed and inputs give the same results on every machine.
class Mutator {
 public:
  // `words`: what the format is made of, such as keywords.
  Mutator(uint64_t seed, std::vector<std::string> words);

  // A few changes to `input`, some of them with parts of `other`; at most `max_size` bytes.
  std::string mutate(std::string input, const std::string& other, size_t max_size);

  uint64_t below(uint64_t end);  // 0 .. end - 1; 0 where end is 0

 private:
  size_t position(const std::string& bytes);
  size_t length(size_t most);
  void change_once(std::string& bytes, const std::string& other);
  void change_bytes(std::string& bytes);
  void write_integer(std::string& bytes);
  void change_digits(std::string& bytes);
  void add_word(std::string& bytes);
  void repeat_part(std::string& bytes);
  void move_part(std::string& bytes);
  void splice(std::string& bytes, const std::string& other);

  std::mt19937_64 random_;
  std::vector<std::string> words_;
};

// The words of a dictionary as libFuzzer reads it: a line `"word"` or `name="word"` each, with \\,
// \" and \xAB inside; lines that begin with # are comments. Throws std::runtime_error naming the
// line that is none.
std::vector<std::string> read_dictionary(const std::string& path);

}  // namespace precis::fuzz
