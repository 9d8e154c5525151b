// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "compressors/compressor_files.h"
#include "compressors/selection_method.h"

namespace precis {

// A compressor without weights: keeps, in every layer and head, some of the text's cached tokens,
// which a RowSelector chooses. The first ones, the attention sinks (Xiao et al., 2024, arXiv
// 2309.17453), are always kept: the BOS, or the text's first token if there is no BOS. A text
// longer than the window is read in chunks. Throws kInvalidArgument for ids outside the vocabulary.
std::unique_ptr<Compressor> make_selecting_compressor(const SelectionMethod& method,
                                                      SelectionPrompts prompts,
                                                      const Decoder& decoder);

// Loads one from its directory, which has a compressor.safetensors without tensors.
std::unique_ptr<Compressor> load_selecting_compressor(const SelectionMethod& method,
                                                      const CompressorFiles& files,
                                                      const Decoder& decoder);

}  // namespace precis
