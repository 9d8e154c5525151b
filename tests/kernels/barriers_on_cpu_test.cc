// SPDX-License-Identifier: Apache-2.0
// Leaves out each barrier of each kernel in turn and expects wrong results, which shows that the
// harness would find a barrier that is missing in the source.
#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <map>
#include <stdexcept>

#include "support/cuda_on_cpu/launch.h"
#include "support/cuda_on_cpu/table.h"

namespace precis::kernels {
namespace {

using cuda_on_cpu::Barrier;
using cuda_on_cpu::trial;

// Outputs are filled with -2, so that elements which a kernel does not write show.
at::Tensor normed() {
  at::manual_seed(1);
  const at::Tensor x = at::randn({2, 700}), norm_weight = at::randn({700}),
                   out = at::full_like(x, -2);
  cuda_on_cpu::table().rms_norm(
      Element::kFloat32,
      {x.const_data_ptr(), norm_weight.const_data_ptr<float>(), out.mutable_data_ptr(), 700, 1e-5f},
      2,
      nullptr);
  return out;
}

// Two groups of four heads that share keys.
at::Tensor attended() {
  at::manual_seed(2);
  constexpr int64_t kHeads = 16, kWidth = 64, kPages = 10;
  std::vector<at::Tensor> held;
  std::vector<void*> pages;
  for (int64_t i = 0; i < kPages; ++i) {
    held.push_back(at::randn({1, 2, 1, kTokensPerPage, kWidth}));
    pages.push_back(held.back().mutable_data_ptr());
  }
  const int64_t length = 300;
  const at::Tensor q = at::randn({1, kHeads, kWidth}), out = at::full_like(q, -2);
  const at::Tensor states = at::full({kHeads * 2 * (kWidth + 2)}, -2, at::kFloat);
  cuda_on_cpu::table().paged_attention(Element::kFloat32,
                                       {q.const_data_ptr<float>(),
                                        {pages.data(), &length, kPages, 0},
                                        out.mutable_data_ptr(),
                                        states.mutable_data_ptr<float>(),
                                        kHeads,
                                        1,
                                        kWidth,
                                        2,
                                        0,
                                        0.1f},
                                       1,
                                       nullptr);
  return out;
}

// Samples with random numbers over their whole range, with top-k and top-p.
at::Tensor drawn() {
  at::manual_seed(3);
  constexpr int64_t kRows = 8;
  // Many logits are equal: the block counts which of them are kept.
  const at::Tensor logits = at::randn({kRows, 3000}).round();
  const at::Tensor ids = at::full({kRows}, -2, at::kLong);
  std::vector<uint64_t> random;
  for (uint64_t row = 0; row < kRows; ++row) random.push_back(row * (~uint64_t{0} / kRows));
  cuda_on_cpu::table().sample({logits.const_data_ptr<float>(),
                               3000,
                               0.9f,
                               1500,
                               0.95,
                               0,
                               random.data(),
                               ids.mutable_data_ptr<int64_t>()},
                              kRows,
                              nullptr);
  return ids;
}

const std::map<std::string, std::function<at::Tensor()>>& kernels_with_barriers() {
  static const std::map<std::string, std::function<at::Tensor()>> all{
      {"RmsNorm", normed}, {"PagedAttention", attended}, {"Sample", drawn}};
  return all;
}

class Barriers : public testing::TestWithParam<std::string> {
 protected:
  void TearDown() override { trial() = {}; }

  // Exits with 1 if the results differ for some order of threads, else with 0.
  [[noreturn]] void leave_with_trial(const at::Tensor& expected) const {
    bool shown = false;
    for (trial().seed = 1; trial().seed < 30 && !shown; ++trial().seed)
      shown = !is_as_before(expected);
    std::_Exit(shown ? 1 : 0);
  }
  static bool says_shown(int status) { return !WIFEXITED(status) || WEXITSTATUS(status) == 1; }

  bool is_as_before(const at::Tensor& expected) const {
    try {
      return run_().equal(expected);
    } catch (const std::logic_error&) {  // deadlock
      return false;
    }
  }

  const std::function<at::Tensor()>& run_ = kernels_with_barriers().at(GetParam());
};

TEST_P(Barriers, ResultsDoNotDependOnTheOrderOfThreads) {
  const at::Tensor expected = run_();
  for (trial().seed = 1; trial().seed < 10; ++trial().seed) EXPECT_TRUE(run_().equal(expected));
}

TEST_P(Barriers, NoneCanBeLeftOut) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  trial() = {};
  const at::Tensor expected = run_();
  const std::set<Barrier> barriers = trial().met;
  ASSERT_FALSE(barriers.empty());
  EXPECT_EXIT(leave_with_trial(expected), testing::ExitedWithCode(0), "");
  for (const Barrier& barrier : barriers) {
    trial().left_out = barrier;
    // In a child process: uninitialised memory may be used as an address.
    EXPECT_EXIT(leave_with_trial(expected), says_shown, "") << barrier.file << ":" << barrier.line;
  }
}

INSTANTIATE_TEST_SUITE_P(Kernels,
                         Barriers,
                         testing::Values("RmsNorm", "PagedAttention", "Sample"),
                         [](const auto& test) { return test.param; });

}  // namespace
}  // namespace precis::kernels
