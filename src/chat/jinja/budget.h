// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bit>
#include <cstddef>

#include "base/check.h"

namespace precis::jinja {

// What one rendering may use. Templates arrive inside model files, so a hostile one has to end in
// an Error, after a bounded time and with bounded memory. Every loop whose length depends on data
// is charged before it runs, by what it costs: a byte is about what is copied in a nanosecond, a
// step what an expression takes.
class Budget {
 public:
  static constexpr size_t kMaxSteps = 10'000'000;
  static constexpr size_t kMaxBytes = size_t{512} << 20;  // made or read, over the whole rendering
  static constexpr size_t kMaxText = size_t{64} << 20;    // of one string, so of the output as well
  static constexpr int kMaxNesting = 500;                 // of evaluations, macro calls included

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

  // Bytes that are looked at one character after the other, which takes longer than copying.
  void scan(size_t bytes) {
    constexpr size_t kPerByte = 8;
    touch(kPerByte * bytes);
  }
  // Finding a key among `count` others that are in order.
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

// One level of recursion, for as long as it lives.
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
