// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <optional>

#include "compressors/compressor_files.h"
#include "compressors/connector.h"
#include "compressors/setting_table.h"
#include "precis/extend/compressor.h"

namespace precis {

// SelfCP (Gao et al., IPM 61(6) 2024, arXiv 2405.17052): the frozen model itself reads
//   prefix, [memories of earlier chunks], separator, segment, tag x m
// with m = max(1, floor(n / ratio)) for n tokens, and its final hidden states h at the tags become
// LayerNorm(W h + b). All tags share one embedding.
struct SelfCpConfig {
  double ratio = 12.0;
  int64_t max_segment = 512;
  std::optional<TokenId> separator;  // a token of the model, read before the segment
  bool layer_norm = true;            // the BlueLM variant of the paper has none
  bool reads_prefix = true;
  std::vector<TokenId> continuation_mark;
};

SettingTable selfcp_settings(SelfCpConfig& config);

// The trainable part, float32 (float64 over a float64 model).
struct SelfCpWeights {
  Connector connector;
  at::Tensor tag_embedding;  // [hidden]
};

// Takes all tensors of `stored`. Throws kBadWeights for those that are missing, surplus or of
// another shape.
SelfCpWeights take_selfcp_weights(const Weights& stored,
                                  const SelfCpConfig& config,
                                  const Decoder& decoder);

std::unique_ptr<Compressor> load_selfcp(const CompressorFiles& files, const Decoder& decoder);

// Initial weights for training: the connector of create_connector(), and the mean embedding as tag.
std::unique_ptr<Compressor> create_selfcp(const SelfCpConfig& config, const Decoder& decoder);

// Throws kInvalidArgument for a ratio or a segment below 1 and for ids outside the vocabulary.
std::unique_ptr<Compressor> make_selfcp(const SelfCpConfig& config,
                                        SelfCpWeights weights,
                                        const Decoder& decoder);

}  // namespace precis
