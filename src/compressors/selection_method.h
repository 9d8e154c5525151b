// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "compressors/row_selector.h"
#include "precis/extend/compressor_method.h"
#include "precis/extend/tokenizer.h"

namespace precis {

// Tokens that built-in compressors read besides the text.
struct SelectionPrompts {
  std::vector<TokenId> bos;     // before every chunk; empty: the model takes none
  std::vector<TokenId> repeat;  // asks the model to repeat the text (KVzip)
};

// Encodes them with the model's tokenizer; empty if there is no tokenizer.
SelectionPrompts selection_prompts(const Tokenizer* tokenizer);

// Sizes that, with the model, determine the cost of a built-in compressor.
struct SelectionSizes {
  double ratio = 4.0;
  int64_t max_segment = 0;  // 0: longest_chunk() of the model
  int64_t rows_before = 0;  // BOS tokens, read before every chunk
  int64_t repeat_rows = 0;  // tokens of the prompt that asks for the text
};

// Tokens of one chunk.
struct SelectionCounts {
  int64_t read;    // read by the model
  int64_t kept;    // the first ones, which are always kept
  int64_t memory;  // of the memory
};

// A way to select the cached tokens to keep. Everything else is common to all such methods
// (SelectingCompressor, selection_sizing()).
struct SelectionMethod {
  const char* name;
  std::unique_ptr<RowSelector> (*make_selector)(const SelectionPrompts& prompts,
                                                const Decoder& decoder);
  // Length in tokens of the longest text that it can read with a context of `window` tokens.
  int64_t (*longest_text)(int64_t window, int64_t repeat_tokens);
  // FLOPs of the selection, without the pass over the text. Called if fewer tokens are kept than
  // read.
  double (*selection_flops)(const SelectionCounts& counts,
                            const SelectionSizes& sizes,
                            const DecoderConfig& model);
};

// Its entry in the registry.
CompressorMethod compressor_method(const SelectionMethod& selection);

}  // namespace precis
