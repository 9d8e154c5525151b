// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include "precis/extend/decoder.h"

namespace precis {

// Tensor options of trained parameters: the model's device, and float32 (float64 over a float64
// model) whatever the model's dtype, since steps of training are too small for bfloat16.
c10::TensorOptions parameter_options(const Decoder& decoder);

// Statistics of the model's embedding table, with parameter_options(), for initial values of
// trained embeddings and connectors.
struct EmbeddingStatistics {
  at::Tensor mean;  // [hidden]
  at::Tensor rms;   // scalar
};
EmbeddingStatistics embedding_statistics(const Decoder& decoder);

// A parameter in the decoder's dtype.
at::Tensor as_rows(const at::Tensor& parameter, const Decoder& decoder);

}  // namespace precis
