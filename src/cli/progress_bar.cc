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

constexpr auto kRedrawAfter = std::chrono::milliseconds(100);
constexpr auto kLineAfter = std::chrono::minutes(1);

}  // namespace

ProgressBar::ProgressBar(std::string title, Elsewhere elsewhere)
    : title_(std::move(title)),
      terminal_(isatty(STDERR_FILENO) != 0),
      lines_(!terminal_ && elsewhere == Elsewhere::kLines),
      start_(std::chrono::steady_clock::now()) {}

void ProgressBar::begin(double done, double seconds_ago) {
  first_done_ = done;
  const std::chrono::duration<double> ago(seconds_ago);
  start_ = std::chrono::steady_clock::now() -
           std::chrono::duration_cast<std::chrono::steady_clock::duration>(ago);
}

void ProgressBar::end() {
  if (drawn_ && terminal_) std::cerr << std::endl;
  drawn_ = false;
}

std::string ProgressBar::left_at(double done, std::chrono::steady_clock::time_point now) const {
  if (done <= first_done_) return "";
  const double elapsed = std::chrono::duration<double>(now - start_).count();
  return clock_text(elapsed / (done - first_done_) * (1 - done)) + " left ";
}

void ProgressBar::update(double done, const std::string& note) {
  if (!terminal_ && !lines_) return;
  const auto now = std::chrono::steady_clock::now();
  if (first_done_ < 0) begin(done);
  if (drawn_ && lines_ && now - last_ < kLineAfter) return;
  if (drawn_ && terminal_ && done < 1 && now - last_ < kRedrawAfter) return;
  last_ = now;
  drawn_ = true;
  const int percent = static_cast<int>(done * 100);
  const std::string rest = left_at(done, now) + note;
  if (lines_) {
    std::cerr << "precis: " << title_ << " " << percent << "% " << rest << std::endl;
    return;
  }
  constexpr int kWidth = 30;
  const int filled = static_cast<int>(std::clamp(done, 0.0, 1.0) * kWidth);
  std::cerr << "\r\x1b[K" << title_ << " [" << std::string(filled, '#')
            << std::string(kWidth - filled, '.') << "] " << percent << "% " << rest << std::flush;
}

}  // namespace precis::cli
