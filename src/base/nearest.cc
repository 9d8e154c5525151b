// SPDX-License-Identifier: Apache-2.0
#include "base/nearest.h"

#include <algorithm>
#include <vector>

namespace precis {
namespace {

constexpr size_t kShortestPrefix = 3;  // letters of a prefix that identifies a candidate
constexpr size_t kLongestWord = 64;    // longer words are not names and take long to compare

// Edit distance of two words (optimal string alignment), computed row by row.
size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> previous(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t substitution = a[i - 1] == b[j - 1] ? 0 : 1;
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + substitution});
      const bool exchanged = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (exchanged) row[j] = std::min(row[j], previous[j - 2] + 1);
    }
    std::swap(previous, last);
    std::swap(last, row);
  }
  return last[b.size()];
}

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return result;
}

}  // namespace

std::optional<std::string> nearest(std::string_view word, std::span<const std::string> candidates) {
  if (word.empty() || word.size() > kLongestWord) return std::nullopt;
  const std::string own = lower(word);
  std::optional<std::string> best;
  size_t smallest = std::max<size_t>(1, own.size() / 3) + 1;
  for (const std::string& candidate : candidates) {
    const size_t distance = edit_distance(own, lower(candidate));
    if (distance >= smallest) continue;
    smallest = distance;
    best = candidate;
  }
  const auto begins = [&](const std::string& candidate) {
    return own.size() >= kShortestPrefix && lower(candidate).starts_with(own);
  };
  if (!best || !begins(*best)) {
    const auto found = std::ranges::find_if(candidates, begins);
    if (found != candidates.end()) best = *found;
  }
  return best;
}

std::string did_you_mean(std::string_view word, std::span<const std::string> candidates) {
  const auto found = nearest(word, candidates);
  return found ? "; did you mean " + *found + "?" : "";
}

}  // namespace precis
