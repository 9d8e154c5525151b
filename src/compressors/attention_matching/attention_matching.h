// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "compressors/row_selector.h"

namespace precis {

// Selects and fits keys and values by attention matching (fit.h) to the attention outputs of the
// text's own queries, in one pass over the text. Layers are fitted during the pass.
std::unique_ptr<RowSelector> make_attention_matching(const Decoder& decoder);

}  // namespace precis
