// SPDX-License-Identifier: Apache-2.0
// Keys moved to other positions, compared with those that a decoder computes there.
#include "memory/rotate_keys.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "precis/extend/load_decoder.h"

namespace precis::models {
namespace {

constexpr int64_t kRows = 12;

at::Tensor consecutive(int64_t first) { return at::arange(first, first + kRows); }

double largest_difference(const at::Tensor& actual, const at::Tensor& expected) {
  return ((actual - expected).abs().max() / expected.abs().max()).item<double>();
}

// In float64, so that the only error is from the decoder's angles, which are float32.
class RotateKeys : public testing::TestWithParam<std::string> {
 protected:
  // Keys [layers, kv_heads, kRows, head_dim] of a text whose first token has the position `start`.
  at::Tensor keys_at(int64_t start) const {
    KvCache cache(decoder->config().kv_shape(), decoder->options());
    decoder->forward(
        {decoder->embed(at::arange(5, 5 + kRows)), consecutive(start), {0, kRows}, {0}}, cache);
    std::vector<at::Tensor> keys;
    for (int64_t layer = 0; layer < decoder->config().num_layers; ++layer)
      keys.push_back(cache.rows(layer, 0, 0, kRows).first);
    return at::stack(keys);
  }

  at::Tensor rotated(const at::Tensor& keys, const at::Tensor& from, const at::Tensor& to) const {
    return rotate_keys(keys, from, to, decoder->config());
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
                         RotateKeys,
                         testing::Values("llama",
                                         "llama3_rope",
                                         "llama_linear_rope",
                                         "llama_yarn_rope",
                                         "mistral_window",
                                         "qwen3",
                                         "gemma3_text",
                                         "gemma3_linear_rope"),
                         [](const auto& test) { return test.param; });

TEST_P(RotateKeys, GivesTheKeysThatTheDecoderComputesThere) {
  const at::Tensor near = keys_at(3), far = keys_at(90);
  EXPECT_GT(largest_difference(near, far), 0.05);
  EXPECT_LT(largest_difference(rotated(near, consecutive(3), consecutive(90)), far), 1e-4);
  EXPECT_LT(largest_difference(rotated(far, consecutive(90), consecutive(3)), near), 1e-4);
}

TEST_P(RotateKeys, PositionsPerHeadThatAreEqualGiveTheSameKeys) {
  const at::Tensor keys = keys_at(0);
  const at::Tensor alike = rotated(keys, consecutive(0), consecutive(50));
  const at::Tensor each =
      rotated(keys, for_each_head(consecutive(0)), for_each_head(consecutive(50)));
  EXPECT_LT(largest_difference(each, alike), 1e-12);
}

// Keys from three texts that begin at different positions are moved to the positions of another.
TEST_P(RotateKeys, HeadsMayHavePositionsOfTheirOwn) {
  const std::vector<int64_t> starts{0, 17, 90};
  std::vector<at::Tensor> texts;
  for (const int64_t start : starts) texts.push_back(keys_at(start));
  const DecoderConfig& config = decoder->config();
  at::Tensor keys = at::empty_like(texts[0]), expected = at::empty_like(texts[0]);
  at::Tensor from = for_each_head(consecutive(0)).clone(), to = from.clone();
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
  EXPECT_LT(largest_difference(rotated(keys, from, to), expected), 1e-4);
}

TEST_P(RotateKeys, NegativePositionsAreReversible) {
  const at::Tensor keys = keys_at(0);
  const at::Tensor negative = rotated(keys, consecutive(0), consecutive(-500));
  EXPECT_GT(largest_difference(negative, keys), 0.05);
  EXPECT_LT(largest_difference(rotated(negative, consecutive(-500), consecutive(0)), keys), 1e-12);
  EXPECT_LT(largest_difference(rotated(negative, consecutive(-500), consecutive(90)), keys_at(90)),
            1e-4);
}

TEST_P(RotateKeys, ToTheSamePositionsChangesNothing) {
  const at::Tensor keys = keys_at(40);
  EXPECT_LT(largest_difference(rotated(keys, consecutive(40), consecutive(40)), keys), 1e-12);
}

TEST_P(RotateKeys, KeepsTheDtype) {
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    const at::Tensor keys = keys_at(0).to(dtype);
    EXPECT_EQ(rotated(keys, consecutive(0), consecutive(9)).scalar_type(), dtype);
    EXPECT_EQ(
        rotated(keys, for_each_head(consecutive(0)), for_each_head(consecutive(9))).scalar_type(),
        dtype);
  }
}

// A rotation preserves norms, forward and backward.
TEST_P(RotateKeys, IsDifferentiable) {
  const c10::AutoGradMode grad(true);
  const at::Tensor keys = keys_at(0).requires_grad_();
  rotated(keys, for_each_head(consecutive(0)), for_each_head(consecutive(-30)))
      .square()
      .sum()
      .backward();
  ASSERT_TRUE(keys.grad().defined());
  EXPECT_LT(largest_difference(keys.grad(), 2 * keys.detach()), 1e-5);
}

}  // namespace
}  // namespace precis::models
