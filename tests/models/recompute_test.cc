// SPDX-License-Identifier: Apache-2.0
// Activations that are recomputed in the backward pass: the same gradients from fewer kept tensors.
#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/function.h>

#include <filesystem>
#include <set>

#include "precis/extend/decoder.h"
#include "precis/extend/load_decoder.h"

namespace precis {
namespace {

struct Pass {
  at::Tensor hidden;
  at::Tensor gradient;  // of a weighted sum of the hidden states, with respect to the embeddings
  int recomputed;       // nodes of the graph that recompute
};

int count_nodes(const torch::autograd::Node* root, const char* name) {
  std::set<const torch::autograd::Node*> seen;
  std::vector<const torch::autograd::Node*> open{root};
  int count = 0;
  while (!open.empty()) {
    const auto* node = open.back();
    open.pop_back();
    if (node == nullptr || !seen.insert(node).second) continue;
    count += node->name().find(name) != std::string::npos;
    for (const auto& edge : node->next_edges()) open.push_back(edge.function.get());
  }
  return count;
}

Pass pass(const Decoder& decoder, bool recompute) {
  const at::Tensor ids = at::arange(5, 17);
  const at::Tensor rows = decoder.embed(ids).detach().requires_grad_(true);
  KvCache cache(decoder.config().kv_shape(), decoder.options());
  DecoderInput input{rows, at::arange(12), {0, 12}, {0}};
  input.recompute_activations = recompute;
  const at::Tensor hidden = decoder.forward(input, cache);
  const at::Tensor weights = at::linspace(-1, 1, hidden.numel(), hidden.options()).view_as(hidden);
  const int nodes = count_nodes(hidden.grad_fn().get(), "CustomBackward");
  return {hidden.detach(), torch::autograd::grad({(hidden * weights).sum()}, {rows})[0], nodes};
}

class Recompute : public testing::TestWithParam<const char*> {};

TEST_P(Recompute, GivesTheSameGradients) {
  std::unique_ptr<Decoder> decoder;
  {
    const c10::NoGradGuard no_grad;
    decoder = load_decoder(std::filesystem::path(PRECIS_TEST_GOLDEN_DIR) / "models" / GetParam(),
                           at::kDouble);
  }
  const Pass kept = pass(*decoder, false), again = pass(*decoder, true);
  EXPECT_EQ(kept.recomputed, 0);
  EXPECT_EQ(again.recomputed, decoder->config().num_layers);
  EXPECT_TRUE(at::equal(kept.hidden, again.hidden));
  EXPECT_TRUE(at::allclose(kept.gradient, again.gradient, 1e-12, 1e-14));
  EXPECT_GT(kept.gradient.abs().max().item<double>(), 1e-6);
}

TEST_P(Recompute, IsForGradientsOnly) {
  const c10::NoGradGuard no_grad;
  const auto decoder = load_decoder(
      std::filesystem::path(PRECIS_TEST_GOLDEN_DIR) / "models" / GetParam(), at::kDouble);
  KvCache cache(decoder->config().kv_shape(), decoder->options());
  DecoderInput input{decoder->embed(at::arange(4)), at::arange(4), {0, 4}, {0}};
  input.recompute_activations = true;
  EXPECT_FALSE(decoder->forward(input, cache).requires_grad());
}

INSTANTIATE_TEST_SUITE_P(Models,
                         Recompute,
                         testing::Values("llama", "qwen2", "gemma3_text"),
                         [](const auto& test) { return std::string(test.param); });

}  // namespace
}  // namespace precis
