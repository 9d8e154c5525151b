// SPDX-License-Identifier: Apache-2.0
#include "nn/adapter.h"

#include <ATen/ATen.h>

#include "base/check.h"
#include "ops/linear.h"

namespace precis::nn {
namespace {

void check_low_rank(const LowRank& change, int64_t out, int64_t in, const char* name) {
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

// [n, in] -> [n, out], zeros where nothing changes.
at::Tensor change_of(const LowRank& change, const at::Tensor& x, int64_t out) {
  if (!change.down.defined()) return at::zeros({x.size(0), out}, x.options());
  const auto dtype = x.scalar_type();
  return ops::linear(ops::linear(x, change.down.to(dtype)), change.up.to(dtype)) * change.scale;
}

at::Tensor change_of_all(const AdapterLayer& layer,
                         const at::Tensor& x,
                         const DecoderConfig& config) {
  const int64_t kv_size = config.num_kv_heads * config.head_dim;
  return at::cat({change_of(layer.query, x, config.num_heads * config.head_dim),
                  change_of(layer.key, x, kv_size),
                  change_of(layer.value, x, kv_size)},
                 1);
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
    check_low_rank(layer.query, config.num_heads * config.head_dim, config.hidden_size, "q");
    check_low_rank(layer.key, kv_size, config.hidden_size, "k");
    check_low_rank(layer.value, kv_size, config.hidden_size, "v");
  }
  const at::Tensor& rows = input.adapted_rows;
  PRECIS_CHECK(!rows.defined() || (rows.scalar_type() == at::kBool && rows.dim() == 1 &&
                                   rows.size(0) == input.embeddings.size(0)),
               kInvalidArgument,
               "adapter: adapted_rows do not name each of the ",
               input.embeddings.size(0),
               " rows");
}

at::Tensor adapted_rows(const DecoderInput& input) {
  const at::Tensor& rows = input.adapted_rows;
  if (!rows.defined()) return {};
  const at::Tensor adapted = rows.nonzero().squeeze(1);
  return adapted.size(0) == rows.size(0) ? at::Tensor() : adapted;
}

at::Tensor qkv_change(const AdapterLayer& layer,
                      const at::Tensor& x,
                      const at::Tensor& rows,
                      const DecoderConfig& config) {
  if (!rows.defined()) return change_of_all(layer, x, config);
  const at::Tensor change = change_of_all(layer, x.index_select(0, rows), config);
  return at::zeros({x.size(0), change.size(1)}, x.options()).index_add(0, rows, change);
}

}  // namespace precis::nn
