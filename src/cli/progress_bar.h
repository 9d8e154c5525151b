// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <string>

namespace precis::cli {

// Progress on standard error: a bar on a terminal, else nothing or lines, at the first update and
// then one per minute.
class ProgressBar {
 public:
  enum class Elsewhere { kNothing, kLines };

  explicit ProgressBar(std::string title, Elsewhere elsewhere = Elsewhere::kNothing);
  ~ProgressBar() { end(); }
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  // Starts the clock for the remaining time, `seconds_ago` in the past, with the share `done`
  // already done. Without it the first update starts the clock.
  void begin(double done = 0, double seconds_ago = 0);
  // done: share of the work, 0 to 1. note: shown after the remaining time.
  void update(double done, const std::string& note = "");
  // Ends the line of the bar; a later update draws another bar.
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
