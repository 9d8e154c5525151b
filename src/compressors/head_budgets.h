// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "compressors/row_selector.h"
#include "precis/extend/decoder.h"

namespace precis {

// Divides rows of a memory among heads by their tokens' scores, as KVzip (arXiv 2505.23416) and
// attention matching (arXiv 2602.16284) do: heads keep the tokens with the largest scores of all
// layers and heads together. Each head keeps at least kLeastShare of the mean, so that none loses
// the text, and at most kMostShare times the mean.
inline constexpr double kLeastShare = 0.2;
inline constexpr double kMostShare = 4.0;

// scores: [num_layers, num_kv_heads, n] float32, n candidates of each head. mean: rows that a head
// gets on average. -> [num_layers, num_kv_heads] int64 on the CPU, whose mean is `mean`. The same
// for equal scores, on any device and number of threads. REQUIRES: 1 <= mean <= n.
at::Tensor head_budgets(const at::Tensor& scores, int64_t mean);

// Tokens that each head keeps of a text, always kept ones included, [num_layers, num_kv_heads]
// int64. scores: [num_layers, num_kv_heads, number of ids]. The same number everywhere in models
// with sliding windows: attention over a window counts tokens, which ragged memories do not have.
at::Tensor head_lengths(const at::Tensor& scores,
                        const SelectionRequest& request,
                        const DecoderConfig& config);

}  // namespace precis
