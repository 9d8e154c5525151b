// SPDX-License-Identifier: Apache-2.0
#include "models/adapter.h"

#include <ATen/ATen.h>

#include "base/check.h"
#include "ops/linear.h"

namespace precis::models {
namespace {

void check_lora(const LoraWeights& change, int64_t out, int64_t in, const char* name) {
  if (!change.down.defined() && !change.up.defined()) return;
  PRECIS_CHECK(change.down.defined() && change.up.defined() && change.down.dim() == 2 &&
                   change.up.dim() == 2 && change.down.size(1) == in && change.up.size(0) == out &&
                   change.down.size(0) == change.up.size(1),
               kInvalidArgument,
               "adapter: the change of ",
               name,
               " does not fit a layer of ",
               in,
               " inputs and ",
               out,
               " outputs");
}

}  // namespace

void check_adapter(const Adapter& adapter, const DecoderInput& input, const DecoderConfig& config) {
  PRECIS_CHECK(std::ssize(adapter.layers) == config.num_layers,
               kInvalidArgument,
               "adapter: it has ",
               adapter.layers.size(),
               " layers, the model ",
               config.num_layers);
  const int64_t kv_size = config.num_kv_heads * config.head_dim;
  for (const AdapterLayer& layer : adapter.layers) {
    check_lora(layer.query, config.num_heads * config.head_dim, config.hidden_size, "q");
    check_lora(layer.key, kv_size, config.hidden_size, "k");
    check_lora(layer.value, kv_size, config.hidden_size, "v");
  }
  const at::Tensor& rows = input.adapted_rows;
  PRECIS_CHECK(!rows.defined() || (rows.scalar_type() == at::kBool && rows.dim() == 1 &&
                                   rows.size(0) == input.embeddings.size(0)),
               kInvalidArgument,
               "adapter: adapted_rows is not one bool for each of the ",
               input.embeddings.size(0),
               " tokens");
}

at::Tensor adapted_rows(const DecoderInput& input) {
  const at::Tensor& rows = input.adapted_rows;
  if (!rows.defined()) return {};
  const at::Tensor adapted = rows.nonzero().squeeze(1);
  return adapted.size(0) == rows.size(0) ? at::Tensor() : adapted;
}

at::Tensor apply_lora(const LoraWeights& change,
                      const at::Tensor& x,
                      const at::Tensor& tokens,
                      const at::Tensor& projected) {
  if (!change.down.defined()) return projected;
  const auto dtype = x.scalar_type();
  const at::Tensor adapted = tokens.defined() ? x.index_select(0, tokens) : x;
  const at::Tensor changed =
      ops::linear(ops::linear(adapted, change.down.to(dtype)), change.up.to(dtype));
  return tokens.defined() ? projected.index_add(0, tokens, changed, change.scale)
                          : at::add(projected, changed, change.scale);
}

}  // namespace precis::models
