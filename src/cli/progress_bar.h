// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <string>

namespace precis::cli {

// A bar on standard error that redraws itself, where that is a terminal; elsewhere nothing, or
// lines: one at the first update, then one a minute.
class ProgressBar {
 public:
  enum class Elsewhere { kNothing, kLines };

  explicit ProgressBar(std::string title, Elsewhere elsewhere = Elsewhere::kNothing);
  ~ProgressBar() { end(); }
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  // Work begins, or began so many seconds ago, of which the share `done` was done before. Without
  // it, time is told from the second update on.
  void begin(double done = 0, double seconds_ago = 0);
  // done: share of the work, 0 to 1. note: shown behind the time that is left.
  void update(double done, const std::string& note = "");
  // Leaves the bar as it is; a later update draws another.
  void end();

 private:
  std::string left_at(double done, std::chrono::steady_clock::time_point now) const;

  std::string title_;
  bool terminal_;
  bool lines_;
  bool drawn_ = false;
  double first_done_ = -1;  // work that was done before the clock started
  std::chrono::steady_clock::time_point start_;
  std::chrono::steady_clock::time_point last_;
};

}  // namespace precis::cli
