// SPDX-License-Identifier: Apache-2.0
#include "compressors/selection_method.h"

#include "compressors/selecting_compressor.h"
#include "compressors/selection_cost.h"

namespace precis {
namespace {

constexpr const char* kRepeat = "\n\nRepeat the text above, word for word:\n\n";

}  // namespace

SelectionPrompts selection_prompts(const Tokenizer* tokenizer) {
  if (tokenizer == nullptr) return {};
  SelectionPrompts prompts;
  const SpecialTokens& special = tokenizer->special_tokens();
  if (special.add_bos && special.bos) prompts.bos = {*special.bos};
  prompts.repeat = tokenizer->encode(kRepeat);
  return prompts;
}

CompressorMethod compressor_method(const SelectionMethod& selection) {
  CompressorMethod method;
  method.name = selection.name;
  method.load = [selection](const std::filesystem::path& directory, const Decoder& decoder) {
    return load_selecting_compressor(selection, open_compressor(directory), decoder);
  };
  method.make_built_in = [selection](const Decoder& decoder, const Tokenizer* tokenizer) {
    return make_selecting_compressor(selection, selection_prompts(tokenizer), decoder);
  };
  method.sizing = selection_sizing(selection);
  return method;
}

}  // namespace precis
