// SPDX-License-Identifier: Apache-2.0
#include "compressors/connector.h"

#include <ATen/ATen.h>

namespace precis {
namespace {

constexpr double kLayerNormEpsilon = 1e-5;

at::Tensor normed(const Connector& connector, const at::Tensor& rows) {
  if (!connector.norm_weight.defined()) return rows;
  return at::layer_norm(
      rows, {rows.size(-1)}, connector.norm_weight, connector.norm_bias, kLayerNormEpsilon);
}

}  // namespace

at::Tensor connect(const Connector& connector, const at::Tensor& hidden) {
  if (!connector.weight.defined()) return hidden;
  const at::Tensor wide = hidden.to(connector.weight.scalar_type());
  const at::Tensor rows = at::linear(wide, connector.weight, connector.bias);
  return normed(connector, rows).to(hidden.scalar_type());
}

at::Tensor connect(const Connector& connector,
                   const ops::PackedWeight& weight,
                   const at::Tensor& hidden) {
  const at::Tensor rows = weight(hidden).to(connector.bias.scalar_type()) + connector.bias;
  return normed(connector, rows).to(hidden.scalar_type());
}

void add_tensors(const Connector& connector, std::vector<NamedTensor>& tensors) {
  const auto add = [&](const char* name, const at::Tensor& tensor) {
    if (tensor.defined()) tensors.push_back({name, tensor});
  };
  add("connector.weight", connector.weight);
  add("connector.bias", connector.bias);
  add("norm.weight", connector.norm_weight);
  add("norm.bias", connector.norm_bias);
}

Connector take_connector(const Weights& weights, int64_t hidden, ConnectorNorm norm) {
  Connector connector;
  connector.weight = weights.take("connector.weight", {hidden, hidden});
  connector.bias = weights.take("connector.bias", {hidden});
  if (norm == ConnectorNorm::kNone) return connector;
  connector.norm_weight = weights.take("norm.weight", {hidden});
  connector.norm_bias = weights.take("norm.bias", {hidden});
  return connector;
}

Connector create_connector(const EmbeddingStatistics& embeddings, ConnectorNorm norm) {
  const auto options = embeddings.mean.options();
  const int64_t hidden = embeddings.mean.size(0);
  Connector connector;
  connector.weight = at::eye(hidden, options);
  connector.bias = at::zeros({hidden}, options);
  if (norm == ConnectorNorm::kNone) return connector;
  connector.norm_weight = (embeddings.rms / 4).expand({hidden}).clone();
  connector.norm_bias = embeddings.mean.clone();
  return connector;
}

}  // namespace precis
