// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "precis/extend/adapter.h"
#include "precis/extend/kv_cache.h"

namespace precis {

// Rotary embedding: frequencies base^(-2i/head_dim), scaled as `scaling` says.
struct RopeConfig {
  enum class Scaling { kNone, kLinear, kLlama3, kYarn, kDivisors };

  double base = 10000.0;
  Scaling scaling = Scaling::kNone;
  double factor = 1.0;
  double original_context = 0.0;       // llama3, yarn: context length of the pretraining
  double low_frequency_factor = 1.0;   // llama3
  double high_frequency_factor = 4.0;  // llama3
  double beta_fast = 32.0;             // yarn
  double beta_slow = 1.0;              // yarn
  double attention_factor = 1.0;       // yarn: multiplies cos and sin
  bool truncate_correction = true;     // yarn: round the correction range to whole dimensions
  std::vector<float> divisors;         // divisors: [head_dim / 2], one for each frequency
};

// Sizes and variant of a decoder-only transformer.
struct DecoderConfig {
  enum class Activation { kSilu, kGeluTanh };

  std::string architecture;  // "llama", "mistral", "qwen2", "qwen3", "gemma3"
  std::string name;          // of its directory or file, for messages
  int64_t vocab_size = 0;
  int64_t hidden_size = 0;
  int64_t num_layers = 0;
  int64_t num_heads = 0;
  int64_t num_kv_heads = 0;
  int64_t head_dim = 0;
  int64_t ffn_size = 0;
  int64_t context_length = 0;
  double rms_norm_epsilon = 1e-6;
  double attention_scale = 0.0;
  double embedding_scale = 1.0;
  Activation activation = Activation::kSilu;
  bool tied_head = false;
  bool qkv_bias = false;
  bool output_bias = false;
  bool mlp_bias = false;
  bool qk_norm = false;
  bool sandwich_norms = false;         // norms after attention and MLP too (Gemma)
  bool norm_weight_is_offset = false;  // norm weights are stored as w, applied as 1 + w (Gemma)
  RopeConfig rope;
  std::optional<RopeConfig> local_rope;  // for layers with a window, if it differs
  int64_t window =
      0;  // keys that a token attends to in a windowed layer, its own included; 0: none
  std::vector<bool> windowed;  // [num_layers]

  KvShape kv_shape() const { return {num_layers, num_kv_heads, head_dim}; }
};

// One or more sequences, packed without padding.
struct DecoderInput {
  at::Tensor embeddings;                 // [num_tokens, hidden]
  at::Tensor positions;                  // [num_tokens] int64, rotary position of each token
  std::vector<int64_t> cu_seqlens;       // [num_sequences + 1], e.g. lengths 2, 3, 4 -> 0, 2, 5, 9
  std::vector<int64_t> cache_sequences;  // [num_sequences] sequence of the cache each one continues
  at::Tensor adapted_rows =
      {};  // [num_tokens] bool: tokens that an adapter acts on; undefined: all
  // [num_tokens] int64: number of leading cached tokens of its sequence that a token attends to,
  // besides itself; its position in a sliding window follows the last of them. REQUIRES: 0 to the
  // number of cached tokens. Undefined: all cached tokens, and those of this pass up to itself.
  at::Tensor visible_cache_len = {};
  // [num_outputs] int64, on the decoder's device: tokens whose hidden states are returned, in this
  // order. The last layer computes only these; keys and values of all tokens still join the cache.
  // REQUIRES: 0 to num_tokens - 1. Undefined: all tokens. Every decoder has to respect it.
  at::Tensor output_indices = {};
  // Under gradients: keep no MLP activations, recompute them in the backward pass. Less memory,
  // more time (activation checkpointing, arXiv 1604.06174); same results up to rounding.
  bool recompute_activations = false;
};

// What a layer's attention computed in a pass, for code that inspects or compresses the cache.
struct ObservedLayer {
  int64_t index = 0;
  // [num_tokens, num_heads, head_dim], in the decoder's dtype: after the query norm, if there is
  // one, before rotation.
  at::Tensor queries;
};

// Called by Decoder::forward once for each layer, in order, on the calling thread, after the
// layer's new keys and values are in the cache (KvCache::rows) and before the next layer runs. An
// exception ends the pass.
using LayerObserver = std::function<void(const ObservedLayer& layer)>;

// The frozen language model. All methods are const; calls with different caches may run at the same
// time.
class Decoder {
 public:
  virtual ~Decoder() = default;

  virtual const DecoderConfig& config() const = 0;
  virtual c10::TensorOptions options() const = 0;  // dtype and device of its weights

  // Embeddings of token ids: [n] int64 -> [n, hidden]. REQUIRES: ids inside the vocabulary. All
  // results are of the decoder's dtype, on its device.
  virtual at::Tensor embed(const at::Tensor& tokens) const = 0;

  // Embeddings of tokens among others that belong to no token (memories, trained embeddings).
  // ids: [num_ids] int64; embeddings: [m, hidden]; source_indices: [n] int64 into embed(ids)
  // followed by `embeddings`, so that index i < num_ids takes ids[i], any other
  // embeddings[i - num_ids]. -> [n, hidden]. REQUIRES: ids inside the vocabulary, indices 0 to
  // num_ids + m - 1, embeddings of the decoder's dtype, all on its device. Differentiable with
  // respect to `embeddings`. Calls embed(); override to fuse the two lookups.
  virtual at::Tensor embed_spliced(const at::Tensor& ids,
                                   const at::Tensor& embeddings,
                                   const at::Tensor& source_indices) const;

  // Hidden states after the final norm, [num_tokens, hidden], or of `output_indices` alone.
  // `adapter`, if any, changes the projections of this pass. Each token attends to the cached
  // tokens of its sequence and to the tokens of its sequence in this pass up to itself, or as
  // `visible_cache_len` says; the new tokens are appended to the cache. Throws kInvalidArgument for
  // shapes that do not fit each other or the model, and on a CPU for `output_indices` out of range;
  // the cache is then unchanged. `observer`, if any, is called for each layer; if it throws, the
  // cache is unusable.
  virtual at::Tensor forward(const DecoderInput& input,
                             KvCache& cache,
                             const Adapter* adapter = nullptr,
                             const LayerObserver* observer = nullptr) const = 0;

  // [n, hidden] -> [n, vocab_size].
  virtual at::Tensor logits(const at::Tensor& hidden) const = 0;

  // Hash of the weights. Memories made with other weights are refused.
  virtual const std::string& fingerprint() const = 0;

  // Elements and bytes of all weights; a head that is tied to the embedding counts once.
  virtual int64_t num_parameters() const = 0;
  virtual int64_t weight_bytes() const = 0;
};

}  // namespace precis
