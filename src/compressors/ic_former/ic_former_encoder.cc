// SPDX-License-Identifier: Apache-2.0
#include "compressors/ic_former/ic_former_encoder.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <numeric>

#include "compressors/passes.h"
#include "ops/copy_to_device.h"

namespace precis::ic_former {
namespace {

// Ids of the vocabulary whose keys and values are computed at a time.
constexpr int64_t kIdsPerProduct = 4096;

c10::ScalarType dtype_of(const Decoder& decoder) {
  return c10::typeMetaToScalarType(decoder.options().dtype());
}

DigestShape shape_of(const IcFormerConfig& config) {
  return {config.num_heads, config.rms_norm_epsilon, config.rope_base, config.spread_positions};
}

std::vector<int64_t> lengths_of(std::span<const Chunk> chunks) {
  std::vector<int64_t> lengths;
  for (const Chunk& chunk : chunks) lengths.push_back(std::ssize(chunk));
  return lengths;
}

}  // namespace

IcFormerEncoder::IcFormerEncoder(const IcFormerConfig& config,
                                 const IcFormerWeights& weights,
                                 const Decoder& decoder,
                                 bool token_table)
    : decoder_(decoder),
      net_(weights.net, weights.digests, shape_of(config), dtype_of(decoder)),
      connector_(weights.connector) {
  if (connector_.weight.defined())
    connector_weight_ = ops::PackedWeight(connector_.weight.to(dtype_of(decoder)));
  if (token_table) table_ = make_table();
}

at::Tensor IcFormerEncoder::encode(std::span<const Chunk> chunks) const {
  const at::Tensor key_values = table_.defined() ? look_up(chunks) : multiply(chunks);
  const at::Tensor digests = net_.digest(key_values, lengths_of(chunks));
  return connector_.weight.defined() ? connect(connector_, connector_weight_, digests) : digests;
}

at::Tensor IcFormerEncoder::make_table() const {
  const int64_t vocabulary = decoder_.config().vocab_size;
  const at::Tensor& digests = net_.digest_key_values();
  const auto index = at::TensorOptions(at::kLong).device(decoder_.options().device());
  at::Tensor table =
      at::empty({vocabulary + digests.size(0), net_.key_value_width()}, decoder_.options());
  for (int64_t first = 0; first < vocabulary; first += kIdsPerProduct) {
    const int64_t last = std::min(first + kIdsPerProduct, vocabulary);
    table.narrow(0, first, last - first)
        .copy_(net_.key_values(decoder_.embed(at::arange(first, last, index))));
  }
  table.narrow(0, vocabulary, digests.size(0)).copy_(digests);
  return table;
}

// The key_values of DigestEncoder::digest(), looked up in the table.
at::Tensor IcFormerEncoder::look_up(std::span<const Chunk> chunks) const {
  const int64_t vocabulary = decoder_.config().vocab_size;
  std::vector<TokenId> ids;
  for (const Chunk& chunk : chunks) {
    ids.insert(ids.end(), chunk.begin(), chunk.end());
    const auto end = std::ssize(ids);
    ids.resize(ids.size() + net_.digest_key_values().size(0));
    std::iota(ids.begin() + end, ids.end(), vocabulary);
  }
  return table_.index_select(
      0, ops::copy_to_device_async(at::tensor(ids, at::kLong), table_.device()));
}

// The same, computed by one matrix product over the embeddings of all chunks.
at::Tensor IcFormerEncoder::multiply(std::span<const Chunk> chunks) const {
  std::vector<TokenId> ids;
  for (const Chunk& chunk : chunks) ids.insert(ids.end(), chunk.begin(), chunk.end());
  std::vector<at::Tensor> key_values;
  for (const at::Tensor& own :
       net_.key_values(embed(decoder_, ids)).split_with_sizes(lengths_of(chunks), 0)) {
    key_values.push_back(own);
    key_values.push_back(net_.digest_key_values());
  }
  return at::cat(key_values, 0);
}

}  // namespace precis::ic_former
