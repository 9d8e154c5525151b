// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "compressors/compressor_files.h"
#include "compressors/connector.h"
#include "compressors/setting_table.h"
#include "precis/extend/adapter.h"
#include "precis/extend/compressor.h"

namespace precis {

// The two published generations of ICAE, which differ in the template around memory and prompt.
enum class IcaeGeneration {
  kNone,     // neither: trained embeddings only
  kLlama,    // Llama-2-7b-chat, 2023
  kMistral,  // Mistral-7B-Instruct-v0.2, 2024, the ids of its [INST] template
};

// The template of a prompt about a text; FT is a trained embedding:
//   before, memories, FT, prompt, [FT], end -> answer.
struct IcaeTemplate {
  std::vector<TokenId> before;
  bool mark_after_prompt = true;     // the second FT
  std::vector<TokenId> end;          // ids between the prompt and the answer
  std::vector<TokenId> answer_ends;  // ids that end an answer, besides the model's own
};

IcaeTemplate icae_template(IcaeGeneration generation);

// Ids that the published scripts put before the text to be compressed: BOS in both generations.
// kMistral was pretrained with BOS, except for excerpts of longer texts, and fine-tuned without.
std::vector<TokenId> icae_before_text(IcaeGeneration generation);

// ICAE, the in-context autoencoder (Ge et al., ICLR 2024, arXiv 2307.06945): the frozen model, with
// LoRA on the query and value projections of all layers, reads
//   chunk, memory token x slots
// and its final hidden states h at the memory tokens, or LayerNorm(W h + b) with a connector, are
// the memory, which the model reads without LoRA. A text is divided into chunks of equal size, each
// read from position 0; the memory tokens have the positions after the chunk.
struct IcaeConfig {
  int64_t slots = 128;
  int64_t max_segment = 512;  // tokens of a chunk
  int64_t rank = 128;         // of the LoRA
  double alpha = 32.0;        // the LoRA is scaled by alpha / rank
  bool connector = false;     // for models whose hidden states are far from their embeddings
  // Whether each memory token has the position in the middle of its equal share of the chunk
  // instead (Zhao et al., 2025, arXiv 2409.14364), near the text that it represents. Of no use for
  // chunks longer than a sliding window, since windows count tokens, not positions.
  bool spread_positions = false;
  bool continuation_mark = true;  // LM between a memory and the continuation of its text
  // Prepended to every text before it is divided, unless the text begins with these ids.
  // memory_size(), which is not given the ids, always counts them, and may count one chunk too many
  // for such a text.
  std::vector<TokenId> before_text;
  IcaeTemplate instruct;
};

SettingTable icae_settings(IcaeConfig& config);

// The trainable part, float32 (float64 over a float64 model).
struct IcaeWeights {
  at::Tensor memory_embeddings;  // [slots + 3, hidden]: memory tokens, then AE, LM and FT
  Adapter adapter;               // query and value of every layer; make_icae sets the scales
  Connector connector;           // with its LayerNorm; empty without a connector
};

std::unique_ptr<Compressor> load_icae(const CompressorFiles& files, const Decoder& decoder);

// Initial weights for training, the same for the same seed: a LoRA with zero effect (down uniform
// in +-1 / sqrt(hidden), up zero), memory tokens and marks around the mean embedding, and a
// connector of create_connector().
std::unique_ptr<Compressor> create_icae(const IcaeConfig& config,
                                        const Decoder& decoder,
                                        uint64_t seed = 1);

// Takes weights of any floating type. Throws kInvalidArgument for sizes below 1 or slots that do
// not fit the model's window, for ids outside the vocabulary and for tensors of other shapes.
std::unique_ptr<Compressor> make_icae(const IcaeConfig& config,
                                      IcaeWeights weights,
                                      const Decoder& decoder);

}  // namespace precis
