// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "compressors/row_selector.h"

namespace precis {

// Rows selected and fitted by attention matching (fit.h) to what the text's own queries find, one
// pass over the text. Layers are fitted as the pass goes through them.
std::unique_ptr<RowSelector> make_attention_matching(const Decoder& decoder);

}  // namespace precis
