// SPDX-License-Identifier: Apache-2.0
// Decoders with random weights.
#include "models/random_decoder.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "precis/extend/cost.h"
#include "precis/extend/shapes.h"

namespace precis {
namespace {

namespace fs = std::filesystem;

const fs::path kModels = fs::path(PRECIS_TEST_GOLDEN_DIR) / "models";

at::Tensor hidden_states(const Decoder& decoder) {
  KvCache cache(decoder.config().kv_shape(), decoder.options());
  const at::Tensor rows = decoder.embed(at::arange(3, 10));
  return decoder.forward({rows, at::arange(7), {0, 7}, {0}}, cache);
}

// For every architecture: a missing, unused or misshapen tensor would be refused.
TEST(RandomDecoder, HasTheTensorsOfItsShape) {
  const c10::InferenceMode inference;
  for (const auto& entry : fs::directory_iterator(kModels)) {
    const DecoderConfig shape = model_shape(entry.path());
    const auto decoder = random_decoder(shape, at::kFloat, WeightFormat::kDtype);
    EXPECT_EQ(decoder->num_parameters(), count_parameters(shape)) << entry.path();
    EXPECT_TRUE(hidden_states(*decoder).isfinite().all().item<bool>()) << entry.path();
  }
}

TEST(RandomDecoder, IsTheSameForTheSameSeedInEveryFormat) {
  const c10::InferenceMode inference;
  const DecoderConfig shape = model_shape(kModels / "gemma3_text");  // its widths allow int8
  const auto of = [&](at::ScalarType dtype, WeightFormat format, uint64_t seed) {
    return random_decoder(shape, dtype, format, seed);
  };
  const auto decoder = of(at::kFloat, WeightFormat::kDtype, 1),
             again = of(at::kFloat, WeightFormat::kDtype, 1),
             other = of(at::kFloat, WeightFormat::kDtype, 2);
  const at::Tensor hidden = hidden_states(*decoder);
  EXPECT_TRUE(at::equal(hidden_states(*again), hidden));
  EXPECT_EQ(again->fingerprint(), decoder->fingerprint());
  EXPECT_FALSE(at::allclose(hidden_states(*other), hidden, 0.1, 0.1));
  EXPECT_NE(other->fingerprint(), decoder->fingerprint());
  for (const auto& [dtype, format] : {std::pair{at::kBFloat16, WeightFormat::kDtype},
                                      {at::kFloat, WeightFormat::kInt8},
                                      {at::kBFloat16, WeightFormat::kInt8}}) {
    const auto narrow = of(dtype, format, 1);
    const double distance = (hidden_states(*narrow).to(at::kFloat) - hidden).norm().item<double>();
    EXPECT_LT(distance, 0.05 * hidden.norm().item<double>());
    EXPECT_LT(narrow->weight_bytes(), decoder->weight_bytes());
  }
}

// The head is a table separate from the embedding.
TEST(RandomDecoder, IsNearlyTheSameInInt8WithAnUntiedHead) {
  const c10::InferenceMode inference;
  DecoderConfig shape = model_shape(kModels / "gemma3_text");
  shape.tied_head = false;
  const auto decoder = random_decoder(shape, at::kFloat, WeightFormat::kDtype),
             narrow = random_decoder(shape, at::kFloat, WeightFormat::kInt8);
  const at::Tensor hidden = hidden_states(*decoder), logits = decoder->logits(hidden);
  const double distance = (narrow->logits(hidden) - logits).norm().item<double>();
  EXPECT_LT(distance, 0.02 * logits.norm().item<double>());
  shape.tied_head = true;
  EXPECT_GT(decoder->num_parameters(), count_parameters(shape));
}

TEST(RandomDecoder, HasNoTwoEqualRows) {
  const auto decoder =
      random_decoder(model_shape(kModels / "llama"), at::kFloat, WeightFormat::kDtype);
  const at::Tensor table = decoder->embed(at::arange(decoder->config().vocab_size));
  EXPECT_NEAR(table.std().item<double>(), 0.02, 0.002);
  EXPECT_EQ(std::get<0>(at::unique_dim(table, 0)).size(0), table.size(0));
}

}  // namespace
}  // namespace precis
