// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/TensorOptions.h>

#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

namespace precis {

class BlockPool;

struct KvShape {
  int64_t num_layers = 0;
  int64_t num_kv_heads = 0;
  int64_t head_dim = 0;

  bool operator==(const KvShape&) const = default;

  // Bytes of the keys and values of one token, over all layers.
  int64_t bytes_per_token(int64_t bytes_per_element) const {
    return 2 * num_layers * num_kv_heads * head_dim * bytes_per_element;
  }
};

// Keys and values of a memory whose heads keep different numbers of tokens, without padding. Keys
// are rotated. Immutable; sequences that begin with it share it.
struct RaggedKv {
  at::Tensor keys;              // [num_tokens of all heads of all layers, head_dim], contiguous
  at::Tensor values;            // same shape
  std::vector<int64_t> starts;  // [num_layers * num_kv_heads + 1], first token of each head, layer
                                // by layer; equal neighbours: a head that keeps none
};

// The keys and values of one sequence in one layer, as attention reads them: first those of ragged
// memories, then `length` tokens in blocks or, under gradients, in tensors.
struct KvView {
  std::span<const at::Tensor> blocks;  // [num_layers, num_kv_heads, 2, block size, head_dim] each
  int64_t layer = 0;
  int64_t length = 0;
  at::Tensor keys = {};  // in place of blocks: [num_kv_heads, length, head_dim]
  at::Tensor values = {};
  std::span<const std::shared_ptr<const RaggedKv>> ragged = {};
};

// Keys and values that a decoder has computed, per sequence and layer; keys are already rotated.
// They are in blocks of a pool, which sequences share until one of them writes (copy on write).
// Where gradients are on and keys or values require them, they are concatenated instead, so that
// autograd can differentiate through them. Owned by the caller of Decoder::forward; not safe for
// use from several threads at once. REQUIRES of all methods: sequences and layers that exist.
class KvCache {
 public:
  // `num_sequences` empty sequences, which grow as they are appended to, in blocks of a pool of
  // their own or of `pool`.
  KvCache(KvShape shape, c10::TensorOptions options, int64_t num_sequences = 1);
  explicit KvCache(std::shared_ptr<BlockPool> pool, int64_t num_sequences = 1);

  int64_t num_sequences() const { return static_cast<int64_t>(sequences_.size()); }
  const KvShape& shape() const;

  // Tokens that every layer holds for this sequence, without those of ragged memories.
  int64_t length(int64_t sequence) const;
  // Bytes that the tokens in use take, over all sequences; shared ones count for each.
  int64_t bytes() const;

  // Keys and values of tokens first .. first + count - 1 of one layer, [num_kv_heads, count,
  // head_dim] each: a copy, or, of concatenated ones, differentiable views. Throws kInvalidArgument
  // for tokens out of range.
  std::pair<at::Tensor, at::Tensor> rows(int64_t layer,
                                         int64_t sequence,
                                         int64_t first,
                                         int64_t count) const;

  // Makes room for `num_tokens` tokens in all, so that appending up to there does not allocate.
  void reserve(int64_t sequence, int64_t num_tokens);
  // Makes `to` a copy of sequence `from` of `other` (which may be this cache). Blocks are shared,
  // not copied, where both caches have one shape, dtype and device (on a GPU: one CUDA stream).
  void copy_sequence(const KvCache& other, int64_t from, int64_t to);
  // Drops all tokens from `length` on.
  void truncate(int64_t sequence, int64_t length);

  // Puts a ragged memory in front of the sequence's tokens. Tokens see all of it, at the positions
  // that its keys were rotated to. Throws kInvalidArgument for one of another shape, dtype or
  // device.
  void add_ragged(int64_t sequence, std::shared_ptr<const RaggedKv> memory);

  // For decoders: appends tokens to one layer, [num_kv_heads, n, head_dim] each.
  void append(int64_t layer, int64_t sequence, const at::Tensor& keys, const at::Tensor& values);
  // For decoders: all tokens of one layer, or the first `length`. Valid until the cache changes.
  KvView view(int64_t layer, int64_t sequence) const;
  KvView view(int64_t layer, int64_t sequence, int64_t length) const;

  // For decoders that write keys and values themselves: adds `count` tokens to every layer, in
  // blocks that no other sequence shares. The caller then writes their keys and values. REQUIRES:
  // gradients off, and no tokens that a backward pass still needs.
  void extend(int64_t sequence, int64_t count);
  // The sequence's blocks after extend(): [num_layers, num_kv_heads, 2, block size, head_dim] each,
  // keys before values.
  const std::vector<at::Tensor>& blocks(int64_t sequence) const;

 private:
  struct LayerTokens {
    at::Tensor keys;    // [num_kv_heads, length, head_dim]; undefined: in the sequence's blocks
    at::Tensor values;  // same shape
    int64_t length = 0;
  };
  struct Sequence {
    std::vector<LayerTokens> layers;
    std::vector<at::Tensor> blocks;
    std::vector<std::shared_ptr<const RaggedKv>> ragged;
  };

  bool can_share(const KvCache& other, int64_t from) const;
  // Keys and values of all tokens of a layer that has some.
  std::pair<at::Tensor, at::Tensor> all_rows(const Sequence& sequence, int64_t layer) const;
  // Blocks for tokens first .. last - 1 that no other sequence has.
  void own_blocks(Sequence& sequence, int64_t first, int64_t last) const;

  std::shared_ptr<BlockPool> pool_;
  std::vector<Sequence> sequences_;
};

}  // namespace precis
