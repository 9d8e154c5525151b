// SPDX-License-Identifier: Apache-2.0
// Ops give the same results on any number of threads.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <functional>

#include "ops/attention.h"
#include "ops/gated_activation.h"
#include "ops/linear.h"
#include "ops/quantized_linear.h"
#include "ops/quantized_weight.h"
#include "ops/rms_norm.h"
#include "support/held_tokens.h"

namespace precis {
namespace {

void expect_same_on_threads(const char* what, const std::function<at::Tensor()>& op) {
  const int before = at::get_num_threads();
  at::set_num_threads(1);
  const at::Tensor expected = op();
  for (const int threads : {2, 3}) {
    at::set_num_threads(threads);
    EXPECT_TRUE(at::equal(op(), expected)) << what << " on " << threads << " threads";
  }
  at::set_num_threads(before);
}

TEST(Threads, DoNotChangeResults) {
  at::manual_seed(5);
  const at::Tensor weight = at::randn({2001, 576}), norm_weight = at::randn({576});
  for (const int64_t rows : {1, 6, 300}) {
    const at::Tensor x = at::randn({rows, 576});
    expect_same_on_threads("rms_norm", [&] { return ops::rms_norm(x, norm_weight, 1e-5); });
    expect_same_on_threads("gated_activation", [&] {
      return ops::gated_activation(x, DecoderConfig::Activation::kSilu);
    });
    if (rows == 300) continue;  // BLAS computes these products
    expect_same_on_threads("linear", [&] { return ops::linear(x, weight); });
    for (const int64_t bits : {8, 4}) {
      expect_same_on_threads("quantized linear", [&] {
        return ops::linear(x, ops::quantize(weight, bits), at::Tensor());
      });
    }
  }
}

TEST(Threads, DoNotChangeAttention) {
  at::manual_seed(5);
  std::vector<HeldTokens> held;
  for (const int64_t length : {900, 3, 257})
    held.push_back(in_blocks(at::randn({3, length, 64}), at::randn({3, length, 64})));
  const at::Tensor q = at::randn({3, 9, 64});
  expect_same_on_threads("attention", [&] {
    return attend_to(held, q, {1, 1, 1}, {0.125, 0}, ops::attention);
  });
}

}  // namespace
}  // namespace precis
