// SPDX-License-Identifier: Apache-2.0
#include "cli/progress_bar.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <iostream>

namespace precis::cli {
namespace {

std::string clock_text(double seconds) {
  char text[32];
  const auto whole = static_cast<long>(seconds);
  std::snprintf(text, sizeof text, "%ld:%02ld:%02ld", whole / 3600, whole / 60 % 60, whole % 60);
  return text;
}

}  // namespace

ProgressBar::ProgressBar(std::string title)
    : title_(std::move(title)),
      terminal_(isatty(STDERR_FILENO) != 0),
      start_(std::chrono::steady_clock::now()) {}

ProgressBar::~ProgressBar() {
  if (drawn_) std::cerr << std::endl;
}

void ProgressBar::update(double done, const std::string& note) {
  if (!terminal_) return;
  const auto now = std::chrono::steady_clock::now();
  if (first_done_ < 0) first_done_ = done;
  if (drawn_ && done < 1 && now - last_ < std::chrono::milliseconds(100)) return;
  last_ = now;
  drawn_ = true;
  constexpr int kWidth = 30;
  const int filled = static_cast<int>(std::clamp(done, 0.0, 1.0) * kWidth);
  const double elapsed = std::chrono::duration<double>(now - start_).count();
  const double left = done > first_done_ ? elapsed / (done - first_done_) * (1 - done) : 0;
  std::cerr << "\r\x1b[K" << title_ << " [" << std::string(filled, '#')
            << std::string(kWidth - filled, '.') << "] " << static_cast<int>(done * 100) << "% "
            << clock_text(left) << " left " << note << std::flush;
}

}  // namespace precis::cli
