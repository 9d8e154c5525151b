// SPDX-License-Identifier: Apache-2.0
// A step of decoding, all layers at once, against the same layers op by op.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "models/load_decoder.h"
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
    if (!model.starts_with("gemma3")) continue;  // the others' widths have no groups
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

  // Sequence i holds lengths[i] rows.
  KvCache read(const std::vector<int64_t>& lengths) const {
    KvCache cache = cache_of(std::ssize(lengths));
    for (int64_t i = 0; i < std::ssize(lengths); ++i) {
      if (lengths[i] == 0) continue;
      const at::Tensor rows = decoder_->embed(at::arange(lengths[i]).remainder(30) + i);
      decoder_->forward({rows, at::arange(lengths[i]), {0, lengths[i]}, {i}}, cache);
    }
    return cache;
  }

  // One row more of each sequence, `steps` times; the hidden states of all.
  at::Tensor go_on(KvCache& cache, std::vector<int64_t> sequences, int64_t steps) const {
    DecoderInput input;
    input.cache_sequences = std::move(sequences);
    for (int64_t i = 0; i <= std::ssize(input.cache_sequences); ++i)
      input.sequence_starts.push_back(i);
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
    EXPECT_LT(difference, GetParam().dtype == at::kFloat ? 1e-5 : 4e-2);
  }

  const std::unique_ptr<Decoder> decoder_ =
      load_decoder(fs::path(PRECIS_TEST_GOLDEN_DIR) / "models" / GetParam().model,
                   GetParam().dtype,
                   GetParam().format);
  const c10::NoGradGuard no_grad_;

 private:
  int threads_ = 1;
};

// With gradients on, though none is asked for, layers run op by op.
TEST_P(DecodeStep, IsWhatTheLayersMakeOpByOp) {
  const std::vector<int64_t> lengths{70, 0, 3, 300};
  const std::vector<int64_t> order{2, 0, 1, 3};
  KvCache fused = read(lengths), apart = read(lengths);
  const at::Tensor actual = go_on(fused, order, 3);
  at::Tensor expected;
  {
    const c10::AutoGradMode grad(true);
    expected = go_on(apart, order, 3);
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

// To the last bit, whatever stands beside it.
TEST_P(DecodeStep, DoesNotDependOnTheOtherSequences) {
  KvCache together = read({5, 40, 260}), alone = read({5, 40, 260});
  const at::Tensor all = go_on(together, {0, 1, 2}, 2);
  for (int64_t i = 0; i < 3; ++i)
    EXPECT_TRUE(at::equal(go_on(alone, {i}, 2).select(1, 0), all.select(1, i))) << i;
}

TEST_P(DecodeStep, RefusesACacheOfAnotherModel) {
  KvShape shape = decoder_->config().kv_shape();
  shape.num_kv_heads += 1;
  KvCache cache(shape, decoder_->options());
  expect_error(ErrorKind::kInvalidArgument, "not of this model", [&] { go_on(cache, {0}, 1); });
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

}  // namespace
}  // namespace precis
