// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "compressors/ic_former/ic_former.h"
#include "io/json_file.h"
#include "io/safetensors_weights.h"
#include "precis/extend/load_decoder.h"

namespace precis {

// The golden files of golden/make_ic_former_golden.py and helpers of the tests of IC-Former.

inline const std::filesystem::path kIcFormerGolden =
    std::filesystem::path(PRECIS_TEST_GOLDEN_DIR) / "ic_former";
inline constexpr int64_t kIcFormerHidden = 32;

// The settings of published/config.json and cases.json.
inline IcFormerConfig ic_former_config() {
  const nlohmann::json settings = read_json(kIcFormerGolden / "cases.json").at("settings");
  IcFormerConfig config;
  config.slots = 5;
  config.max_segment = settings.at("max_part");
  config.num_heads = 4;
  config.ffn_size = 24;
  config.rms_norm_epsilon = 1e-5;
  config.rope_base = 500;
  const nlohmann::json& ids = settings.at("template");
  config.instruct = {ids.at("before"), ids.at("after"), ids.at("end")};
  return config;
}

inline IcFormerWeights ic_former_weights(c10::ScalarType dtype) {
  const auto open = [&](const std::filesystem::path& file) {
    return Weights(safetensors_file_weights(kIcFormerGolden / file), dtype);
  };
  const Weights net = open("published/model.safetensors"),
                vectors = open("published/param.safetensors"),
                connector = open("connector.safetensors");
  IcFormerWeights weights;
  weights.net = ic_former::load_digest_net(net.scope("encoder"), {3, kIcFormerHidden, 24});
  weights.digests = vectors.take("digest_embeddings", {1, 5, kIcFormerHidden}).squeeze(0);
  weights.autoencode = vectors.take("AE", {1, 1, kIcFormerHidden}).flatten();
  weights.instruct = vectors.take("FT", {1, 1, kIcFormerHidden}).flatten();
  weights.connector.weight = connector.take("connector.weight", {kIcFormerHidden, kIcFormerHidden});
  weights.connector.bias = connector.take("connector.bias", {kIcFormerHidden});
  weights.connector.norm_weight = connector.take("connector_norm.weight", {kIcFormerHidden});
  weights.connector.norm_bias = connector.take("connector_norm.bias", {kIcFormerHidden});
  return weights;
}

inline std::unique_ptr<Decoder> ic_former_decoder(c10::ScalarType dtype) {
  const c10::NoGradGuard no_grad;
  return load_decoder(std::filesystem::path(PRECIS_TEST_GOLDEN_DIR) / "models" / "llama", dtype);
}

inline void require_gradients(Compressor& compressor) {
  for (const NamedTensor& named : compressor.parameters()) named.tensor.requires_grad_(true);
}

// The memory of one segment, [memory tokens, hidden].
inline at::Tensor memory_of(const Compressor& compressor, const std::vector<TokenId>& tokens) {
  const Segment segment{tokens, nullptr};
  return std::get<SoftTokens>(compressor.compress({&segment, 1}, {}).front()).embeddings;
}

// The largest difference, relative to the largest expected value.
inline double relative_difference(const at::Tensor& actual, const at::Tensor& expected) {
  const at::Tensor wide = expected.to(at::kDouble);
  return ((actual.to(at::kDouble) - wide).abs().max() / wide.abs().max().clamp_min(1e-3))
      .item<double>();
}

}  // namespace precis
