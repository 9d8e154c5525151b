// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

// Word rules of the metrics.
namespace precis {

using Words = std::vector<std::string>;

// The rules of mteval-v13a as in sacrebleu: symbols are words, case is kept.
Words bleu_words(std::string_view text);

// Runs of a-z and 0-9, after lower-casing.
Words rouge_words(std::string_view text);

// Lower case, without ASCII punctuation and English articles.
Words squad_words(std::string_view text);

// Whether a text holds Chinese characters, Japanese kana, or punctuation, letters or digits in the
// full-width forms that are used with them.
bool has_cjk(std::string_view text);

// The words of squad_words(), but of a text with has_cjk(): each Chinese character and each kana is
// a word, as are runs of other characters between them and spaces; all punctuation and symbols of
// Unicode are left out. This is the mixed segmentation of CMRC 2018 (Cui et al. 2019), for texts
// without spaces.
Words answer_words(std::string_view text);

}  // namespace precis
