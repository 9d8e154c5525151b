// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <string>

namespace precis::cli {

// A bar on standard error that redraws itself, where that is a terminal; elsewhere, nothing.
class ProgressBar {
 public:
  explicit ProgressBar(std::string title);
  ~ProgressBar();

  // done: share of the work, 0 to 1. note: shown behind the time that is left.
  void update(double done, const std::string& note = "");

 private:
  std::string title_;
  bool terminal_;
  bool drawn_ = false;
  double first_done_ = -1;  // work that was done before the clock started: a resumed run
  std::chrono::steady_clock::time_point start_;
  std::chrono::steady_clock::time_point last_;
};

}  // namespace precis::cli
