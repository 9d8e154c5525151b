// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <cmath>
#include <cstdint>

#include "base/check.h"
#include "eval/metrics.h"
#include "eval/ngrams.h"

namespace precis {
namespace {

constexpr int64_t kMaxOrder = 4;

// Papineni et al. 2002, section 2.2.2.
double log_brevity_penalty(const BleuCounts& counts) {
  const auto hypothesis = static_cast<double>(counts.hypothesis_words);
  const auto reference = static_cast<double>(counts.reference_words);
  return hypothesis < reference ? 1 - reference / hypothesis : 0;
}

}  // namespace

BleuCounts& BleuCounts::operator+=(const BleuCounts& more) {
  hypothesis_words += more.hypothesis_words;
  reference_words += more.reference_words;
  for (int64_t i = 0; i < kMaxOrder; ++i) {
    shared[i] += more.shared[i];
    total[i] += more.total[i];
  }
  return *this;
}

BleuCounts bleu_counts(const std::string& hypothesis, const std::string& reference) {
  const Words words = bleu_words(hypothesis);
  const Words reference_words = bleu_words(reference);
  BleuCounts counts;
  counts.hypothesis_words = std::ssize(words);
  counts.reference_words = std::ssize(reference_words);
  for (int64_t order = 1; order <= kMaxOrder; ++order) {
    counts.shared[order - 1] =
        num_shared(count_ngrams(words, order), count_ngrams(reference_words, order));
    counts.total[order - 1] = num_ngrams(words, order);
  }
  return counts;
}

// The first order without a shared n-gram counts as half a one, the next as a quarter, and so on
// (method 3 of Chen and Cherry 2014).
double bleu(const BleuCounts& counts) {
  if (counts.shared[0] == 0 || counts.total[kMaxOrder - 1] == 0) return 0;
  double log_precisions = 0;
  double smoothed = 1;
  for (int64_t i = 0; i < kMaxOrder; ++i) {
    auto shared = static_cast<double>(counts.shared[i]);
    if (counts.shared[i] == 0) shared = smoothed /= 2;
    log_precisions += std::log(shared / static_cast<double>(counts.total[i]));
  }
  return 100 * std::exp(log_brevity_penalty(counts) + log_precisions / kMaxOrder);
}

double corpus_bleu(std::span<const std::string> hypotheses,
                   std::span<const std::string> references) {
  PRECIS_CHECK(hypotheses.size() == references.size(),
               kInvalidArgument,
               "bleu: ",
               hypotheses.size(),
               " hypotheses for ",
               references.size(),
               " references");
  PRECIS_CHECK(!references.empty(), kInvalidArgument, "bleu: there is nothing to score");
  BleuCounts counts;
  for (size_t i = 0; i < references.size(); ++i)
    counts += bleu_counts(hypotheses[i], references[i]);
  return bleu(counts);
}

}  // namespace precis
