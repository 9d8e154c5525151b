// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "compressors/row_selector.h"

namespace precis {

// KVzip (arXiv 2505.23416): the model reads the text, then repeats it with all of it in the cache;
// the score of a cached token, in each layer and head, is the largest attention that it receives in
// the second pass (repeat_pass.h). Keys and values with the largest scores are kept unchanged, of
// each head as many as head_budgets.h gives it.

// `repeat`: the prompt that asks for the text, read before the text is repeated; may be empty.
std::unique_ptr<RowSelector> make_kvzip(std::vector<TokenId> repeat, const Decoder& decoder);

}  // namespace precis
