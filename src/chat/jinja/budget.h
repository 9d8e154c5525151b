// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bit>
#include <cstddef>

#include "base/check.h"

// The limits of a rendering.
namespace precis::jinja {

// The time and memory that one rendering may use. Templates come with model files and are
// untrusted: a hostile one has to end in an Error, after a bounded time and with bounded memory.
// Every loop whose length depends on data is charged before it runs. A byte costs about as much as
// copying a byte of memory, a step as much as evaluating an expression.
class Budget {
 public:
  static constexpr size_t kMaxSteps = 10'000'000;
  static constexpr size_t kMaxBytes = size_t{512} << 20;  // written or read, in total
  static constexpr size_t kMaxText = size_t{64} << 20;    // bytes of one string; the output is one
  static constexpr int kMaxNesting = 500;  // levels of evaluation, macro calls included

  void step(size_t count = 1) {
    steps_ += count;
    PRECIS_CHECK(steps_ <= kMaxSteps, kInvalidArgument, "more than ", kMaxSteps, " steps");
  }
  void touch(size_t bytes) {
    bytes_ += bytes;
    PRECIS_CHECK(bytes_ <= kMaxBytes, kInvalidArgument, "more than ", kMaxBytes, " bytes of work");
  }
  size_t steps() const { return steps_; }
  size_t bytes() const { return bytes_; }

  // Bytes that are decoded character by character, which takes longer than copying.
  void scan(size_t bytes) {
    constexpr size_t kPerByte = 8;
    touch(kPerByte * bytes);
  }
  // A search in an ordered map of `count` keys.
  void search(size_t key_bytes, size_t count) {
    constexpr size_t kPerComparison = 16;
    touch(key_bytes + kPerComparison * (1 + static_cast<size_t>(std::bit_width(count))));
  }

 private:
  friend class Nesting;

  size_t steps_ = 0;
  size_t bytes_ = 0;
  int nesting_ = 0;
};

// One level of recursion while it lives.
class Nesting {
 public:
  explicit Nesting(Budget& budget) : budget_(budget) {
    PRECIS_CHECK(budget.nesting_ < Budget::kMaxNesting,
                 kInvalidArgument,
                 "nested deeper than ",
                 Budget::kMaxNesting,
                 " levels");
    ++budget_.nesting_;
  }
  ~Nesting() { --budget_.nesting_; }
  Nesting(const Nesting&) = delete;
  Nesting& operator=(const Nesting&) = delete;

 private:
  Budget& budget_;
};

}  // namespace precis::jinja
