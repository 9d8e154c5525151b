// SPDX-License-Identifier: Apache-2.0
#include "ops/vocabulary_loss.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <functional>
#include <vector>

#include "support/expect_error.h"

namespace precis::ops {
namespace {

struct LossAndGradient {
  double loss;
  at::Tensor gradient;
};

// Loss and gradient by autograd over the reference.
LossAndGradient expected(const at::Tensor& logits,
                         double scale,
                         const std::function<at::Tensor(const at::Tensor&)>& loss_of) {
  const at::Tensor leaf = logits.detach().clone().requires_grad_(true);
  const at::Tensor loss = loss_of(leaf);
  (loss * scale).backward();
  return {loss.item<double>(), leaf.grad()};
}

struct Case {
  int64_t rows, vocab;
  at::ScalarType dtype;
};

// More rows than one block takes, rows wider than a block, a single row.
const std::vector<Case> kCases{{1, 7, at::kDouble},
                               {37, 16384, at::kFloat},
                               {3, 300000, at::kFloat},
                               {20, 49152, at::kBFloat16},
                               {5, 1, at::kFloat}};

class OfVocabulary : public testing::TestWithParam<Case> {
 protected:
  OfVocabulary() { at::manual_seed(5); }

  at::Tensor random_logits() const {
    return (at::randn({GetParam().rows, GetParam().vocab}) * 3).to(GetParam().dtype);
  }

  void expect_same(const LossAndGradient& wanted, double loss, const at::Tensor& gradient) const {
    const double narrow = GetParam().dtype == at::kBFloat16 ? 1e-2 : 1e-5;
    EXPECT_NEAR(loss, wanted.loss, 1e-5 * (1 + std::abs(wanted.loss)));
    EXPECT_EQ(gradient.scalar_type(), GetParam().dtype);
    EXPECT_TRUE(at::allclose(gradient, wanted.gradient, narrow, 1e-7));
  }
};

TEST_P(OfVocabulary, CrossEntropyEqualsItsReference) {
  const at::Tensor logits = random_logits();
  const at::Tensor targets = at::randint(GetParam().vocab, {GetParam().rows}, at::kLong);
  const LossAndGradient wanted = expected(
      logits, 0.25, [&](const at::Tensor& x) { return reference::cross_entropy_sum(x, targets); });
  at::Tensor gradient = at::empty_like(logits);
  const at::Tensor loss = cross_entropy_sum(logits, targets, 0.25, gradient);
  expect_same(wanted, loss.item<double>(), gradient);
  EXPECT_EQ(cross_entropy_sum(logits, targets, 1.0, {}).item<double>(), loss.item<double>());
}

TEST_P(OfVocabulary, DivergenceEqualsItsReference) {
  const at::Tensor logits = random_logits(), teacher = random_logits();
  const LossAndGradient wanted = expected(
      logits, 0.25, [&](const at::Tensor& x) { return reference::divergence_sum(x, teacher); });
  at::Tensor gradient = at::empty_like(logits);
  const at::Tensor loss = divergence_sum(logits, teacher, 0.25, gradient);
  expect_same(wanted, loss.item<double>(), gradient);
  EXPECT_EQ(divergence_sum(logits, teacher, 1.0, {}).item<double>(), loss.item<double>());
}

INSTANTIATE_TEST_SUITE_P(Shapes, OfVocabulary, testing::ValuesIn(kCases), [](const auto& test) {
  return std::to_string(test.param.rows) + "_rows_of_" + std::to_string(test.param.vocab) + "_" +
         at::toString(test.param.dtype);
});

TEST(VocabularyLoss, OfNoRowsIsZero) {
  at::Tensor gradient = at::empty({0, 9});
  EXPECT_EQ(cross_entropy_sum(gradient, at::empty({0}, at::kLong), 1, gradient).item<double>(), 0);
  EXPECT_EQ(divergence_sum(gradient, gradient, 1, gradient).item<double>(), 0);
}

TEST(VocabularyLoss, RefusesMismatchedShapes) {
  const at::Tensor logits = at::zeros({2, 5});
  const auto refuse = [](const auto& call) {
    expect_error(ErrorKind::kInvalidArgument, "vocabulary loss", call);
  };
  refuse([&] { cross_entropy_sum(logits, at::zeros({3}, at::kLong), 1, {}); });
  refuse([&] { cross_entropy_sum(logits, at::zeros({2}), 1, {}); });
  refuse([&] { cross_entropy_sum(logits, at::zeros({2}, at::kLong), 1, at::zeros({2, 4})); });
  refuse([&] { divergence_sum(logits, at::zeros({2, 4}), 1, {}); });
}

}  // namespace
}  // namespace precis::ops
