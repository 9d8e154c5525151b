// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>

namespace precis {

// The measured speed of prompt passes. Older passes count less, and passes by their duration.
class PassRate {
 public:
  using Seconds = std::chrono::duration<double>;

  void add(int64_t tokens, Seconds duration) {
    if (duration.count() <= 0) return;
    tokens_ = kDecay * tokens_ + static_cast<double>(tokens);
    seconds_ = kDecay * seconds_ + duration.count();
  }
  // 0: nothing was measured.
  double tokens_per_second() const { return seconds_ > 0 ? tokens_ / seconds_ : 0; }

 private:
  static constexpr double kDecay = 0.8;
  double tokens_ = 0;
  double seconds_ = 0;
};

}  // namespace precis
