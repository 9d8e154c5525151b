// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>

#include "compressors/row_selector.h"
#include "precis/extend/memory_tensors.h"

namespace precis {

// Kept tokens of a chunk that was read at positions 0 .. num_positions - 1.
struct PlacedRows {
  SelectedRows selected;
  int64_t num_positions = 0;
  int64_t num_sinks = 0;   // leading tokens, dropped from all chunks but the first
  int64_t num_before = 0;  // positions before the text (BOS), which only the first chunk takes
};

// Joins the kept tokens of a text's chunks to one memory. MemoryPositions::kText: tokens keep their
// distances to what follows the text. kRows: a chunk takes as many positions as it has kept tokens.
// It is divided into blocks of up to 512 tokens, and each block is moved as a whole, so that its
// end lies after the kept tokens up to there. Distances within a block do not change, nor do those
// from the last block to what follows, so that its keys are those of the text. Positions of a block
// may overlap those of the block before, which attention allows, and may be negative.
CachedTokens laid_out(std::span<const PlacedRows> chunks,
                      MemoryPositions positions,
                      const DecoderConfig& config);

}  // namespace precis
