// SPDX-License-Identifier: Apache-2.0
// Weights in int8 and int4: their rounding errors, and products against the reference.
#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>
#include <hwy/targets.h>

#include <cmath>
#include <limits>
#include <string>
#include <utility>

#include "ops/quantized_linear.h"
#include "support/expect_error.h"

namespace precis {
namespace {

double largest(const at::Tensor& x) { return x.to(at::kDouble).abs().max().item<double>(); }

class QuantizedWeights : public testing::Test {
 protected:
  QuantizedWeights() { at::manual_seed(11); }
};

TEST_F(QuantizedWeights, Int8IsWithinHalfAStepOfEachOutput) {
  const at::Tensor weight = at::randn({7, 96}) * at::logspace(-3, 3, 7).unsqueeze(1);
  const auto quantized = ops::quantize(weight, 8);
  const at::Tensor step = weight.abs().amax(1, true) / 127;
  const at::Tensor error = (ops::dequantize(quantized, at::kFloat) - weight).abs() / step;
  EXPECT_LE(largest(error), 0.5001);
  EXPECT_EQ(quantized.nbytes(), 7 * 96 + 7 * 4);
  EXPECT_EQ(quantized.numel(), 7 * 96);
}

TEST_F(QuantizedWeights, Int4ErrorIsSmallInEachGroup) {
  const at::Tensor weight = at::randn({6, 4, 32}) * at::logspace(-2, 2, 6).reshape({6, 1, 1});
  const auto quantized = ops::quantize(weight.flatten(1), 4);
  const at::Tensor step = (weight.amax(-1, true) - weight.amin(-1, true)) / 15;
  const at::Tensor read = ops::dequantize(quantized, at::kFloat).unflatten(1, {4, 32});
  // A coarser grid is taken only where its summed error is smaller.
  const at::Tensor error = ((read - weight) / step).square().mean(-1);
  EXPECT_LE(largest(error), 1.02 / 12 * 1.6);
  EXPECT_EQ(quantized.nbytes(), 6 * 4 * (16 + 4));
  EXPECT_EQ(quantized.width(), 128);
}

// Weights dequantised from llama.cpp's Q4_1 (float16 scale and minimum) are quantised exactly.
TEST_F(QuantizedWeights, Q4_1WeightsAreExact) {
  const at::Tensor codes = at::randint(0, 16, {5, 3, 32}).to(at::kFloat);
  codes.select(2, 0).fill_(0);
  codes.select(2, 1).fill_(15);
  codes[1].clamp_(0, 11);  // only some codes of the grid in use
  const at::Tensor scale = at::rand({5, 3, 1}).add(0.5).to(at::kHalf).to(at::kFloat),
                   minimum = at::randn({5, 3, 1}).to(at::kHalf).to(at::kFloat);
  const at::Tensor weight = (codes * scale + minimum).flatten(1);
  const at::Tensor read = ops::dequantize(ops::quantize(weight, 4), at::kFloat);
  EXPECT_LE(largest(read - weight), 0.01);  // float16's rounding of scales up to 1.5
}

TEST_F(QuantizedWeights, ConstantOutputsAndGroupsAreExact) {
  for (const int64_t bits : {4, 8}) {
    for (const double number : {0.0, 0.25, -3.0}) {
      const at::Tensor weight = at::full({2, 64}, number);
      const at::Tensor read = ops::dequantize(ops::quantize(weight, bits), at::kFloat);
      EXPECT_LE(largest(read - weight), 1e-6) << bits << " " << number;
    }
  }
}

TEST_F(QuantizedWeights, KernelsEqualTheirReferences) {
  const at::Tensor weight = at::randn({33, 160});
  for (const int64_t bits : {4, 8}) {
    const auto quantized = ops::quantize(weight, bits);
    for (const auto& [dtype, tolerance] : {std::pair{at::kFloat, 1e-6}, {at::kBFloat16, 0.004}}) {
      const at::Tensor expected = ops::reference::dequantize(quantized, dtype);
      const at::Tensor actual = ops::dequantize(quantized, dtype);
      ASSERT_EQ(actual.scalar_type(), dtype);
      EXPECT_LE(largest(actual.to(at::kFloat) - expected.to(at::kFloat)),
                tolerance * largest(expected));
    }
    // Of grids with nearly equal errors either may be taken: compare the errors.
    const auto error_of = [&](const ops::QuantizedWeight& by) {
      return (ops::reference::dequantize(by, at::kFloat) - weight)
          .square()
          .unflatten(1, {5, 32})
          .sum(2);
    };
    const at::Tensor own = error_of(quantized),
                     reference = error_of(ops::reference::quantize(weight, bits));
    EXPECT_LE(largest(own - reference), 1e-4 * largest(reference)) << bits;
  }
}

TEST_F(QuantizedWeights, DequantizedRowsEqualThoseOfTheWhole) {
  for (const int64_t bits : {4, 8}) {
    const auto quantized = ops::quantize(at::randn({9, 64}), bits);
    const at::Tensor index = at::tensor({8, 0, 3}, at::kLong);
    EXPECT_TRUE(at::equal(ops::dequantize_rows(quantized, index, at::kBFloat16),
                          ops::dequantize(quantized, at::kBFloat16).index_select(0, index)));
  }
}

TEST_F(QuantizedWeights, AreTheSameIfReadInBlocks) {
  const int64_t outputs = 1200, width = 4096;
  const at::Tensor weight = at::randn({outputs, width});
  for (const int64_t bits : {4, 8}) {
    int64_t calls = 0, read = 0;
    const auto parts = ops::quantize({outputs,
                                      width,
                                      [&](int64_t first, int64_t count) {
                                        EXPECT_EQ(first, read);
                                        ++calls;
                                        read += count;
                                        return weight.narrow(0, first, count);
                                      }},
                                     bits);
    EXPECT_EQ(read, outputs);
    EXPECT_GT(calls, 1);
    const auto whole = ops::quantize(weight, bits);
    EXPECT_TRUE(at::equal(parts.codes, whole.codes) && at::equal(parts.scales, whole.scales));
    EXPECT_LE(largest(ops::dequantize(whole, at::kFloat) - weight), bits == 8 ? 0.03 : 0.4);
  }
}

TEST_F(QuantizedWeights, RefuseInvalidInput) {
  const auto refuse = [](const at::Tensor& weight, int64_t bits, const char* part) {
    expect_error(ErrorKind::kInvalidArgument, part, [&] { ops::quantize(weight, bits); });
  };
  refuse(at::ones({2, 64}), 5, "5 bits were asked for");
  refuse(at::ones({2, 48}), 8, "[2, 48], expected a width that is a multiple of 32");
  refuse(at::ones({64}), 8, "[64]");
  refuse(at::full({2, 64}, NAN), 8, "expected finite numbers");
  refuse(at::full({2, 64}, INFINITY), 4, "expected finite numbers");
  refuse(at::full({2, 64}, 1e6), 4, "up to 65504");
}

struct Product {
  int64_t bits;
  c10::ScalarType dtype;
  double tolerance;  // relative to the largest value
};

class QuantizedLinear : public testing::TestWithParam<Product> {
 protected:
  QuantizedLinear() { at::manual_seed(12); }

  at::Tensor random(at::IntArrayRef shape) const { return at::randn(shape).to(GetParam().dtype); }

  // In float64, over the dequantised weight.
  void expect_products(int64_t rows, int64_t width, int64_t outputs) const {
    const auto weight = ops::quantize(at::randn({outputs, width}), GetParam().bits);
    const at::Tensor x = random({rows, width}), bias = random({outputs});
    const at::Tensor actual = ops::linear(x, weight, bias);
    ASSERT_EQ(actual.scalar_type(), GetParam().dtype);
    const at::Tensor expected =
        at::linear(x.to(at::kDouble), ops::dequantize(weight, at::kDouble), bias.to(at::kDouble));
    EXPECT_LE(largest(actual.to(at::kDouble) - expected), GetParam().tolerance * largest(expected))
        << rows << " rows, " << width << " wide, " << outputs << " outputs";
  }

  // Bit for bit: a sequence's output does not depend on the others of its batch.
  void expect_rows_alone_equal(int64_t width) const {
    const auto weight = ops::quantize(at::randn({37, width}), GetParam().bits);
    const at::Tensor x = random({11, width}), bias = random({37});
    const at::Tensor together = ops::linear(x, weight, bias);
    for (int64_t row = 0; row < x.size(0); ++row)
      EXPECT_TRUE(
          at::equal(ops::linear(x.narrow(0, row, 1), weight, bias), together.narrow(0, row, 1)))
          << "row " << row << " of width " << width;
  }

  c10::NoGradGuard no_grad;
};

TEST_P(QuantizedLinear, EqualsProductsOfTheDequantizedWeight) {
  for (const int64_t width : {32, 64, 96, 576, 2560, 4096}) {
    for (const int64_t rows : {1, 2, 3, 4, 5, 6, 7, 8, 9, 32, 33}) expect_products(rows, width, 37);
  }
  expect_products(3, 576, 3000);
  expect_products(40, 576, 3000);
}

// Integer sums are largest for long rows of equal signs.
TEST_P(QuantizedLinear, LargestCodesDoNotOverflow) {
  for (const int64_t width : {64, 128, 11008}) {
    at::Tensor ones = at::ones({2, width});
    ones.unflatten(1, {-1, 32}).select(2, 0).fill_(0);  // in 4 bits the others become code 15
    const auto weight = ops::quantize(ones, GetParam().bits);
    for (const int64_t rows : {1, 2}) {
      const at::Tensor x = at::ones({rows, width}).to(GetParam().dtype);
      const double product = ops::linear(x, weight)[0][1].item<double>();
      const double expected = static_cast<double>(width) * 31 / 32;
      EXPECT_NEAR(product, expected, 0.005 * expected) << rows << " rows";
    }
  }
}

TEST_P(QuantizedLinear, RowsOfZerosAndOfWideRange) {
  const auto weight = ops::quantize(at::randn({5, 256}), GetParam().bits);
  const at::Tensor x = random({2, 256});
  x[0].fill_(0);
  x[1].narrow(0, 0, 64).mul_(1e4);
  const at::Tensor actual = ops::linear(x, weight), expected = ops::reference::linear(x, weight);
  EXPECT_EQ(largest(actual[0]), 0);
  EXPECT_LE(largest(actual.to(at::kDouble) - expected.to(at::kDouble)),
            2 * GetParam().tolerance * largest(expected));
}

TEST_P(QuantizedLinear, KeepsNanAndInfinity) {
  const auto weight = ops::quantize(at::randn({5, 64}), GetParam().bits);
  for (const double bad :
       {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
    const at::Tensor x = random({2, 64});
    x[1][7].fill_(bad);
    const at::Tensor out = ops::linear(x, weight);
    EXPECT_TRUE(at::isfinite(out[0]).all().item<bool>());
    EXPECT_FALSE(at::isfinite(out[1]).any().item<bool>());
  }
}

TEST_P(QuantizedLinear, HasAGradientOfItsInput) {
  const at::AutoGradMode with_gradients(true);
  const auto weight = ops::quantize(at::randn({5, 64}), GetParam().bits);
  const at::Tensor x = random({3, 64}).requires_grad_(true);
  ops::linear(x, weight).sum().backward();
  const at::Tensor expected = ops::dequantize(weight, at::kFloat).sum(0);
  EXPECT_LE(largest(x.grad()[1].to(at::kFloat) - expected), 0.02 * largest(expected));
}

TEST_P(QuantizedLinear, RefusesMismatchedShapes) {
  const auto weight = ops::quantize(at::randn({5, 64}), GetParam().bits);
  expect_error(ErrorKind::kInvalidArgument, "[1, 32] do not fit a weight of 5 outputs", [&] {
    ops::linear(random({1, 32}), weight);
  });
  expect_error(ErrorKind::kInvalidArgument, "bias of 4 elements", [&] {
    ops::linear(random({1, 64}), weight, random({4}));
  });
}

// All instruction sets of this processor, down to scalar code.
TEST_P(QuantizedLinear, EveryInstructionSetAgrees) {
  const int64_t all = hwy::SupportedTargets() | HWY_SCALAR;
  for (int64_t targets = all; targets != 0; targets &= targets - 1) {
    SCOPED_TRACE(hwy::TargetName(targets & -targets));
    hwy::SetSupportedTargetsForTest(targets & -targets);
    expect_rows_alone_equal(4096);
    expect_rows_alone_equal(96);
    expect_products(1, 576, 37);
    expect_products(6, 96, 37);
    expect_products(9, 320, 5);
  }
  hwy::SetSupportedTargetsForTest(0);
}

INSTANTIATE_TEST_SUITE_P(Cpu,
                         QuantizedLinear,
                         testing::Values(Product{8, at::kFloat, 1.5e-4},
                                         Product{4, at::kFloat, 1.5e-4},
                                         Product{8, at::kBFloat16, 0.01},
                                         Product{4, at::kBFloat16, 0.01}),
                         [](const auto& test) {
                           return std::string(test.param.bits == 8 ? "Int8" : "Int4") +
                                  (test.param.dtype == at::kFloat ? "Float32" : "BFloat16");
                         });

}  // namespace
}  // namespace precis
