// SPDX-License-Identifier: Apache-2.0
#include "compressors/attention_matching/attention_matching_method.h"

#include "compressors/attention_matching/attention_matching.h"
#include "compressors/attention_matching/fit_flops.h"
#include "compressors/repeat_pass.h"
#include "compressors/selection_flops.h"

namespace precis {
namespace {

std::unique_ptr<RowSelector> make_selector(const SelectionPrompts& prompts,
                                           const Decoder& decoder) {
  return make_attention_matching(prompts.repeat, decoder);
}

double selection_flops(const SelectionCounts& counts,
                       const SelectionSizes& sizes,
                       const DecoderConfig& model) {
  return all_repeats_flops(counts, sizes, model) + all_fits_flops(counts, sizes, model);
}

}  // namespace

SelectionMethod attention_matching_selection() {
  return {"attention_matching", make_selector, longest_repeated, selection_flops};
}

CompressorMethod attention_matching_method() {
  return compressor_method(attention_matching_selection());
}

}  // namespace precis
