// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

#include "io/json_file.h"
#include "precis/extend/load_decoder.h"

// What transformers computes from settings (golden/make_config_golden.py).
namespace precis::config_golden {

inline const nlohmann::json& content() {
  static const nlohmann::json content =
      read_json(std::filesystem::path(PRECIS_TEST_GOLDEN_DIR) / "config_keys.json");
  return content;
}

inline const nlohmann::json& golden_case(const std::string& name) {
  for (const nlohmann::json& one : content()["cases"]) {
    if (one["name"] == name) return one;
  }
  throw std::out_of_range("no golden case " + name);
}

// Expects the logits of a model after the golden ids to be those of this case.
inline void expect_logits(const std::filesystem::path& model, const std::string& name) {
  const c10::NoGradGuard no_grad;
  const std::unique_ptr<Decoder> decoder = load_decoder(model, at::kFloat);
  KvCache cache(decoder->config().kv_shape(), decoder->options());
  const at::Tensor ids = at::tensor(content()["ids"].get<std::vector<int64_t>>());
  const int64_t n = ids.size(0);
  const at::Tensor hidden =
      decoder->forward({decoder->embed(ids), at::arange(n), {0, n}, {0}}, cache);
  const at::Tensor expected = at::tensor(golden_case(name)["logits"].get<std::vector<float>>());
  const at::Tensor logits =
      decoder->logits(hidden.slice(0, n - 1)).flatten().slice(0, 0, expected.size(0));
  const double largest = expected.abs().max().item<double>();
  EXPECT_LT((logits - expected).abs().max().item<double>() / largest, 1e-4) << name;
}

}  // namespace precis::config_golden
