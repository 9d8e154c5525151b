// SPDX-License-Identifier: Apache-2.0
#include "ops/forward_selection.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <ostream>
#include <vector>

#include "support/expect_error.h"

namespace precis::ops {
namespace {

constexpr double kRidge = 1e-3;

// Columns [h, m, n] and targets [h, m, k], m > n, float64. The op takes their products in float32.
struct Problems {
  at::Tensor columns, targets;

  at::Tensor gram() const { return columns.transpose(1, 2).bmm(columns); }
  at::Tensor products() const { return targets.transpose(1, 2).bmm(columns); }
};

// Targets that are combinations of a few columns, plus noise.
Problems draw(int64_t problems, int64_t n, int64_t k) {
  const at::Tensor columns = at::randn({problems, 2 * n + 10, n}, at::kDouble);
  const at::Tensor targets = columns.bmm(at::randn({problems, n, k}, at::kDouble).pow(3));
  return {columns, targets + at::randn_like(targets)};
}

// The squared residual of the targets after ridge regression on some columns, by the definition:
// the ridge is one more equation for each column.
double error_over(const Problems& all, int64_t problem, const std::vector<int64_t>& rows) {
  const at::Tensor every = all.columns[problem], targets = all.targets[problem];
  const double ridge = every.square().sum(0).mean().item<double>() * kRidge;
  const at::Tensor columns = every.index_select(1, at::tensor(rows, at::kLong));
  const at::Tensor basis =
      at::cat({columns, at::eye(columns.size(1), at::kDouble) * std::sqrt(ridge)});
  const at::Tensor wanted =
      at::cat({targets, at::zeros({columns.size(1), targets.size(1)}, at::kDouble)});
  const at::Tensor found = basis.mm(std::get<0>(at::linalg_lstsq(basis, wanted)));
  return (wanted - found).square().sum().item<double>();
}

// Greedy selection that tries all columns in each step.
std::vector<int64_t> tried(const Problems& all, int64_t problem, int64_t count) {
  std::vector<int64_t> chosen;
  while (std::ssize(chosen) < count) {
    int64_t best = -1;
    double smallest = 0;
    for (int64_t i = 0; i < all.columns.size(2); ++i) {
      if (std::ranges::find(chosen, i) != chosen.end()) continue;
      std::vector<int64_t> with = chosen;
      with.push_back(i);
      const double error = error_over(all, problem, with);
      if (best >= 0 && error >= smallest) continue;
      best = i;
      smallest = error;
    }
    chosen.push_back(best);
  }
  std::ranges::sort(chosen);
  return chosen;
}

struct Case {
  int64_t problems, n, k;
};

std::string name_of(const testing::TestParamInfo<Case>& test) {
  const Case& one = test.param;
  return std::to_string(one.problems) + "_problems_of_" + std::to_string(one.n) + "_columns_and_" +
         std::to_string(one.k) + "_targets";
}

class ForwardSelection : public testing::TestWithParam<Case> {
 protected:
  ForwardSelection() {
    at::manual_seed(7);
    all = draw(GetParam().problems, GetParam().n, GetParam().k);
  }

  Problems all;
};

TEST_P(ForwardSelection, OfTheKernelEqualsItsReference) {
  const int64_t n = GetParam().n;
  const at::Tensor gram = all.gram().to(at::kFloat), products = all.products().to(at::kFloat);
  for (const int64_t count : {int64_t{0}, int64_t{1}, n / 3, n - 1, n}) {
    const at::Tensor chosen = forward_selection(gram, products, count, kRidge);
    EXPECT_EQ(chosen.scalar_type(), at::kLong);
    EXPECT_EQ(chosen.sizes(), at::IntArrayRef({GetParam().problems, count}));
    EXPECT_TRUE(at::equal(chosen, reference::forward_selection(gram, products, count, kRidge)));
    EXPECT_TRUE(
        at::equal(chosen, reference::forward_selection(all.gram(), all.products(), count, kRidge)));
  }
}

INSTANTIATE_TEST_SUITE_P(Sizes,
                         ForwardSelection,
                         testing::Values(Case{1, 1, 1},
                                         Case{2, 2, 5},
                                         Case{3, 17, 1},
                                         Case{3, 64, 65},
                                         Case{1, 65, 5},
                                         Case{2, 200, 65},
                                         Case{0, 4, 2},
                                         Case{4, 9, 0}),
                         name_of);

class SmallForwardSelection : public ForwardSelection {};

TEST_P(SmallForwardSelection, EqualsTryingAllColumns) {
  const at::Tensor gram = all.gram(), products = all.products();
  for (int64_t count = 0; count <= GetParam().n; ++count) {
    const at::Tensor of_kernel =
        forward_selection(gram.to(at::kFloat), products.to(at::kFloat), count, kRidge);
    const at::Tensor of_reference = reference::forward_selection(gram, products, count, kRidge);
    for (int64_t i = 0; i < GetParam().problems; ++i) {
      const at::Tensor wanted = at::tensor(tried(all, i, count), at::kLong);
      EXPECT_TRUE(at::equal(of_kernel[i], wanted)) << count << " columns of problem " << i;
      EXPECT_TRUE(at::equal(of_reference[i], wanted)) << count << " columns of problem " << i;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Sizes,
    SmallForwardSelection,
    testing::Values(Case{1, 1, 1}, Case{2, 5, 1}, Case{3, 8, 5}, Case{1, 12, 65}),
    name_of);

// Selection by the norms of columns alone would take both of two parallel columns.
TEST(ForwardSelectionOf, EqualColumnsTakesOne) {
  at::manual_seed(7);
  const at::Tensor one = at::randn({40, 1}, at::kDouble), other = at::randn({40, 1}, at::kDouble);
  const at::Tensor columns = at::cat({other, one * 3, one * 3.1}, 1).unsqueeze(0);
  const Problems all{columns, (one * 5 + other).unsqueeze(0)};
  const at::Tensor wanted = at::tensor({0, 2}, at::kLong).unsqueeze(0);
  const at::Tensor gram = all.gram().to(at::kFloat), products = all.products().to(at::kFloat);
  EXPECT_TRUE(at::equal(forward_selection(gram, products, 2, kRidge), wanted));
  EXPECT_TRUE(at::equal(reference::forward_selection(gram, products, 2, kRidge), wanted));
}

TEST(ForwardSelectionOf, StridedTensorsEqualsThatOfCopiesAndChangesNone) {
  at::manual_seed(7);
  const Problems all = draw(2, 20, 3);
  const at::Tensor gram = at::stack({all.gram(), all.gram()}, 3).to(at::kFloat).select(3, 1);
  const at::Tensor products =
      all.products().to(at::kFloat).transpose(1, 2).contiguous().transpose(1, 2);
  const at::Tensor before = products.clone();
  EXPECT_TRUE(at::equal(forward_selection(gram, products, 7, kRidge),
                        forward_selection(gram.contiguous(), products.contiguous(), 7, kRidge)));
  EXPECT_TRUE(at::equal(products, before));
}

TEST(ForwardSelectionOf, ColumnsOfZerosTakesSomeOfThem) {
  const at::Tensor gram = at::zeros({2, 6, 6}), products = at::zeros({2, 3, 6});
  for (const int64_t count : {0, 1, 4, 6}) {
    for (const at::Tensor& chosen : {forward_selection(gram, products, count, kRidge),
                                     reference::forward_selection(gram, products, count, kRidge)}) {
      EXPECT_EQ(chosen.sizes(), at::IntArrayRef({2, count}));
      EXPECT_TRUE((chosen.diff(1, 1) > 0).all().item<bool>());  // no column twice
      EXPECT_TRUE((chosen >= 0).logical_and(chosen < 6).all().item<bool>());
    }
  }
}

void expect_refused(const at::Tensor& gram,
                    const at::Tensor& products,
                    int64_t count,
                    double ridge) {
  expect_error(ErrorKind::kInvalidArgument, "forward_selection", [&] {
    forward_selection(gram, products, count, ridge);
  });
}

TEST(ForwardSelectionOf, MismatchedShapesIsRefused) {
  const at::Tensor gram = at::eye(4).expand({2, 4, 4}), products = at::ones({2, 3, 4});
  expect_refused(gram[0], products[0], 1, kRidge);
  expect_refused(gram, products[0], 1, kRidge);
  expect_refused(gram.narrow(1, 0, 3), products, 1, kRidge);
  expect_refused(gram.narrow(0, 0, 1), products, 1, kRidge);
  expect_refused(gram, products.narrow(2, 0, 3), 1, kRidge);
  expect_refused(gram, products, 5, kRidge);
  expect_refused(gram, products, -1, kRidge);
  expect_refused(gram, products, 1, 0.0);
}

}  // namespace
}  // namespace precis::ops
