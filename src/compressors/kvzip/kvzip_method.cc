// SPDX-License-Identifier: Apache-2.0
#include "compressors/kvzip/kvzip_method.h"

#include "compressors/kvzip/kvzip.h"
#include "compressors/pass_flops.h"

namespace precis {
namespace {

// The window has to hold text, prompt and the chunk that is repeated.
int64_t longest_text(int64_t window, int64_t repeat_tokens) {
  const int64_t room = window - repeat_tokens;
  return room >= 2 * kRepeatChunk ? room - kRepeatChunk : room / 2;
}

// One pass: the prompt and `chunk` tokens of the text after all of it, and their scores, which are
// computed beside the pass's own attention and over all keys, whatever the window.
double repeat_flops(const SelectionCounts& counts,
                    const SelectionSizes& sizes,
                    const DecoderConfig& model,
                    int64_t chunk) {
  const ModelSizes m(model);
  const double queries = static_cast<double>(sizes.repeat_rows) + static_cast<double>(chunk);
  const double keys = static_cast<double>(counts.read) + queries;
  return pass_flops(model, queries, keys) + m.layers * 2 * queries * keys * m.query;
}

double all_repeats_flops(const SelectionCounts& counts,
                         const SelectionSizes& sizes,
                         const DecoderConfig& model) {
  const auto of = [&](int64_t chunk) { return repeat_flops(counts, sizes, model, chunk); };
  const int64_t rest = counts.read % kRepeatChunk;
  return static_cast<double>(counts.read / kRepeatChunk) * of(kRepeatChunk) +
         (rest > 0 ? of(rest) : 0);
}

std::unique_ptr<RowSelector> make_selector(const SelectionPrompts& prompts,
                                           const Decoder& decoder) {
  return make_kvzip(prompts.repeat, decoder);
}

}  // namespace

SelectionMethod kvzip_selection() {
  return {"kvzip", make_selector, longest_text, all_repeats_flops};
}

CompressorMethod kvzip_method() { return compressor_method(kvzip_selection()); }

}  // namespace precis
