// SPDX-License-Identifier: Apache-2.0
#include "compressors/attention_matching/attention_matching_method.h"

#include "compressors/attention_matching/attention_matching.h"
#include "compressors/attention_matching/fit_flops.h"

namespace precis {
namespace {

int64_t longest_text(int64_t window, int64_t) { return window; }

std::unique_ptr<RowSelector> make_selector(const SelectionPrompts&, const Decoder& decoder) {
  return make_attention_matching(decoder);
}

double selection_flops(const SelectionCounts& counts,
                       const SelectionSizes&,
                       const DecoderConfig& model) {
  return all_fits_flops(counts, model);
}

}  // namespace

SelectionMethod attention_matching_selection() {
  return {"attention_matching", make_selector, longest_text, selection_flops};
}

CompressorMethod attention_matching_method() {
  return compressor_method(attention_matching_selection());
}

}  // namespace precis
