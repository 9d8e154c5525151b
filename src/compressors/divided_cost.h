// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>

#include "compressors/pass_flops.h"
#include "precis/extend/compressor_method.h"

namespace precis {

// Costs that several methods have in common.

// Longest text in tokens; bounds the list of chunks that it is divided into.
inline constexpr int64_t kLongestText = int64_t{1} << 24;

// Cost of one chunk of `num_tokens` tokens.
using ChunkCost = std::function<MethodCost(int64_t num_tokens)>;

// Cost of a text in chunks as divide() makes them, of at most `max_chunk` tokens. The caller adds
// the parameters. REQUIRES: num_tokens of 1 to 2 kLongestText, max_chunk of at least 1.
MethodCost divided_cost(int64_t num_tokens, int64_t max_chunk, const ChunkCost& chunk_cost);

// Throws kInvalidArgument for more than kLongestText tokens.
void check_can_be_read(const char* name, int64_t num_tokens);

// Parameters of a connector: W, b and, with `layer_norm`, a LayerNorm.
double connector_parameters(const ModelSizes& model, bool layer_norm);
double connector_flops(const ModelSizes& model, double num_tokens);

// Parameters of a LoRA on a projection of the hidden state to `outputs`: two matrices.
double lora_parameters(const ModelSizes& model, int64_t rank, double outputs);

// Memory tokens at a ratio, as tokens_at_ratio() gives them.
double memory_tokens_at(int64_t num_tokens, double ratio);

}  // namespace precis
