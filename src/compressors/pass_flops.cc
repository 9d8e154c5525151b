// SPDX-License-Identifier: Apache-2.0
#include "compressors/pass_flops.h"

#include <algorithm>

namespace precis {
namespace {

// One layer for `queries` tokens that attend to `keys` keys each.
double layer_flops(const ModelSizes& m, double queries, double keys) {
  const double projections = 4 * queries * m.hidden * (m.query + m.key);
  const double attention = 4 * queries * keys * m.query;
  const double mlp = 6 * queries * m.hidden * m.ffn;
  return projections + attention + mlp;
}

}  // namespace

ModelSizes::ModelSizes(const DecoderConfig& model)
    : hidden(static_cast<double>(model.hidden_size)),
      head(static_cast<double>(model.head_dim)),
      query(head * static_cast<double>(model.num_heads)),
      key(head * static_cast<double>(model.num_kv_heads)),
      ffn(static_cast<double>(model.ffn_size)),
      layers(static_cast<double>(model.num_layers)),
      vocabulary(static_cast<double>(model.vocab_size)) {}

int64_t num_windowed(const DecoderConfig& model) {
  return model.window > 0 ? std::count(model.windowed.begin(), model.windowed.end(), true) : 0;
}

double pass_flops(const DecoderConfig& model, double queries, double keys) {
  const ModelSizes sizes(model);
  const auto windowed = static_cast<double>(num_windowed(model));
  const double visible = std::min(keys, static_cast<double>(model.window));
  return (sizes.layers - windowed) * layer_flops(sizes, queries, keys) +
         windowed * layer_flops(sizes, queries, visible);
}

}  // namespace precis
