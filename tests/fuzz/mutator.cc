// SPDX-License-Identifier: Apache-2.0
#include "fuzz/mutator.h"

#include <algorithm>
#include <cctype>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <utility>

namespace precis::fuzz {
namespace {

constexpr uint64_t kIntegers[] = {0,
                                  1,
                                  2,
                                  0x7f,
                                  0x80,
                                  0xff,
                                  0x7fff,
                                  0x8000,
                                  0xffff,
                                  0x7fffffff,
                                  0x80000000,
                                  0xffffffff,
                                  0x100000000,
                                  0x2000000000000001,
                                  0x7fffffffffffffff,
                                  0x8000000000000000,
                                  0xffffffffffffffff};

constexpr const char* kNumbers[] = {"0",
                                    "-1",
                                    "1",
                                    "255",
                                    "65536",
                                    "2147483647",
                                    "2147483648",
                                    "4294967296",
                                    "9007199254740993",
                                    "9223372036854775807",
                                    "-9223372036854775808",
                                    "18446744073709551615",
                                    "18446744073709551616",
                                    "0.5",
                                    "1e-320",
                                    "1e308",
                                    "1e999",
                                    "-0.0",
                                    "NaN",
                                    "Infinity"};

bool is_digit(char c) { return std::isdigit(static_cast<unsigned char>(c)) != 0; }

}  // namespace

Mutator::Mutator(uint64_t seed, std::vector<std::string> words)
    : random_(seed), words_(std::move(words)) {}

// Not a distribution of the standard library, whose results are not said by the standard.
uint64_t Mutator::below(uint64_t end) { return end == 0 ? 0 : random_() % end; }

// Half of them near the beginning, where formats describe what follows.
size_t Mutator::position(const std::string& bytes) {
  const size_t end = below(2) == 0 ? bytes.size() : std::min<size_t>(bytes.size(), 1024);
  return below(end);
}

// Mostly short ones.
size_t Mutator::length(size_t most) {
  if (most == 0) return 0;
  const size_t end = below(4) == 0 ? most : std::min<size_t>(most, 16);
  return 1 + below(end);
}

std::string Mutator::mutate(std::string input, const std::string& other, size_t max_size) {
  const uint64_t changes = 1 + below(4) * below(3);
  for (uint64_t i = 0; i < changes; ++i) change_once(input, other);
  if (input.size() > max_size) input.resize(max_size);
  return input;
}

void Mutator::change_once(std::string& bytes, const std::string& other) {
  switch (below(9)) {
    case 0:
    case 1:
      return change_bytes(bytes);
    case 2:
      return write_integer(bytes);
    case 3:
      return change_digits(bytes);
    case 4:
      return add_word(bytes);
    case 5:
      return repeat_part(bytes);
    case 6:
      return move_part(bytes);
    case 7:
      return splice(bytes, other);
    default:
      bytes.erase(position(bytes), length(bytes.size()));
      if (below(8) == 0) bytes.resize(position(bytes));
  }
}

void Mutator::change_bytes(std::string& bytes) {
  if (bytes.empty()) bytes.push_back('\0');
  char& byte = bytes[position(bytes)];
  switch (below(3)) {
    case 0:
      byte = static_cast<char>(byte ^ (1 << below(8)));
      break;
    case 1:
      byte = static_cast<char>(below(256));
      break;
    default:
      byte = static_cast<char>(byte + static_cast<int>(below(9)) - 4);
  }
}

// Little-endian, as the binary formats have them; over what is there.
void Mutator::write_integer(std::string& bytes) {
  const uint64_t value = kIntegers[below(std::size(kIntegers))] + below(3) - 1;
  const size_t size = size_t{1} << below(4);
  const size_t begin = position(bytes);
  for (size_t i = 0; i < size && begin + i < bytes.size(); ++i)
    bytes[begin + i] = static_cast<char>(value >> (8 * i));
}

// The first number in text from some place on becomes another.
void Mutator::change_digits(std::string& bytes) {
  const auto from = bytes.begin() + static_cast<std::ptrdiff_t>(position(bytes));
  const auto first = std::find_if(from, bytes.end(), is_digit);
  const auto last = std::find_if_not(first, bytes.end(), is_digit);
  bytes.replace(first, last, kNumbers[below(std::size(kNumbers))]);
}

void Mutator::add_word(std::string& bytes) {
  if (words_.empty()) return change_bytes(bytes);
  const std::string& word = words_[below(words_.size())];
  const size_t begin = position(bytes);
  const size_t replaced = below(2) == 0 ? 0 : std::min(word.size(), bytes.size() - begin);
  bytes.replace(begin, replaced, word);
}

// Now and then many times, for what is nested or grows.
void Mutator::repeat_part(std::string& bytes) {
  const size_t begin = position(bytes);
  const std::string part = bytes.substr(begin, length(bytes.size()));
  const size_t times = below(16) == 0 ? below(20'000 / (part.size() + 1) + 1) : 1 + below(4);
  std::string repeated;
  for (size_t i = 0; i < times; ++i) repeated += part;
  bytes.insert(begin, repeated);
}

void Mutator::move_part(std::string& bytes) {
  const size_t begin = position(bytes);
  const std::string part = bytes.substr(begin, length(bytes.size()));
  bytes.erase(begin, part.size());
  bytes.insert(position(bytes), part);
}

void Mutator::splice(std::string& bytes, const std::string& other) {
  const size_t begin = position(bytes), from = position(other);
  if (below(2) == 0) {
    bytes.replace(begin, std::string::npos, other, from, std::string::npos);
  } else {
    bytes.insert(begin, other, from, length(other.size()));
  }
}

std::vector<std::string> read_dictionary(const std::string& path) {
  std::ifstream in(path);
  if (!in) throw std::runtime_error(path + ": cannot be read");
  std::vector<std::string> words;
  for (std::string line; std::getline(in, line);) {
    if (line.empty() || line.front() == '#') continue;
    const size_t first = line.find('"'), last = line.rfind('"');
    if (first == std::string::npos || last == first)
      throw std::runtime_error(path + ": not a word in quotes: " + line);
    std::string word;
    for (size_t i = first + 1; i < last; ++i) {
      if (line[i] != '\\') {
        word += line[i];
      } else if (line[++i] == 'x') {
        word += static_cast<char>(std::stoi(line.substr(i + 1, 2), nullptr, 16));
        i += 2;
      } else {
        word += line[i];
      }
    }
    words.push_back(word);
  }
  return words;
}

}  // namespace precis::fuzz
