// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

// The words that each family of metrics counts.
namespace precis {

using Words = std::vector<std::string>;

// By the rules of mteval-v13a as sacrebleu has them: symbols stand alone, case is kept.
Words bleu_words(std::string_view text);

// Runs of a-z and 0-9, after lower-casing.
Words rouge_words(std::string_view text);

// Lower case, without ASCII punctuation and English articles.
Words squad_words(std::string_view text);

}  // namespace precis
