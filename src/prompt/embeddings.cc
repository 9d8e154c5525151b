// SPDX-License-Identifier: Apache-2.0
#include "prompt/embeddings.h"

namespace precis {

Embeddings::Embeddings(std::shared_ptr<const EmbeddingsContents> contents)
    : contents_(std::move(contents)) {}

int64_t Embeddings::size() const { return contents_->values.size(0); }

Embeddings embeddings_of(at::Tensor values, const Decoder& decoder) {
  return Embeddings(std::make_shared<const EmbeddingsContents>(
      EmbeddingsContents{std::move(values), decoder.fingerprint()}));
}

}  // namespace precis
