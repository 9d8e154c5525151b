// SPDX-License-Identifier: Apache-2.0
#include "ops/packed_weight.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <c10/core/InferenceMode.h>
#include <gtest/gtest.h>

#include "base/processor.h"
#include "ops/linear.h"

namespace precis {
namespace {

TEST(PackedWeight, EqualsLinear) {
  const c10::InferenceMode inference;
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    for (const auto& [outputs, width] : {std::pair{96, 64}, {33, 50}, {7, 1}}) {
      const at::Tensor weight = at::randn({outputs, width}).to(dtype);
      const ops::PackedWeight packed(weight);
      EXPECT_EQ(packed.is_packed(),
                dtype == at::kBFloat16 && processor_has_bfloat16() && at::hasMKLDNN());
      for (const int64_t rows : {0, 1, 5, 40, 200}) {
        const at::Tensor x = at::randn({rows, width}).to(dtype);
        const at::Tensor got = packed(x), wanted = ops::reference::linear(x, weight);
        ASSERT_EQ(got.scalar_type(), dtype);
        const double tolerance = dtype == at::kFloat ? 1e-4 : 2e-2;
        EXPECT_TRUE(
            at::allclose(got.to(at::kFloat), wanted.to(at::kFloat), tolerance, tolerance * 8))
            << rows << " x " << width << " -> " << outputs;
      }
      // Rows that are not contiguous.
      const at::Tensor wide = at::randn({20, 2 * width}).to(dtype),
                       x = wide.narrow(1, width, width);
      EXPECT_TRUE(at::equal(packed(x), packed(x.contiguous())));
    }
  }
}

// A packed product has no backward pass: if a gradient is required, the plain weight is used.
TEST(PackedWeight, IsNotPackedIfItRequiresAGradient) {
  const at::Tensor weight = at::randn({96, 64}).to(at::kBFloat16).requires_grad_();
  const ops::PackedWeight packed(weight);
  EXPECT_FALSE(packed.is_packed());
  const at::Tensor x = at::randn({40, 64}).to(at::kBFloat16);
  packed(x).backward(at::ones({40, 96}, at::kBFloat16));
  ASSERT_TRUE(weight.grad().defined());
  const at::Tensor column_sums = x.to(at::kFloat).sum(0).expand({96, 64});
  EXPECT_TRUE(at::allclose(weight.grad().to(at::kFloat), column_sums, 0.02, 0.1));
}

TEST(PackedWeight, HasAGradientOfItsInput) {
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16, at::kDouble}) {
    const at::Tensor weight = at::randn({96, 64}).to(dtype);
    const ops::PackedWeight packed(weight);
    const at::Tensor x = at::randn({40, 64}).to(dtype).requires_grad_();
    packed(x).backward(at::ones({40, 96}, dtype));
    ASSERT_TRUE(x.grad().defined());
    const at::Tensor row_sums = weight.to(at::kFloat).sum(0).expand({40, 64});
    EXPECT_TRUE(at::allclose(x.grad().to(at::kFloat), row_sums, 0.02, 0.1));
  }
}

}  // namespace
}  // namespace precis
