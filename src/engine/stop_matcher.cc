// SPDX-License-Identifier: Apache-2.0
#include "engine/stop_matcher.h"

#include <algorithm>
#include <utility>

namespace precis {
namespace {

// Length of the longest suffix of `text` that is a prefix of `stop`.
size_t overlap(const std::string& text, const std::string& stop) {
  for (size_t length = std::min(text.size(), stop.size()); length > 0; --length) {
    if (text.compare(text.size() - length, length, stop, 0, length) == 0) return length;
  }
  return 0;
}

}  // namespace

std::string StopMatcher::push(const std::string& text) {
  if (stopped_) return "";
  held_ += text;
  size_t first = std::string::npos, kept = 0;
  for (const std::string& stop : stops_) {
    if (stop.empty()) continue;
    first = std::min(first, held_.find(stop));
    kept = std::max(kept, overlap(held_, stop));
  }
  stopped_ = first != std::string::npos;
  const size_t certain = stopped_ ? first : held_.size() - kept;
  std::string out = held_.substr(0, certain);
  held_.erase(0, stopped_ ? held_.size() : certain);
  return out;
}

std::string StopMatcher::finish() { return std::exchange(held_, ""); }

}  // namespace precis
