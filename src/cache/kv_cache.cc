// SPDX-License-Identifier: Apache-2.0
#include "precis/extend/kv_cache.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cstddef>

#include "base/check.h"
#include "cache/block_pool.h"
#include "ops/kv_blocks.h"

namespace precis {
namespace {

bool differentiable(const at::Tensor& keys, const at::Tensor& values) {
  return c10::GradMode::is_enabled() && (keys.requires_grad() || values.requires_grad());
}

void check_new_tokens(const at::Tensor& keys, const at::Tensor& values, const KvShape& shape) {
  PRECIS_CHECK(keys.dim() == 3 && keys.size(0) == shape.num_kv_heads &&
                   keys.size(2) == shape.head_dim && keys.sizes() == values.sizes(),
               kInvalidArgument,
               "cache: keys ",
               keys.sizes(),
               " and values ",
               values.sizes(),
               " do not have ",
               shape.num_kv_heads,
               " heads of ",
               shape.head_dim);
}

void check_ragged(const RaggedKv& memory, const BlockPool& pool) {
  const KvShape& shape = pool.shape();
  const std::vector<int64_t>& starts = memory.starts;
  const auto fits = [&](const at::Tensor& x) {
    return x.dim() == 2 && x.size(1) == shape.head_dim && x.is_contiguous() &&
           x.dtype() == pool.options().dtype() && x.device() == pool.options().device();
  };
  PRECIS_CHECK(
      fits(memory.keys) && fits(memory.values) && memory.keys.sizes() == memory.values.sizes() &&
          std::ssize(starts) == shape.num_layers * shape.num_kv_heads + 1 && starts.front() == 0 &&
          starts.back() == memory.keys.size(0) && std::is_sorted(starts.begin(), starts.end()),
      kInvalidArgument,
      "cache: a ragged memory of keys ",
      memory.keys.sizes(),
      ", values ",
      memory.values.sizes(),
      " and ",
      starts.size(),
      " starts does not fit ",
      shape.num_layers,
      " layers of ",
      shape.num_kv_heads,
      " heads of ",
      shape.head_dim,
      " in the cache's dtype, on its device");
}

}  // namespace

KvCache::KvCache(KvShape shape, c10::TensorOptions options, int64_t num_sequences)
    : KvCache(std::make_shared<BlockPool>(shape, options), num_sequences) {}

KvCache::KvCache(std::shared_ptr<BlockPool> pool, int64_t num_sequences)
    : pool_(std::move(pool)),
      sequences_(num_sequences,
                 Sequence{std::vector<LayerTokens>(pool_->shape().num_layers), {}, {}}) {}

const KvShape& KvCache::shape() const { return pool_->shape(); }

int64_t KvCache::length(int64_t sequence) const {
  const auto& layers = sequences_.at(sequence).layers;
  return layers.empty() ? 0 : layers.back().length;
}

int64_t KvCache::bytes() const {
  int64_t elements = 0;
  for (const Sequence& sequence : sequences_) {
    for (const LayerTokens& layer : sequence.layers)
      elements += 2 * layer.length * shape().num_kv_heads * shape().head_dim;
    for (const auto& memory : sequence.ragged) elements += 2 * memory->keys.numel();
  }
  return elements * static_cast<int64_t>(pool_->options().dtype().itemsize());
}

std::pair<at::Tensor, at::Tensor> KvCache::rows(int64_t layer,
                                                int64_t sequence,
                                                int64_t first,
                                                int64_t count) const {
  const Sequence& own = sequences_.at(sequence);
  const LayerTokens& stored = own.layers.at(layer);
  PRECIS_CHECK(first >= 0 && count >= 1 && count <= stored.length && first <= stored.length - count,
               kInvalidArgument,
               "cache: ",
               count,
               " tokens from token ",
               first,
               " on were asked for, sequence ",
               sequence,
               " has ",
               stored.length);
  if (!stored.keys.defined()) return ops::read_from_blocks(own.blocks, layer, first, count);
  return {stored.keys.narrow(1, first, count), stored.values.narrow(1, first, count)};
}

std::pair<at::Tensor, at::Tensor> KvCache::all_rows(const Sequence& sequence, int64_t layer) const {
  const LayerTokens& tokens = sequence.layers[layer];
  if (tokens.keys.defined()) return {tokens.keys, tokens.values};
  return ops::read_from_blocks(sequence.blocks, layer, 0, tokens.length);
}

void KvCache::own_blocks(Sequence& sequence, int64_t first, int64_t last) const {
  const int64_t needed = ops::blocks_for(last);
  for (int64_t i = first / ops::kBlockSize; i < std::min(needed, std::ssize(sequence.blocks));
       ++i) {
    at::Tensor& block = sequence.blocks[i];
    if (block.use_count() > 1) block = pool_->clone(block);
  }
  while (std::ssize(sequence.blocks) < needed) sequence.blocks.push_back(pool_->allocate());
}

void KvCache::reserve(int64_t sequence, int64_t num_tokens) {
  own_blocks(sequences_.at(sequence), length(sequence), num_tokens);
}

void KvCache::extend(int64_t sequence, int64_t count) {
  Sequence& own = sequences_.at(sequence);
  const int64_t length = this->length(sequence), total = length + count;
  own_blocks(own, length, total);
  for (size_t layer = 0; layer < own.layers.size(); ++layer) {
    LayerTokens& tokens = own.layers[layer];
    // Tokens that were concatenated under gradients move to blocks.
    if (tokens.keys.defined() && length > 0) {
      own_blocks(own, 0, length);
      ops::write_to_blocks(own.blocks, static_cast<int64_t>(layer), 0, tokens.keys, tokens.values);
    }
    tokens = {{}, {}, total};
  }
}

const std::vector<at::Tensor>& KvCache::blocks(int64_t sequence) const {
  return sequences_.at(sequence).blocks;
}

KvView KvCache::view(int64_t layer, int64_t sequence) const {
  return view(layer, sequence, sequences_.at(sequence).layers.at(layer).length);
}

KvView KvCache::view(int64_t layer, int64_t sequence, int64_t length) const {
  const Sequence& own = sequences_.at(sequence);
  const LayerTokens& tokens = own.layers.at(layer);
  KvView view{own.blocks, layer, length, {}, {}, own.ragged};
  if (!tokens.keys.defined()) return view;
  const bool all = length == tokens.length;
  view.keys = all ? tokens.keys : tokens.keys.narrow(1, 0, length);
  view.values = all ? tokens.values : tokens.values.narrow(1, 0, length);
  return view;
}

bool KvCache::can_share(const KvCache& other, int64_t from) const {
  const std::vector<LayerTokens>& layers = other.sequences_.at(from).layers;
  const c10::TensorOptions &own = pool_->options(), &others = other.pool_->options();
  return shape() == other.shape() && own.dtype() == others.dtype() &&
         own.device() == others.device() &&
         std::none_of(layers.begin(), layers.end(), [&](const LayerTokens& tokens) {
           return tokens.keys.defined();
         });
}

void KvCache::copy_sequence(const KvCache& other, int64_t from, int64_t to) {
  Sequence source = other.sequences_.at(from);
  if (can_share(other, from)) {
    // Without blocks that are only reserved.
    source.blocks.resize(ops::blocks_for(other.length(from)));
    sequences_.at(to) = std::move(source);
    return;
  }
  Sequence& target = sequences_.at(to);
  target = {std::vector<LayerTokens>(shape().num_layers), {}, {}};
  for (auto& memory : source.ragged) add_ragged(to, std::move(memory));
  for (size_t layer = 0; layer < source.layers.size(); ++layer) {
    if (source.layers[layer].length == 0) continue;
    const auto index = static_cast<int64_t>(layer);
    const auto [keys, values] = other.all_rows(source, index);
    append(index, to, keys, values);
  }
}

void KvCache::truncate(int64_t sequence, int64_t length) {
  for (LayerTokens& tokens : sequences_.at(sequence).layers) {
    if (tokens.length <= length) continue;
    tokens.length = length;
    if (!tokens.keys.defined()) continue;
    tokens.keys = tokens.keys.narrow(1, 0, length);
    tokens.values = tokens.values.narrow(1, 0, length);
  }
}

void KvCache::add_ragged(int64_t sequence, std::shared_ptr<const RaggedKv> memory) {
  check_ragged(*memory, *pool_);
  sequences_.at(sequence).ragged.push_back(std::move(memory));
}

void KvCache::append(int64_t layer,
                     int64_t sequence,
                     const at::Tensor& keys,
                     const at::Tensor& values) {
  Sequence& own = sequences_.at(sequence);
  LayerTokens& tokens = own.layers.at(layer);
  check_new_tokens(keys, values, shape());
  const int64_t before = tokens.length, total = before + keys.size(1);
  if (tokens.keys.defined() || differentiable(keys, values)) {
    if (before == 0) {
      tokens = {keys, values, total};
    } else {
      const auto [old_keys, old_values] = all_rows(own, layer);
      const auto dtype = old_keys.scalar_type();
      tokens = {at::cat({old_keys, keys.to(dtype)}, 1),
                at::cat({old_values, values.to(dtype)}, 1),
                total};
    }
    return;
  }
  own_blocks(own, before, total);
  ops::write_to_blocks(own.blocks, layer, before, keys, values);
  tokens.length = total;
}

}  // namespace precis
