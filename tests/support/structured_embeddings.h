// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/ATen.h>

#include "precis/extend/decoder.h"

namespace precis {

// A tiny model's decoder whose embeddings share a large common component, as those of trained
// models do. Random embeddings have none.
class StructuredEmbeddings final : public Decoder {
 public:
  explicit StructuredEmbeddings(const Decoder& decoder) : decoder_(decoder) {
    // Of mean zero, so that the LayerNorm of a connector leaves it as it is.
    const int64_t hidden = decoder.config().hidden_size;
    common_ = 1 - 2 * at::arange(hidden, decoder.options()).remainder(2);
  }

  const DecoderConfig& config() const override { return decoder_.config(); }
  c10::TensorOptions options() const override { return decoder_.options(); }
  // The common component plus a component orthogonal to it, of the same length.
  at::Tensor embed(const at::Tensor& tokens) const override {
    at::Tensor rows = decoder_.embed(tokens);
    rows = rows - rows.mean(1, true);
    rows = rows - rows.matmul(common_).unsqueeze(1) * common_ / common_.square().sum();
    return rows / rows.square().mean(1, true).sqrt() + common_;
  }
  at::Tensor forward(const DecoderInput& input,
                     KvCache& cache,
                     const Adapter* adapter,
                     const LayerObserver* observer) const override {
    return decoder_.forward(input, cache, adapter, observer);
  }
  at::Tensor logits(const at::Tensor& hidden) const override { return decoder_.logits(hidden); }
  const std::string& fingerprint() const override { return decoder_.fingerprint(); }
  int64_t num_parameters() const override { return decoder_.num_parameters(); }
  int64_t weight_bytes() const override { return decoder_.weight_bytes(); }

 private:
  const Decoder& decoder_;
  at::Tensor common_;  // [hidden]
};

}  // namespace precis
