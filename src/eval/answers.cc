// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "base/check.h"
#include "eval/metrics.h"
#include "eval/ngrams.h"

namespace precis {
namespace {

void check_references(std::span<const std::string> references) {
  PRECIS_CHECK(!references.empty(), kInvalidArgument, "answer: there is no reference");
}

double f1(const Words& answer, const Words& reference) {
  return f_measure(num_shared(count_ngrams(answer, 1), count_ngrams(reference, 1)),
                   std::ssize(answer),
                   std::ssize(reference));
}

bool contains(const Words& answer, const Words& reference) {
  return !reference.empty() && !std::ranges::search(answer, reference).empty();
}

}  // namespace

double answer_f1(std::string_view answer, std::span<const std::string> references) {
  check_references(references);
  const Words words = answer_words(answer);
  double best = 0;
  for (const std::string& reference : references) {
    best = std::max(best, f1(words, answer_words(reference)));
  }
  return best;
}

bool answer_exact_match(std::string_view answer, std::span<const std::string> references) {
  check_references(references);
  const Words words = answer_words(answer);
  return std::ranges::any_of(
      references, [&](const std::string& reference) { return answer_words(reference) == words; });
}

bool contains_answer(std::string_view answer, std::span<const std::string> references) {
  check_references(references);
  const Words words = answer_words(answer);
  return std::ranges::any_of(references, [&](const std::string& reference) {
    return contains(words, answer_words(reference));
  });
}

}  // namespace precis
