// SPDX-License-Identifier: Apache-2.0
#include "eval/ngrams.h"

#include <algorithm>
#include <utility>

namespace precis {

NgramCounts count_ngrams(const Words& words, int64_t order) {
  NgramCounts counts;
  for (int64_t first = 0; first < num_ngrams(words, order); ++first) {
    std::string ngram;
    for (int64_t i = first; i < first + order; ++i) (ngram += words[i]) += ' ';
    ++counts[std::move(ngram)];
  }
  return counts;
}

int64_t num_ngrams(const Words& words, int64_t order) {
  return std::max<int64_t>(0, std::ssize(words) - order + 1);
}

int64_t num_shared(const NgramCounts& left, const NgramCounts& right) {
  int64_t shared = 0;
  for (const auto& [ngram, count] : left) {
    const auto found = right.find(ngram);
    if (found != right.end()) shared += std::min(count, found->second);
  }
  return shared;
}

double f_measure(int64_t shared, int64_t left, int64_t right) {
  return shared == 0 ? 0 : 2 * static_cast<double>(shared) / static_cast<double>(left + right);
}

}  // namespace precis
