// SPDX-License-Identifier: Apache-2.0
// Attention scores are float32 in bfloat16 too: scores of a new IC-Former are over 100, where
// bfloat16 has steps of 0.5, and every memory would be wrong by some percent.
#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include <vector>

#include "ops/dense_attention.h"

namespace precis {
namespace {

constexpr int64_t kBatch = 2, kHeads = 4, kKeyHeads = 2, kHeadDim = 8;
constexpr ops::AttentionOptions kOptions{0.35, 0};

struct Inputs {
  at::Tensor q;
  at::Tensor k;
  at::Tensor v;
};

// Values that are exact in bfloat16. Scores are over 100.
Inputs inputs(int64_t queries, int64_t keys, at::ScalarType dtype, bool gradients) {
  at::manual_seed(3);
  const auto random = [&](int64_t heads, int64_t rows, double scale) {
    return (at::randn({kBatch, heads, rows, kHeadDim}) * scale)
        .to(at::kBFloat16)
        .to(dtype)
        .requires_grad_(gradients);
  };
  return {random(kHeads, queries, 6), random(kKeyHeads, keys, 6), random(kKeyHeads, keys, 1)};
}

void expect_close(const at::Tensor& actual, const at::Tensor& expected) {
  const at::Tensor error = (actual.to(at::kDouble) - expected).norm() / expected.norm();
  EXPECT_LT(error.item<double>(), 0.015);  // scores in bfloat16: 0.03 and more
}

// Fewer and more queries than the limit below which a backward pass is in float32.
constexpr int64_t kQueries[] = {5, 40, 250};

TEST(AttentionScores, AreNotRoundedToBFloat16) {
  const c10::NoGradGuard no_grad;
  for (const int64_t queries : kQueries) {
    const Inputs exact = inputs(queries, queries + 37, at::kDouble, false),
                 narrow = inputs(queries, queries + 37, at::kBFloat16, false);
    expect_close(ops::dense_attention(narrow.q, narrow.k, narrow.v, kOptions),
                 ops::reference::dense_attention(exact.q, exact.k, exact.v, kOptions));
  }
}

TEST(AttentionScores, AreNotRoundedToBFloat16UnderGradients) {
  for (const int64_t queries : kQueries) {
    const Inputs exact = inputs(queries, queries + 37, at::kDouble, true),
                 narrow = inputs(queries, queries + 37, at::kBFloat16, true);
    const at::Tensor expected =
                         ops::reference::dense_attention(exact.q, exact.k, exact.v, kOptions),
                     actual = ops::dense_attention(narrow.q, narrow.k, narrow.v, kOptions);
    expect_close(actual.detach(), expected.detach());
    const at::Tensor probe = at::randn(expected.sizes());
    expected.backward(probe.to(at::kDouble));
    actual.backward(probe.to(at::kBFloat16));
    expect_close(narrow.q.grad(), exact.q.grad());
    expect_close(narrow.k.grad(), exact.k.grad());
    expect_close(narrow.v.grad(), exact.v.grad());
  }
}

}  // namespace
}  // namespace precis
