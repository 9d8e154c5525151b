// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "precis/extend/tokenizer.h"

// Metrics of a text against references. They equal those of the tools that papers use
// (tests/golden/make_metrics_golden.py, and make_answers_golden.py for Chinese), so that figures
// can be compared.
//
// Texts are UTF-8; an invalid sequence is read as U+FFFD. Space, letter and case are Unicode's, as
// in Python, with one exception: a capital sigma becomes a small one in its middle form also at the
// end of a word. Characters newer than Unicode 15 have no case.
namespace precis {

// The counts of BLEU-4; those of several texts add up.
struct BleuCounts {
  int64_t hypothesis_words = 0;
  int64_t reference_words = 0;
  std::array<int64_t, 4> shared{};  // n-grams of the hypothesis that the reference has too
  std::array<int64_t, 4> total{};   // n-grams of the hypothesis

  BleuCounts& operator+=(const BleuCounts& more);
};
BleuCounts bleu_counts(const std::string& hypothesis, const std::string& reference);

// BLEU-4 (Papineni et al. 2002) over all texts at once, 0..100: sacrebleu's corpus_bleu with one
// reference each and its defaults (13a words, upper and lower case apart, exponential smoothing).
// 0 where no word is shared or no hypothesis has four words. Throws kInvalidArgument if the numbers
// of texts differ or are 0.
double corpus_bleu(std::span<const std::string> hypotheses,
                   std::span<const std::string> references);
double bleu(const BleuCounts& counts);

// F-measures, 0..1.
struct Rouge {
  double rouge1;   // words
  double rouge2;   // pairs of words
  double rouge_l;  // longest common subsequence of words
};

// ROUGE (Lin 2004) as rouge_score's RougeScorer without a stemmer. Its words are runs of a-z and
// 0-9 in lower case: accents cut words, and texts in other scripts have none. 0 where either text
// has no such word (rouge2: no pair).
Rouge rouge(std::string_view reference, std::string_view hypothesis);

// The measures of SQuAD 1.1 (Rajpurkar et al. 2016), the best over the references. Texts are
// compared as words after lower-casing, dropping ASCII punctuation and dropping a, an and the. In
// texts with Chinese characters or kana, each of these is a word, and all punctuation is dropped
// (answer_words() in eval/words.h). All three throw kInvalidArgument if there is no reference.
//
// F-measure of the shared words, 0..1; 0 where either side has no word left.
double answer_f1(std::string_view answer, std::span<const std::string> references);
// Whether the words are the same, in order. Two texts with no word left are.
bool answer_exact_match(std::string_view answer, std::span<const std::string> references);
// Whether the words of a reference stand in the answer, in order and next to each other. Not of
// SQuAD: for models that answer in sentences. A reference with no word left is in no answer.
bool contains_answer(std::string_view answer, std::span<const std::string> references);

// Tokens before the first difference, as a share of the reference, 0..1: the exact match of a
// reconstruction. Throws kInvalidArgument for an empty reference.
double exact_prefix_share(std::span<const TokenId> hypothesis, std::span<const TokenId> reference);

}  // namespace precis
