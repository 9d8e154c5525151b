// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "compressors/gisting/gisting.h"
#include "io/json_file.h"
#include "io/safetensors_weights.h"
#include "memory/memory_contents.h"
#include "precis/extend/load_decoder.h"
#include "prompt/splice.h"

namespace precis {

// The files of golden/make_gisting_golden.py, and helpers of the tests of Gisting.

inline const std::filesystem::path kGistingGolden =
    std::filesystem::path(PRECIS_TEST_GOLDEN_DIR) / "gisting";

inline std::filesystem::path model_path(const std::string& name) {
  return std::filesystem::path(PRECIS_TEST_GOLDEN_DIR) / "models" / name;
}

inline std::unique_ptr<Decoder> load_model(const std::string& name, c10::ScalarType dtype) {
  const c10::NoGradGuard no_grad;
  return load_decoder(model_path(name), dtype);
}

inline nlohmann::json golden(const char* part) {
  return read_json(kGistingGolden / "cases.json").at(part);
}

inline std::vector<std::string> names_of(const char* part) {
  std::vector<std::string> names;
  const nlohmann::json rows = golden(part);
  for (const auto& [name, ignored] : rows.items()) names.push_back(name);
  return names;
}

inline GistingConfig golden_config(GistingConfig::Form form, int64_t num_gists) {
  const nlohmann::json settings = golden("settings");
  GistingConfig config;
  config.form = form;
  config.num_gists = num_gists;
  if (form == GistingConfig::Form::kTuned) config.gist_id = settings.at("gist_id").get<TokenId>();
  config.rank = settings.at("rank");
  config.alpha = settings.at("alpha");
  return config;
}

// All tensors random, so that leaving any of them out changes results.
inline GistingWeights golden_weights(const GistingConfig& config, const Decoder& decoder) {
  if (config.form == GistingConfig::Form::kTuned) return {};
  const DecoderConfig& shape = decoder.config();
  const Weights source(safetensors_file_weights(kGistingGolden / "gisting.safetensors"),
                       decoder.options());
  const auto change = [&](const std::string& name, int64_t outputs) {
    return LoraWeights{source.take(name + ".lora_A.weight", {config.rank, shape.hidden_size}),
                       source.take(name + ".lora_B.weight", {outputs, config.rank})};
  };
  GistingWeights weights;
  weights.embeddings =
      source.take("gist_embeddings", {5, shape.hidden_size}).narrow(0, 0, config.num_gists).clone();
  const int64_t kv_size = shape.num_kv_heads * shape.head_dim;
  for (int64_t i = 0; i < shape.num_layers; ++i) {
    const std::string layer = "layers." + std::to_string(i);
    AdapterLayer adapted;
    if (i + 1 < shape.num_layers)
      adapted.query = change(layer + ".q_proj", shape.num_heads * shape.head_dim);
    adapted.key = change(layer + ".k_proj", kv_size);
    adapted.value = change(layer + ".v_proj", kv_size);
    weights.adapter.layers.push_back(adapted);
  }
  return weights;
}

inline std::unique_ptr<Compressor> make_golden(const GistingConfig& config,
                                               const Decoder& decoder) {
  return make_gisting(config, golden_weights(config, decoder), decoder);
}

inline double largest_difference(const at::Tensor& actual, const at::Tensor& expected) {
  const at::Tensor wide = expected.to(at::kDouble);
  const at::Tensor difference = (actual.to(at::kDouble) - wide).abs().max();
  return (difference / wide.abs().max().clamp_min(1e-3)).item<double>();
}

inline const CachedTokens& cached_of(const MemoryTensors& memory) {
  return std::get<CachedTokens>(memory);
}

inline void expect_alike(const MemoryTensors& actual,
                         const MemoryTensors& expected,
                         double tolerance) {
  const CachedTokens &a = cached_of(actual), &b = cached_of(expected);
  EXPECT_EQ(a.first_position, b.first_position);
  EXPECT_EQ(a.next_position, b.next_position);
  EXPECT_LE(largest_difference(a.keys, b.keys), tolerance);
  EXPECT_LE(largest_difference(a.values, b.values), tolerance);
}

inline PromptItem memory_item(MemoryTensors tensors) {
  return Memory(std::make_shared<MemoryContents>(MemoryContents{std::move(tensors), {}}));
}

inline PromptItem text_item(const std::vector<TokenId>& ids) { return TokenSpan{ids}; }

inline Segment segment_of(int64_t size, int64_t first = 5) {
  Segment segment;
  for (int64_t i = 0; i < size; ++i) segment.tokens.push_back(first + (i * 37) % 80);
  return segment;
}

// Final hidden states of the prompt's inputs, [n, hidden].
inline at::Tensor read(const SplicedPrompt& prompt, const Decoder& decoder) {
  KvCache cache(decoder.config().kv_shape(), decoder.options());
  preload(prompt, decoder, cache, 0);
  return decoder.forward({prompt.embeddings, prompt.positions, {0, prompt.embeddings.size(0)}, {0}},
                         cache);
}

}  // namespace precis
