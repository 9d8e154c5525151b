// SPDX-License-Identifier: Apache-2.0
#include "compressors/selection_flops.h"

#include "compressors/pass_flops.h"
#include "compressors/repeat_pass.h"

namespace precis {
namespace {

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

}  // namespace

double all_repeats_flops(const SelectionCounts& counts,
                         const SelectionSizes& sizes,
                         const DecoderConfig& model) {
  const auto of = [&](int64_t chunk) { return repeat_flops(counts, sizes, model, chunk); };
  const int64_t chunk = repeat_chunk(counts.read, sizes.repeat_rows, model.context_length);
  const int64_t rest = counts.read % chunk;
  return static_cast<double>(counts.read / chunk) * of(chunk) + (rest > 0 ? of(rest) : 0);
}

}  // namespace precis
