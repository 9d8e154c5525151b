// SPDX-License-Identifier: Apache-2.0
// A decode step as a GPU runs it, its kernels on the CPU, against the same layers op by op.
#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "io/json_file.h"
#include "io/safetensors_weights.h"
#include "models/config.h"
#include "models/executors/gpu_step.h"
#include "models/layer.h"
#include "precis/extend/load_decoder.h"
#include "support/cuda_on_cpu/table.h"

namespace precis {
namespace {

namespace fs = std::filesystem;

struct Case {
  std::string model;
  c10::ScalarType dtype;
  int64_t bits = 0;
};

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const auto& entry : fs::directory_iterator(fs::path(PRECIS_TEST_GOLDEN_DIR) / "models")) {
    if (!entry.is_directory()) continue;
    const std::string model = entry.path().filename();
    all.push_back({model, at::kFloat});
    all.push_back({model, at::kBFloat16});
    if (model == "gemma3_text") {  // other models' widths are no multiples of 32
      all.push_back({model, at::kFloat, 8});
      all.push_back({model, at::kFloat, 4});
    }
  }
  return all;
}

class PagedStepOnCpu : public testing::TestWithParam<Case> {
 protected:
  static models::LayerStack load(const DecoderConfig& config,
                                 const Weights& weights,
                                 int64_t bits) {
    models::LayerStack stack;
    stack.config = config;
    const Weights model = weights.scope("model");
    for (int64_t i = 0; i < config.num_layers; ++i) {
      models::DecoderLayer& layer = stack.layers.emplace_back(
          models::load_decoder_layer(model.scope("layers." + std::to_string(i)), config, i));
      for (models::Linear* linear : layer.linears()) {
        if (bits > 0) *linear = models::quantized(*linear, bits);
        if (linear->bias.defined()) linear->bias = linear->bias.to(GetParam().dtype);
      }
    }
    stack.final_norm = models::load_norm_weight(model, "norm", config.hidden_size, config);
    stack.frequencies = ops::rotary_frequencies(config.rope, config.head_dim);
    if (config.local_rope)
      stack.local_frequencies = ops::rotary_frequencies(*config.local_rope, config.head_dim);
    return stack;
  }

  // Sequence i holds lengths[i] tokens.
  KvCache read(const std::vector<int64_t>& lengths) const {
    KvCache cache(decoder_->config().kv_shape(), decoder_->options(), std::ssize(lengths));
    for (int64_t i = 0; i < std::ssize(lengths); ++i) {
      if (lengths[i] == 0) continue;
      const at::Tensor rows = decoder_->embed(at::arange(lengths[i]).remainder(30) + i);
      decoder_->forward({rows, at::arange(lengths[i]), {0, lengths[i]}, {i}}, cache);
    }
    return cache;
  }

  static DecoderInput next_tokens(const Decoder& decoder, const KvCache& cache) {
    DecoderInput input;
    std::vector<int64_t> positions;
    for (int64_t i = 0; i < cache.num_sequences(); ++i) {
      input.cache_sequences.push_back(i);
      input.cu_seqlens.push_back(i);
      positions.push_back(cache.length(i));
    }
    input.cu_seqlens.push_back(cache.num_sequences());
    input.positions = at::tensor(positions, at::kLong);
    input.embeddings = decoder.embed(input.positions.remainder(25) + 3);
    return input;
  }

  at::Tensor step(const models::LayerStack& stack,
                  const DecoderInput& input,
                  KvCache& cache) const {
    std::vector<int64_t> lengths, blocks;
    size_t most = 0;
    for (const int64_t sequence : input.cache_sequences) {
      lengths.push_back(cache.length(sequence));
      cache.extend(sequence, 1);
      most = std::max(most, cache.blocks(sequence).size());
    }
    most += 3;  // more blocks than are read
    for (const int64_t sequence : input.cache_sequences) {
      for (const at::Tensor& block : cache.blocks(sequence))
        blocks.push_back(reinterpret_cast<int64_t>(block.mutable_data_ptr()));
      blocks.resize(blocks.size() + most - cache.blocks(sequence).size());
    }
    return models::gpu_step(
        stack,
        {input.embeddings,
         models::rotary_tables(stack, input.positions),
         at::tensor(lengths, at::kLong),
         at::tensor(blocks, at::kLong).view({std::ssize(lengths), static_cast<int64_t>(most)})},
        {cuda_on_cpu::table(), nullptr});
  }

  double tolerance() const {
    if (GetParam().dtype == at::kBFloat16) return 4e-2;
    // Codes of activations may round differently if values differ in their last digits.
    return GetParam().bits > 0 ? 1e-3 : 1e-5;
  }

  void expect_near(const at::Tensor& actual, const at::Tensor& expected) const {
    ASSERT_EQ(actual.sizes(), expected.sizes());
    ASSERT_EQ(actual.scalar_type(), expected.scalar_type());
    const at::Tensor wide = expected.to(at::kFloat);
    const at::Tensor error = (actual.to(at::kFloat) - wide).abs().max() / wide.abs().max();
    EXPECT_LT(error.item<double>(), tolerance());
  }

  static constexpr auto kFormats =
      std::array{WeightFormat::kDtype, WeightFormat::kInt4, WeightFormat::kInt8};
  const fs::path directory_ = fs::path(PRECIS_TEST_GOLDEN_DIR) / "models" / GetParam().model;
  const std::unique_ptr<Decoder> decoder_ =
      load_decoder(directory_, GetParam().dtype, kFormats[GetParam().bits / 4]);
  const c10::NoGradGuard no_grad_;
};

TEST_P(PagedStepOnCpu, EqualsTheLayersOpByOp) {
  const models::LayerStack stack =
      load(decoder_config(read_json(directory_ / "config.json"), "config.json"),
           Weights(safetensors_weights(directory_), GetParam().dtype),
           GetParam().bits);
  ASSERT_TRUE(models::gpu_step_applies(
      stack, decoder_->embed(at::zeros({1}, at::kLong)), cuda_on_cpu::table()));
  KvCache apart = read({31, 0, 64, 300});
  KvCache fused(apart.shape(), decoder_->options(), 4);
  for (int64_t i = 0; i < 4; ++i) fused.copy_sequence(apart, i, i);
  for (int64_t round = 0; round < 3; ++round) {
    const at::Tensor actual = step(stack, next_tokens(*decoder_, fused), fused);
    expect_near(actual, decoder_->forward(next_tokens(*decoder_, apart), apart));
  }
  for (int64_t i = 0; i < 4; ++i) {
    for (int64_t layer = 0; layer < apart.shape().num_layers; ++layer) {
      const int64_t count = apart.length(i);
      ASSERT_EQ(fused.length(i), count);
      expect_near(fused.rows(layer, i, 0, count).first, apart.rows(layer, i, 0, count).first);
      expect_near(fused.rows(layer, i, 0, count).second, apart.rows(layer, i, 0, count).second);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Models, PagedStepOnCpu, testing::ValuesIn(cases()), [](const auto& test) {
  return test.param.model + "_" + at::toString(test.param.dtype) +
         (test.param.bits ? std::to_string(test.param.bits) : "");
});

}  // namespace
}  // namespace precis
