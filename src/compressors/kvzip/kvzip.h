// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <vector>

#include "compressors/row_selector.h"

namespace precis {

// KVzip (arXiv 2505.23416): the model reads the text, then says it again with all of it in the
// cache; a row's score, in each layer and head, is the largest attention that it receives
// meanwhile. The rows with the largest scores stay as they are. `repeat`: ids that ask for the
// text, read before it is said again; may be empty.
std::unique_ptr<RowSelector> make_kvzip(std::vector<TokenId> repeat, const Decoder& decoder);

}  // namespace precis
