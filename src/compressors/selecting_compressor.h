// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <vector>

#include "compressors/compressor_files.h"
#include "compressors/row_selector.h"
#include "precis/extend/tokenizer.h"

namespace precis {

// Ids that built-in compressors read beside the text.
struct SelectionPrompts {
  std::vector<TokenId> bos;     // before every part; empty: the model wants none
  std::vector<TokenId> repeat;  // asks to say the text again (KVzip)
};

// Of the model's tokenizer; empty where there is none.
SelectionPrompts selection_prompts(const Tokenizer* tokenizer);

// A compressor without weights, "attention_matching" or "kvzip": keeps, in every layer and head,
// rows of the text that it selects (row_selector.h). The first rows, on which models rest their
// attention (Xiao et al., 2024, arXiv 2309.17453), always stay: the BOS, or the text's own first
// token where there is none. A text longer than the window is read in parts. Throws
// kInvalidArgument for ids outside the vocabulary.
std::unique_ptr<Compressor> make_selecting_compressor(const std::string& method,
                                                      SelectionPrompts prompts,
                                                      const Decoder& decoder);

// The same out of its directory, which has a compressor.safetensors without tensors.
std::unique_ptr<Compressor> load_selecting_compressor(const CompressorFiles& files,
                                                      const Decoder& decoder);

}  // namespace precis
