// SPDX-License-Identifier: Apache-2.0
// Keys turned to other positions against those that a decoder computes there.
#include "memory/turn_keys.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "models/load_decoder.h"

namespace precis::models {
namespace {

constexpr int64_t kRows = 12;

at::Tensor upwards(int64_t first) { return at::arange(first, first + kRows); }

double largest_difference(const at::Tensor& actual, const at::Tensor& expected) {
  return ((actual - expected).abs().max() / expected.abs().max()).item<double>();
}

// In float64, so that only the decoder's own angles, which are float32, are off.
class TurnedKeys : public testing::TestWithParam<std::string> {
 protected:
  // [layers, kv_heads, kRows, head_dim] of a text whose first row takes the position `start`.
  at::Tensor keys_at(int64_t start) const {
    KvCache cache(decoder->config().kv_shape(), decoder->options());
    decoder->forward({decoder->embed(at::arange(5, 5 + kRows)), upwards(start), {0, kRows}, {0}},
                     cache);
    std::vector<at::Tensor> keys;
    for (int64_t layer = 0; layer < decoder->config().num_layers; ++layer)
      keys.push_back(cache.rows(layer, 0, 0, kRows).first);
    return at::stack(keys);
  }

  at::Tensor turned(const at::Tensor& keys, const at::Tensor& from, const at::Tensor& to) const {
    return turned_keys(keys, from, to, decoder->config());
  }

  // The same positions for each layer and head.
  at::Tensor for_each_head(const at::Tensor& positions) const {
    const DecoderConfig& config = decoder->config();
    return positions.expand({config.num_layers, config.num_kv_heads, kRows});
  }

  c10::NoGradGuard no_grad;
  std::unique_ptr<Decoder> decoder = load_decoder(
      std::filesystem::path(PRECIS_TEST_GOLDEN_DIR) / "models" / GetParam(), at::kDouble);
};

INSTANTIATE_TEST_SUITE_P(Models,
                         TurnedKeys,
                         testing::Values("llama",
                                         "llama3_rope",
                                         "llama_linear_rope",
                                         "llama_yarn_rope",
                                         "mistral_window",
                                         "qwen3",
                                         "gemma3_text",
                                         "gemma3_linear_rope"),
                         [](const auto& test) { return test.param; });

TEST_P(TurnedKeys, AreThoseThatTheDecoderComputesThere) {
  const at::Tensor near = keys_at(3), far = keys_at(90);
  EXPECT_GT(largest_difference(near, far), 0.05);
  EXPECT_LT(largest_difference(turned(near, upwards(3), upwards(90)), far), 1e-4);
  EXPECT_LT(largest_difference(turned(far, upwards(90), upwards(3)), near), 1e-4);
}

TEST_P(TurnedKeys, OfTheSamePositionsForEachHeadAreTheSame) {
  const at::Tensor keys = keys_at(0);
  const at::Tensor alike = turned(keys, upwards(0), upwards(50));
  const at::Tensor each = turned(keys, for_each_head(upwards(0)), for_each_head(upwards(50)));
  EXPECT_LT(largest_difference(each, alike), 1e-12);
}

// Every key is taken from one of three texts, which begin at different positions, to another.
TEST_P(TurnedKeys, EachHeadHasPositionsOfItsOwn) {
  const std::vector<int64_t> starts{0, 17, 90};
  std::vector<at::Tensor> texts;
  for (const int64_t start : starts) texts.push_back(keys_at(start));
  const DecoderConfig& config = decoder->config();
  at::Tensor keys = at::empty_like(texts[0]), expected = at::empty_like(texts[0]);
  at::Tensor from = for_each_head(upwards(0)).clone(), to = from.clone();
  for (int64_t layer = 0; layer < config.num_layers; ++layer) {
    for (int64_t head = 0; head < config.num_kv_heads; ++head) {
      for (int64_t row = 0; row < kRows; ++row) {
        const auto before = static_cast<size_t>((layer + head + row) % 3),
                   after = static_cast<size_t>((2 * layer + head + row / 3) % 3);
        keys[layer][head][row] = texts[before][layer][head][row];
        expected[layer][head][row] = texts[after][layer][head][row];
        from[layer][head][row] += starts[before];
        to[layer][head][row] += starts[after];
      }
    }
  }
  EXPECT_LT(largest_difference(turned(keys, from, to), expected), 1e-4);
}

TEST_P(TurnedKeys, NegativePositionsLeadBack) {
  const at::Tensor keys = keys_at(0);
  const at::Tensor negative = turned(keys, upwards(0), upwards(-500));
  EXPECT_GT(largest_difference(negative, keys), 0.05);
  EXPECT_LT(largest_difference(turned(negative, upwards(-500), upwards(0)), keys), 1e-12);
  EXPECT_LT(largest_difference(turned(negative, upwards(-500), upwards(90)), keys_at(90)), 1e-4);
}

TEST_P(TurnedKeys, ToWhereTheyAreStayAsTheyAre) {
  const at::Tensor keys = keys_at(40);
  EXPECT_LT(largest_difference(turned(keys, upwards(40), upwards(40)), keys), 1e-12);
}

TEST_P(TurnedKeys, KeepTheirDtype) {
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    const at::Tensor keys = keys_at(0).to(dtype);
    EXPECT_EQ(turned(keys, upwards(0), upwards(9)).scalar_type(), dtype);
    EXPECT_EQ(turned(keys, for_each_head(upwards(0)), for_each_head(upwards(9))).scalar_type(),
              dtype);
  }
}

// A rotation preserves norms, forward and backward.
TEST_P(TurnedKeys, GradientsGoThrough) {
  const c10::AutoGradMode grad(true);
  const at::Tensor keys = keys_at(0).requires_grad_();
  turned(keys, for_each_head(upwards(0)), for_each_head(upwards(-30))).square().sum().backward();
  ASSERT_TRUE(keys.grad().defined());
  EXPECT_LT(largest_difference(keys.grad(), 2 * keys.detach()), 1e-5);
}

}  // namespace
}  // namespace precis::models
