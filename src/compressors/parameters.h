// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include "precis/extend/decoder.h"

namespace precis {

// Options of what is trained over this model: its device, and float32 (float64 over a float64
// model) whatever the model's dtype, since steps of training are too small for bfloat16.
c10::TensorOptions parameter_options(const Decoder& decoder);

// Where the model's own embeddings lie, with parameter_options(): new rows and connectors start
// among them.
struct EmbeddingStatistics {
  at::Tensor mean;  // [hidden]
  at::Tensor rms;   // scalar
};
EmbeddingStatistics embedding_statistics(const Decoder& decoder);

// A parameter as the decoder reads it: in its dtype.
at::Tensor as_rows(const at::Tensor& parameter, const Decoder& decoder);

}  // namespace precis
