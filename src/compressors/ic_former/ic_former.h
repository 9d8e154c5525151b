// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "compressors/compressor_files.h"
#include "compressors/connector.h"
#include "compressors/ic_former/cross_attention.h"
#include "precis/extend/compressor.h"

namespace precis {

// What stands around the memories of a text that a prompt is about:
//   before, memories, FT vector, after, prompt, end.
// Ids of the model, since only its tokenizer knows them. The published checkpoint was tuned with
// "<s>[INST] Response the Prompt based on the below text:\n\n", "\n\nPrompt: {prompt}" as one text
// and "[/INST]".
struct IcFormerTemplate {
  std::vector<TokenId> before;
  std::vector<TokenId> after;
  std::vector<TokenId> end;
};

// IC-Former (Wang et al., Findings of EMNLP 2024, arXiv 2406.13618): a small net of its own in
// which digest tokens read the word embeddings of a text through cross-attention. The model itself
// has no part in compressing. As wide as the model.
struct IcFormerConfig {
  int64_t slots = 128;        // digest tokens: memory tokens of every part
  int64_t max_segment = 512;  // tokens of a part
  int64_t num_layers = 3;
  int64_t num_heads = 32;
  std::optional<int64_t> num_kv_heads = {};  // key and value heads; none: num_heads
  int64_t ffn_size = 11008;
  double rms_norm_epsilon = 1e-6;
  double rope_base = 10000.0;
  bool connector = false;    // memories are LayerNorm(W h + b) rather than h
  bool token_table = false;  // keep the keys and values of the whole vocabulary, vocab_size x 2 x
                             // layers x keys' width numbers: then texts are looked up, not
                             // multiplied
  bool spread_positions = false;  // each digest in the middle of its share of the part, where the
                                  // paper has all behind the part
  IcFormerTemplate instruct;
};

// The trainable part, float32 (float64 over a float64 model).
struct IcFormerWeights {
  ic_former::DigestNet net;
  at::Tensor digests;     // [slots, hidden]
  at::Tensor autoencode;  // AE [hidden], read after the memories to say the text again
  at::Tensor instruct;    // FT [hidden], read before a prompt; undefined: untrained
  Connector connector;    // with its LayerNorm; empty without a connector
};

std::unique_ptr<Compressor> load_ic_former(const CompressorFiles& files, const Decoder& decoder);

// Weights to start training from, the same for the same seed: matrices N(0, 0.02), gains 1. Without
// a connector digests, AE and FT are zero, as in the paper. With one they lie around the mean
// embedding and the connector starts as SelfCP's: W is the identity, b zero, the LayerNorm's gain a
// quarter of the embeddings' RMS and its bias their mean. With a connector, spread digests and a
// key head for each query head, memories start near the embeddings of the tokens that stand where
// the digests do. Throws kInvalidArgument for what check_ic_former_config refuses.
std::unique_ptr<Compressor> create_ic_former(const IcFormerConfig& config,
                                             const Decoder& decoder,
                                             uint64_t seed = 1);

// Throws likewise. REQUIRES: weights of the shapes that config
// names.
std::unique_ptr<Compressor> make_ic_former(const IcFormerConfig& config,
                                           IcFormerWeights weights,
                                           const Decoder& decoder);

}  // namespace precis
