// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "compressors/parameters.h"
#include "ops/packed_weight.h"
#include "precis/extend/compressor.h"
#include "precis/extend/weights.h"

namespace precis {

// Maps a compressor's final hidden states h to input embeddings of the frozen model:
//   LayerNorm(W h + b), or W h + b                                    (SelfCP, section 3.3)
// Parameters have parameter_options().
struct Connector {
  at::Tensor weight;       // W [hidden, hidden]; undefined: there is no connector
  at::Tensor bias;         // b [hidden]
  at::Tensor norm_weight;  // [hidden]; undefined: no LayerNorm
  at::Tensor norm_bias;    // [hidden], likewise
};

enum class ConnectorNorm { kNone, kLayerNorm };

// Computes in the dtype of its parameters; returns `hidden` where there is no connector.
// [..., hidden] -> the same, of the dtype of `hidden`
at::Tensor connect(const Connector& connector, const at::Tensor& hidden);

// The same with `weight`, a packed copy of W, in its dtype.
// REQUIRES: a connector, hidden [n, hidden] of that dtype.
at::Tensor connect(const Connector& connector,
                   const ops::PackedWeight& weight,
                   const at::Tensor& hidden);

// Appends connector.weight, connector.bias, norm.weight and norm.bias, as far as they are defined.
void add_tensors(const Connector& connector, std::vector<NamedTensor>& tensors);

// Reads those tensors. Throws kBadWeights for tensors that are missing or of another shape.
Connector take_connector(const Weights& weights, int64_t hidden, ConnectorNorm norm);

// Initial values whose outputs resemble the model's embeddings: W the identity, b zero, the
// LayerNorm's weight a quarter of the embeddings' RMS and its bias their mean.
Connector create_connector(const EmbeddingStatistics& embeddings, ConnectorNorm norm);

}  // namespace precis
