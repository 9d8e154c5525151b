// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "compressors/row_selector.h"
#include "precis/extend/compressor_method.h"
#include "precis/extend/tokenizer.h"

namespace precis {

// Tokens that built-in compressors read beside the text.
struct SelectionPrompts {
  std::vector<TokenId> bos;     // before every chunk; empty: the model wants none
  std::vector<TokenId> repeat;  // asks the model to repeat the text (KVzip)
};

// Those of the model's tokenizer; empty where there is none.
SelectionPrompts selection_prompts(const Tokenizer* tokenizer);

// What decides, beside the model, how much a built-in compressor computes.
struct SelectionSizes {
  double ratio = 4.0;
  int64_t max_segment = 0;  // 0: longest_chunk() of the model
  int64_t rows_before = 0;  // BOS tokens, read before every chunk
  int64_t repeat_rows = 0;  // tokens of the prompt that asks for the text
};

// Tokens of one chunk.
struct SelectionCounts {
  int64_t read;    // by the model
  int64_t kept;    // the first ones, which always stay
  int64_t memory;  // of the memory
};

// One way to select the cached tokens that stay; all the rest is the same for all
// (SelectingCompressor, selection_sizing()).
struct SelectionMethod {
  const char* name;
  std::unique_ptr<RowSelector> (*make_selector)(const SelectionPrompts& prompts,
                                                const Decoder& decoder);
  // Tokens of the longest text that it reads in a window of `window` tokens.
  int64_t (*longest_text)(int64_t window, int64_t repeat_tokens);
  // FLOPs of selecting fewer tokens than were read, beside the pass over the text.
  double (*selection_flops)(const SelectionCounts& counts,
                            const SelectionSizes& sizes,
                            const DecoderConfig& model);
};

// Its row of the registry.
CompressorMethod compressor_method(const SelectionMethod& selection);

}  // namespace precis
