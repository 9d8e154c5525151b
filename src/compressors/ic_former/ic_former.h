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
#include "compressors/ic_former/digest_net.h"
#include "precis/extend/compressor.h"

namespace precis {

// The instruction template around the memories of a text:
//   before, memories, FT embedding, after, prompt, end.
// Token ids of the model. The published checkpoint was tuned with "<s>[INST] Response the Prompt
// based on the below text:\n\n", "\n\nPrompt: {prompt}" as one text, and "[/INST]".
struct IcFormerTemplate {
  std::vector<TokenId> before;
  std::vector<TokenId> after;
  std::vector<TokenId> end;
};

// IC-Former (Wang et al., Findings of EMNLP 2024, arXiv 2406.13618): a small net in which digest
// tokens attend to the model's input embeddings of a text through cross-attention. Compressing runs
// no layer of the model. The net's hidden size is the model's.
struct IcFormerConfig {
  int64_t slots = 128;        // digest tokens, the memory tokens of each chunk
  int64_t max_segment = 512;  // largest number of tokens of a chunk
  int64_t num_layers = 3;
  int64_t num_heads = 32;
  std::optional<int64_t> num_kv_heads = {};  // key and value heads; none: num_heads
  int64_t ffn_size = 11008;
  double rms_norm_epsilon = 1e-6;
  double rope_base = 10000.0;
  bool connector = false;    // memories are LayerNorm(W h + b) rather than h
  bool token_table = false;  // keep the keys and values of the whole vocabulary, vocab_size x 2 x
                             // layers x key width elements, and look texts up in it
  bool spread_positions = false;  // each digest in the middle of its equal share of the chunk; in
                                  // the paper all digests follow the chunk
  IcFormerTemplate instruct;
};

// The trainable weights, float32 (float64 over a float64 model).
struct IcFormerWeights {
  ic_former::DigestNet net;
  at::Tensor digests;     // [slots, hidden]
  at::Tensor autoencode;  // AE [hidden], read after the memories to reconstruct the text
  at::Tensor instruct;    // FT [hidden], before a prompt; undefined: not trained for prompts
  Connector connector;    // with its LayerNorm; empty without a connector
};

std::unique_ptr<Compressor> load_ic_former(const CompressorFiles& files, const Decoder& decoder);

// Initial weights for training, the same for the same seed: matrices N(0, 0.02), norm weights 1.
// Without a connector digests, AE and FT are zero, as in the paper. With one they are the mean
// embedding plus noise, and the connector starts as SelfCP's: W is the identity, b zero, the
// LayerNorm's weight a quarter of the embeddings' RMS and its bias their mean. With a connector,
// spread positions and a key head for each query head, memories start near the embeddings of the
// tokens at the digests' positions. Throws kInvalidArgument for what check_ic_former_config
// refuses.
std::unique_ptr<Compressor> create_ic_former(const IcFormerConfig& config,
                                             const Decoder& decoder,
                                             uint64_t seed = 1);

// Throws likewise. REQUIRES: weights of the shapes that `config` names.
std::unique_ptr<Compressor> make_ic_former(const IcFormerConfig& config,
                                           IcFormerWeights weights,
                                           const Decoder& decoder);

}  // namespace precis
