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

}  // namespace precis
