// SPDX-License-Identifier: Apache-2.0
// Decode steps, all layers at once, against the same layers op by op.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "models/executors/cpu_team.h"
#include "models/executors/op_by_op.h"
#include "models/layer.h"
#include "precis/extend/load_decoder.h"
#include "support/expect_error.h"

namespace precis {
namespace {

namespace fs = std::filesystem;

struct Case {
  std::string model;
  c10::ScalarType dtype = at::kFloat;
  WeightFormat format = WeightFormat::kDtype;
  int threads = 1;
};

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const auto& entry : fs::directory_iterator(fs::path(PRECIS_TEST_GOLDEN_DIR) / "models")) {
    if (!entry.is_directory()) continue;
    const std::string model = entry.path().filename();
    all.push_back({model});
    all.push_back({model, at::kFloat, WeightFormat::kDtype, 3});
    all.push_back({model, at::kBFloat16});
    all.push_back({model, at::kBFloat16, WeightFormat::kDtype, 2});
    if (!model.starts_with("gemma3")) continue;  // other models' widths are no multiples of 32
    for (const WeightFormat format : {WeightFormat::kInt8, WeightFormat::kInt4}) {
      all.push_back({model, at::kFloat, format});
      all.push_back({model, at::kBFloat16, format, 2});
    }
  }
  return all;
}

class DecodeStep : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    threads_ = at::get_num_threads();
    at::set_num_threads(GetParam().threads);
    at::manual_seed(3);
  }
  void TearDown() override { at::set_num_threads(threads_); }

  KvCache cache_of(int64_t sequences) const {
    return {decoder_->config().kv_shape(), decoder_->options(), sequences};
  }

  // Sequence i holds lengths[i] tokens.
  KvCache read(const std::vector<int64_t>& lengths) const {
    KvCache cache = cache_of(std::ssize(lengths));
    for (int64_t i = 0; i < std::ssize(lengths); ++i) {
      if (lengths[i] == 0) continue;
      const at::Tensor rows = decoder_->embed(at::arange(lengths[i]).remainder(30) + i);
      decoder_->forward({rows, at::arange(lengths[i]), {0, lengths[i]}, {i}}, cache);
    }
    return cache;
  }

  // Decodes one more token of each sequence, `steps` times; returns the hidden states of all.
  at::Tensor decode(KvCache& cache, std::vector<int64_t> sequences, int64_t steps) const {
    DecoderInput input;
    input.cache_sequences = std::move(sequences);
    for (int64_t i = 0; i <= std::ssize(input.cache_sequences); ++i) input.cu_seqlens.push_back(i);
    std::vector<at::Tensor> hidden;
    for (int64_t step = 0; step < steps; ++step) {
      std::vector<int64_t> positions;
      for (const int64_t sequence : input.cache_sequences)
        positions.push_back(cache.length(sequence));
      input.positions = at::tensor(positions, at::kLong);
      input.embeddings = decoder_->embed(input.positions.remainder(25) + 3);
      hidden.push_back(decoder_->forward(input, cache));
    }
    return at::stack(hidden);
  }

  void expect_near(const at::Tensor& actual, const at::Tensor& expected) const {
    ASSERT_EQ(actual.sizes(), expected.sizes());
    ASSERT_EQ(actual.scalar_type(), GetParam().dtype);
    const at::Tensor wide = expected.to(at::kFloat);
    const auto difference =
        ((actual.to(at::kFloat) - wide).abs().max() / wide.abs().max()).item<double>();
    // A code of an activation may round differently if its value differs in the last digit.
    const double exact = GetParam().format == WeightFormat::kDtype ? 1e-5 : 1e-4;
    EXPECT_LT(difference, GetParam().dtype == at::kFloat ? exact : 4e-2);
  }

  const std::unique_ptr<Decoder> decoder_ =
      load_decoder(fs::path(PRECIS_TEST_GOLDEN_DIR) / "models" / GetParam().model,
                   GetParam().dtype,
                   GetParam().format);
  const c10::NoGradGuard no_grad_;

 private:
  int threads_ = 1;
};

// With gradients enabled, even if no tensor requires one, layers run op by op.
TEST_P(DecodeStep, EqualsTheLayersOpByOp) {
  const std::vector<int64_t> lengths{70, 0, 3, 300};
  const std::vector<int64_t> order{2, 0, 1, 3};
  KvCache fused = read(lengths), apart = read(lengths);
  const at::Tensor actual = decode(fused, order, 3);
  at::Tensor expected;
  {
    const c10::AutoGradMode grad(true);
    expected = decode(apart, order, 3);
  }
  expect_near(actual, expected);
  for (int64_t sequence = 0; sequence < 4; ++sequence) {
    ASSERT_EQ(fused.length(sequence), lengths[sequence] + 3);
    for (int64_t layer = 0; layer < decoder_->config().num_layers; ++layer) {
      const auto [k, v] = fused.rows(layer, sequence, 0, lengths[sequence] + 3);
      const auto [other_k, other_v] = apart.rows(layer, sequence, 0, lengths[sequence] + 3);
      expect_near(k, other_k);
      expect_near(v, other_v);
    }
  }
}

// To the last bit.
TEST_P(DecodeStep, DoesNotDependOnTheOtherSequences) {
  KvCache together = read({5, 40, 260}), alone = cache_of(3);
  for (int64_t i = 0; i < 3; ++i) alone.copy_sequence(together, i, i);
  const at::Tensor all = decode(together, {0, 1, 2}, 2);
  for (int64_t i = 0; i < 3; ++i)
    EXPECT_TRUE(at::equal(decode(alone, {i}, 2).select(1, 0), all.select(1, i))) << i;
}

// A ragged memory before the sequence's tokens.
TEST_P(DecodeStep, ReadsRaggedMemories) {
  const DecoderConfig& config = decoder_->config();
  if (config.window > 0) GTEST_SKIP() << "layers with a window refuse ragged memories";
  std::vector<int64_t> starts{0};
  for (int64_t head = 0; head < config.num_layers * config.num_kv_heads; ++head)
    starts.push_back(starts.back() + head * 29 % 90);
  const auto random = [&] {
    return at::randn({starts.back(), config.head_dim}, decoder_->options());
  };
  const auto memory = std::make_shared<RaggedKv>(RaggedKv{random(), random(), starts});
  const auto read_after_memory = [&] {
    KvCache cache = cache_of(2);
    for (int64_t i = 0; i < 2; ++i) {
      cache.add_ragged(i, memory);
      const int64_t length = 3 + 70 * i;
      const at::Tensor tokens = decoder_->embed(at::arange(length).remainder(30) + i);
      decoder_->forward({tokens, at::arange(length) + 100, {0, length}, {i}}, cache);
    }
    return cache;
  };
  KvCache fused = read_after_memory(), apart = read_after_memory(), without = read({3, 73});
  const at::Tensor actual = decode(fused, {0, 1}, 2);
  const c10::AutoGradMode grad(true);
  expect_near(actual, decode(apart, {0, 1}, 2));
  EXPECT_FALSE(at::allclose(actual, decode(without, {0, 1}, 2), 1e-2, 1e-2));
}

// Sequences that share their first blocks get the same results as alone.
TEST_P(DecodeStep, SharedPrefixesDoNotChangeResults) {
  KvCache cache = read({150, 0, 0}), alone = cache_of(1);
  alone.copy_sequence(cache, 0, 0);
  for (const int64_t to : {1, 2}) cache.copy_sequence(cache, 0, to);
  EXPECT_EQ(cache.blocks(0)[0].data_ptr(), cache.blocks(2)[0].data_ptr());
  const at::Tensor all = decode(cache, {0, 1, 2}, 3), expected = decode(alone, {0}, 3);
  for (int64_t i = 0; i < 3; ++i)
    EXPECT_TRUE(at::equal(all.select(1, i), expected.select(1, 0))) << i;
}

TEST_P(DecodeStep, RefusesACacheOfAnotherModel) {
  KvShape shape = decoder_->config().kv_shape();
  shape.num_kv_heads += 1;
  KvCache cache(shape, decoder_->options());
  expect_error(ErrorKind::kInvalidArgument, "not of this model", [&] { decode(cache, {0}, 1); });
  EXPECT_EQ(cache.length(0), 0);
}

std::string name_of(const testing::TestParamInfo<Case>& info) {
  const Case& own = info.param;
  const std::string format = own.format == WeightFormat::kInt8   ? "_int8"
                             : own.format == WeightFormat::kInt4 ? "_int4"
                                                                 : "";
  return own.model + (own.dtype == at::kFloat ? "_float32" : "_bfloat16") + format + "_" +
         std::to_string(own.threads) + "_threads";
}

INSTANTIATE_TEST_SUITE_P(Models, DecodeStep, testing::ValuesIn(cases()), name_of);

// Layers so wide that a product has many ranges, several groups and blocks, with every feature that
// a layer may have: biases, norms of queries and keys, sandwich norms.
struct WideCase {
  int64_t tokens;
  int64_t bits;  // 0: float32
  int threads;
};

class WideStep : public testing::TestWithParam<WideCase> {
 protected:
  static models::Linear linear(int64_t outputs, int64_t width) {
    models::Linear full{at::randn({outputs, width}) / std::sqrt(width), at::randn({outputs}) / 4};
    const int64_t bits = GetParam().bits;
    return bits == 0 ? full : models::quantized(full, bits);
  }
  static at::Tensor norm(int64_t width) { return 1 + at::randn({width}) / 4; }

  static DecoderConfig config() {
    DecoderConfig config;
    config.hidden_size = 256;
    config.num_layers = 2;
    config.num_heads = 8;
    config.num_kv_heads = 2;
    config.head_dim = 48;
    config.ffn_size = 160;
    config.attention_scale = 0.2;
    config.windowed = {false, true};
    config.window = 70;
    return config;
  }

  static models::DecoderLayer layer(const DecoderConfig& config, int64_t index) {
    const int64_t hidden = config.hidden_size, q = config.num_heads * config.head_dim;
    models::DecoderLayer layer;
    layer.index = index;
    layer.windowed = config.windowed[index];
    layer.attention_norm = norm(hidden);
    layer.attention_out_norm = norm(hidden);
    layer.mlp_norm = norm(hidden);
    layer.mlp_out_norm = norm(hidden);
    layer.q_norm = norm(config.head_dim);
    layer.k_norm = norm(config.head_dim);
    layer.qkv = linear(q + 2 * config.num_kv_heads * config.head_dim, hidden);
    layer.output = linear(hidden, q);
    layer.gate_up = linear(2 * config.ffn_size, hidden);
    layer.down = linear(hidden, config.ffn_size);
    return layer;
  }
};

TEST_P(WideStep, EqualsTheLayersOpByOp) {
  const c10::NoGradGuard no_grad;
  at::manual_seed(11);
  const int threads = at::get_num_threads();
  at::set_num_threads(GetParam().threads);
  const DecoderConfig own = config();
  const models::LayerStack stack{own,
                                 {layer(own, 0), layer(own, 1)},
                                 norm(own.hidden_size),
                                 ops::rotary_frequencies(own.rope, own.head_dim),
                                 {}};
  const int64_t tokens = GetParam().tokens;
  KvCache fused(own.kv_shape(), at::kFloat, tokens), apart(own.kv_shape(), at::kFloat, tokens);
  DecoderInput input{at::randn({tokens, own.hidden_size}), at::arange(tokens) + 3, {0}, {}};
  for (int64_t i = 0; i < tokens; ++i) {
    input.cu_seqlens.push_back(i + 1);
    input.cache_sequences.push_back(i);
    const int64_t length = i * 37 % 150;
    for (int64_t index = 0; index < own.num_layers && length > 0; ++index) {
      const at::Tensor k = at::randn({own.num_kv_heads, length, own.head_dim}), v = k.flip(1);
      fused.append(index, i, k, v);
      apart.append(index, i, k, v);
    }
  }
  const models::CpuTeam team(stack);
  ASSERT_TRUE(team.applies(input.embeddings));
  const at::Tensor actual = team.run(input, fused);
  PassThreads pass;
  const at::Tensor expected = models::run_op_by_op(stack, input, apart, nullptr, nullptr, pass);
  EXPECT_LT((actual - expected).abs().max().item<double>(), GetParam().bits == 0 ? 1e-5 : 1e-3);
  at::set_num_threads(threads);
}

std::vector<WideCase> wide_cases() {
  std::vector<WideCase> all;
  for (const int64_t tokens : {1, 4, 5, 16, 32})
    for (const int64_t bits : {0, 8, 4})
      for (const int threads : {1, 2, 3})
        if (tokens <= 16 || bits > 0) all.push_back({tokens, bits, threads});
  return all;
}

INSTANTIATE_TEST_SUITE_P(Tokens,
                         WideStep,
                         testing::ValuesIn(wide_cases()),
                         [](const testing::TestParamInfo<WideCase>& test) {
                           return std::to_string(test.param.tokens) + "_tokens_" +
                                  std::to_string(test.param.bits) + "_bits_" +
                                  std::to_string(test.param.threads) + "_threads";
                         });

// Tokens that were added and never written are removed again.
TEST(DecodeStepFailure, LeavesTheCacheAsItWas) {
  const c10::NoGradGuard no_grad;
  const auto decoder =
      load_decoder(fs::path(PRECIS_TEST_GOLDEN_DIR) / "models" / "llama", at::kFloat);
  KvCache cache(decoder->config().kv_shape(), at::TensorOptions(at::kBFloat16));
  const at::Tensor row = decoder->embed(at::tensor({3}, at::kLong));
  expect_error(ErrorKind::kInvalidArgument, "in the tokens' dtype", [&] {
    decoder->forward({row, at::arange(1), {0, 1}, {0}}, cache);
  });
  EXPECT_EQ(cache.length(0), 0);
}

}  // namespace
}  // namespace precis
