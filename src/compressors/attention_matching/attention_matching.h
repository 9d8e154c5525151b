// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <vector>

#include "compressors/row_selector.h"

namespace precis {

// Selects and fits keys and values by attention matching (fit.h) to the attention outputs of the
// queries of two passes: the text's own, and those of the model repeating the text
// (repeat_pass.h). Heads keep as many tokens as their scores in the second pass give them
// (head_budgets.h). `repeat`: the prompt that asks for the text; may be empty.
std::unique_ptr<RowSelector> make_attention_matching(std::vector<TokenId> repeat,
                                                     const Decoder& decoder);

}  // namespace precis
