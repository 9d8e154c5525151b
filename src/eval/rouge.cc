// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdint>
#include <vector>

#include "eval/metrics.h"
#include "eval/ngrams.h"

namespace precis {
namespace {

double rouge_n(const Words& reference, const Words& hypothesis, int64_t order) {
  return f_measure(num_shared(count_ngrams(reference, order), count_ngrams(hypothesis, order)),
                   num_ngrams(reference, order),
                   num_ngrams(hypothesis, order));
}

// The dynamic programming table, of which two rows are kept.
int64_t longest_common_subsequence(const Words& left, const Words& right) {
  std::vector<int64_t> above(right.size() + 1);
  std::vector<int64_t> row(right.size() + 1);
  for (const std::string& word : left) {
    for (size_t i = 0; i < right.size(); ++i) {
      row[i + 1] = word == right[i] ? above[i] + 1 : std::max(above[i + 1], row[i]);
    }
    above.swap(row);
  }
  return above.back();
}

}  // namespace

Rouge rouge(std::string_view reference, std::string_view hypothesis) {
  const Words left = rouge_words(reference);
  const Words right = rouge_words(hypothesis);
  return {rouge_n(left, right, 1),
          rouge_n(left, right, 2),
          f_measure(longest_common_subsequence(left, right), std::ssize(left), std::ssize(right))};
}

}  // namespace precis
