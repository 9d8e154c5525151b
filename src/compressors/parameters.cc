// SPDX-License-Identifier: Apache-2.0
#include "compressors/parameters.h"

#include <ATen/ATen.h>

namespace precis {

c10::TensorOptions parameter_options(const Decoder& decoder) {
  const auto options = decoder.options();
  return options.dtype() == at::kDouble ? options : options.dtype(at::kFloat);
}

EmbeddingStatistics embedding_statistics(const Decoder& decoder) {
  const auto index = at::TensorOptions(at::kLong).device(decoder.options().device());
  const at::Tensor table =
      decoder.embed(at::arange(decoder.config().vocab_size, index)).to(at::kDouble);
  // Computed in float64 and rounded once: the order of a sum depends on the number of threads, and
  // initial weights must not.
  const auto options = parameter_options(decoder);
  return {table.mean(0).to(options), table.square().mean().sqrt().to(options)};
}

at::Tensor as_rows(const at::Tensor& parameter, const Decoder& decoder) {
  return parameter.to(c10::typeMetaToScalarType(decoder.options().dtype()));
}

}  // namespace precis
