// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>

#include "compressors/row_selector.h"
#include "precis/extend/memory_tensors.h"

namespace precis {

// The rows that stay of a chunk that was read at positions 0 .. num_positions - 1.
struct PlacedRows {
  SelectedRows selected;
  int64_t num_positions = 0;
  int64_t num_sinks = 0;   // leading rows that later chunks of a text drop
  int64_t num_before = 0;  // positions before the text (BOS), which later chunks do not take
};

// The memory of a text out of the rows of its chunks, one behind the other. With the positions of
// the text a row stays as far from what follows as it was. With those of its rows the text is cut
// into blocks of up to 512 tokens whose distances shrink to the rows that are left of them: within
// a block, and from its end to what follows, nothing changes, so that the keys of the last block
// are those of the text. Rows of a block then overlap those of the one before, which attention does
// not mind, and may stand at negative positions.
CachedTokens laid_out(std::span<const PlacedRows> chunks,
                      MemoryPositions positions,
                      const DecoderConfig& config);

}  // namespace precis
