// SPDX-License-Identifier: Apache-2.0
#include "compressors/kvzip/kvzip_method.h"

#include "compressors/kvzip/kvzip.h"
#include "compressors/repeat_pass.h"
#include "compressors/selection_flops.h"

namespace precis {
namespace {

std::unique_ptr<RowSelector> make_selector(const SelectionPrompts& prompts,
                                           const Decoder& decoder) {
  return make_kvzip(prompts.repeat, decoder);
}

}  // namespace

SelectionMethod kvzip_selection() {
  return {"kvzip", make_selector, longest_repeated, all_repeats_flops};
}

CompressorMethod kvzip_method() { return compressor_method(kvzip_selection()); }

}  // namespace precis
