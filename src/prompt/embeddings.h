// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <string>

#include "precis/extend/decoder.h"
#include "precis/prompt.h"

namespace precis {

// The data of Embeddings.
struct EmbeddingsContents {
  at::Tensor values;              // [n, hidden]; may carry gradients
  std::string model_fingerprint;  // of the decoder that they were trained for
};

// values: [n, hidden], for this decoder.
Embeddings embeddings_of(at::Tensor values, const Decoder& decoder);

}  // namespace precis
