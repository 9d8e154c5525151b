// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <torch/optim/adamw.h>

#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "precis/extend/load_decoder.h"
#include "precis/memory_bank.h"
#include "support/make_memory.h"
#include "support/small_compressors.h"

namespace precis::fuzz {

// What seeds are made of and what targets read them with: small, and the same in every process.

inline std::filesystem::path golden() { return PRECIS_TEST_GOLDEN_DIR; }

inline const Decoder& small_decoder() {
  static const std::unique_ptr<Decoder> decoder =
      load_decoder(golden() / "models" / "llama", at::kFloat);
  return *decoder;
}

inline std::unique_ptr<Compressor> small_compressor() {
  const c10::NoGradGuard no_grad;
  return make_small_selfcp(small_decoder());
}

inline MemoryBank small_bank() {
  MemoryBank bank;
  bank.add("first", soft_memory({{1, 2, 3, 4}, {5, 6, 7, 8}}));
  bank.add("second", soft_memory({{-1, 0.5, 2, 0}}));
  return bank;
}

inline constexpr const char* kRecipe = R"({"steps": 2, "seed": 1})";

inline torch::optim::AdamW optimizer_of(Compressor& compressor) {
  std::vector<at::Tensor> parameters;
  for (const NamedTensor& named : compressor.parameters()) parameters.push_back(named.tensor);
  return torch::optim::AdamW(parameters, torch::optim::AdamWOptions(1e-3));
}

}  // namespace precis::fuzz
