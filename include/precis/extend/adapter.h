// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

namespace precis {

// A low-rank change of a linear layer (LoRA, Hu et al., arXiv 2106.09685): W x becomes
// W x + scale * up (down x).
struct LoraWeights {
  at::Tensor down;     // [rank, in]; undefined: no change
  at::Tensor up;       // [out, rank]
  double scale = 1.0;  // alpha / rank
};

struct AdapterLayer {
  LoraWeights query;
  LoraWeights key;
  LoraWeights value;
};

// What a compressor changes in a frozen decoder while it reads, and only then: an argument of
// Decoder::forward, never a state of the decoder.
struct Adapter {
  std::vector<AdapterLayer> layers;  // [num_layers]
};

}  // namespace precis
