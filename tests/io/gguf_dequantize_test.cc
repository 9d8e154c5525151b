// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "io/gguf.h"
#include "io/half.h"
#include "io/safetensors.h"

namespace precis {
namespace {

std::vector<float> floats_of(std::span<const std::byte> bytes) {
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

// 16 elements share a scale in every type. The tolerance is relative to the largest of them, since
// fused multiply-add changes the result where terms nearly cancel.
float tolerance(std::span<const float> expected, size_t i) {
  const auto group = expected.subspan(i / 16 * 16, 16);
  const auto largest = std::ranges::max(group, {}, [](float value) { return std::abs(value); });
  return 1e-6f * std::abs(largest);
}

void expect_near(std::span<const float> values, std::span<const float> expected) {
  ASSERT_EQ(values.size(), expected.size());
  for (size_t i = 0; i < values.size(); ++i) {
    ASSERT_NEAR(values[i], expected[i], tolerance(expected, i)) << "element " << i;
  }
}

class GgufDequantizeTest : public ::testing::TestWithParam<GgufType> {
 protected:
  GgufFile quants_ = GgufFile::open(PRECIS_TEST_GOLDEN_DIR "/gguf/quants.gguf");
  SafetensorsFile expected_ =
      SafetensorsFile::open(PRECIS_TEST_GOLDEN_DIR "/gguf/quants.safetensors");
};

TEST_P(GgufDequantizeTest, EqualsTheReference) {
  const GgufTensor* tensor = quants_.find(gguf_type_name(GetParam()));
  ASSERT_NE(tensor, nullptr);
  std::vector<float> values(static_cast<size_t>(tensor->num_elements()));
  gguf_dequantize(tensor->type, tensor->bytes, values);
  expect_near(values, floats_of(expected_.find(tensor->name)->bytes));
}

TEST_P(GgufDequantizeTest, ReadsBlocksAtAnyAddress) {
  const GgufTensor* tensor = quants_.find(gguf_type_name(GetParam()));
  ASSERT_NE(tensor, nullptr);
  const size_t row_bytes = gguf_bytes(tensor->type, 512);
  std::vector<std::byte> shifted(row_bytes + 1);
  std::memcpy(shifted.data() + 1, tensor->bytes.data(), row_bytes);
  std::vector<float> values(512);
  gguf_dequantize(tensor->type, std::span(shifted).subspan(1), values);
  expect_near(values, floats_of(expected_.find(tensor->name)->bytes.first(512 * sizeof(float))));
}

INSTANTIATE_TEST_SUITE_P(AllTypes,
                         GgufDequantizeTest,
                         ::testing::Values(GgufType::kF32,
                                           GgufType::kF16,
                                           GgufType::kBF16,
                                           GgufType::kQ4_0,
                                           GgufType::kQ4_1,
                                           GgufType::kQ5_0,
                                           GgufType::kQ5_1,
                                           GgufType::kQ8_0,
                                           GgufType::kQ4_K,
                                           GgufType::kQ5_K,
                                           GgufType::kQ6_K),
                         [](const auto& test) { return std::string(gguf_type_name(test.param)); });

// The definition of the format, in real arithmetic.
double value_of_half(int half) {
  const int exponent = half >> 10 & 31, mantissa = half & 1023;
  const double magnitude = exponent == 31 ? std::numeric_limits<double>::infinity()
                           : exponent > 0 ? std::ldexp(1024 + mantissa, exponent - 25)
                                          : std::ldexp(mantissa, -24);
  return half >> 15 ? -magnitude : magnitude;
}

TEST(HalfTest, ConvertsEveryPattern) {
  for (int half = 0; half < 0x10000; ++half) {
    const float value = half_to_float(static_cast<uint16_t>(half));
    if ((half & 0x7c00) == 0x7c00 && (half & 1023) != 0) {
      ASSERT_TRUE(std::isnan(value)) << half;
    } else {
      ASSERT_EQ(value, value_of_half(half)) << half;
    }
    ASSERT_EQ(std::signbit(value), half >> 15 == 1) << half;
  }
}

TEST(HalfTest, ConvertsBfloat16) {
  EXPECT_EQ(bfloat16_to_float(0x3f80), 1.0f);
  EXPECT_EQ(bfloat16_to_float(0xc0a0), -5.0f);
}

}  // namespace
}  // namespace precis
