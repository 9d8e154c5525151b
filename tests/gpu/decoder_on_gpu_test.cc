// SPDX-License-Identifier: Apache-2.0
// Whole models on a GPU against the same on the CPU; skipped where there is no GPU.
#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <thread>

#include "models/load_decoder.h"
#include "precis/decoder.h"

namespace precis {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> models() {
  std::vector<std::string> all;
  for (const auto& entry : fs::directory_iterator(fs::path(PRECIS_TEST_GOLDEN_DIR) / "models"))
    if (entry.is_directory()) all.push_back(entry.path().filename());
  return all;
}

class DecoderOnGpu : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    if (!at::hasCUDA()) GTEST_SKIP() << "no GPU";
    const fs::path path = fs::path(PRECIS_TEST_GOLDEN_DIR) / "models" / GetParam();
    here_ = load_decoder(path, at::kFloat);
    there_ = load_decoder(path, at::TensorOptions(at::kFloat).device(at::kCUDA));
  }

  // Prompts of so many rows, together, then `steps` rows more of each: the hidden states of these.
  static at::Tensor answer(const Decoder& decoder,
                           const std::vector<int64_t>& lengths,
                           int64_t steps) {
    const auto index = at::TensorOptions(at::kLong).device(decoder.options().device());
    KvCache cache(decoder.config().kv_shape(), decoder.options(), std::ssize(lengths));
    DecoderInput input;
    std::vector<at::Tensor> rows, positions;
    input.sequence_starts = {0};
    for (int64_t i = 0; i < std::ssize(lengths); ++i) {
      rows.push_back(decoder.embed(at::arange(lengths[i], index).remainder(30) + i));
      positions.push_back(at::arange(lengths[i], index));
      input.sequence_starts.push_back(input.sequence_starts.back() + lengths[i]);
      input.cache_sequences.push_back(i);
    }
    input.embeddings = at::cat(rows);
    input.positions = at::cat(positions);
    decoder.forward(input, cache);
    for (int64_t i = 0; i <= std::ssize(lengths); ++i) input.sequence_starts[i] = i;
    std::vector<at::Tensor> hidden;
    for (int64_t step = 0; step < steps; ++step) {
      input.positions = at::tensor(lengths, index) + step;
      input.embeddings = decoder.embed(input.positions.remainder(25) + 3);
      hidden.push_back(decoder.forward(input, cache));
    }
    return at::stack(hidden).cpu();
  }

  static void expect_near(const at::Tensor& actual, const at::Tensor& expected) {
    ASSERT_EQ(actual.sizes(), expected.sizes());
    EXPECT_LT(((actual - expected).abs().max() / expected.abs().max()).item<double>(), 1e-4);
  }

  std::unique_ptr<Decoder> here_, there_;
  const c10::NoGradGuard no_grad_;
};

// Over the border of a page, and more steps than are needed to record one.
TEST_P(DecoderOnGpu, AnswersAsOnTheCpu) {
  for (const std::vector<int64_t>& lengths :
       {std::vector<int64_t>{1}, {30, 64, 7}, {9, 9}, {300}, {30, 64, 7}})
    expect_near(answer(*there_, lengths, 5), answer(*here_, lengths, 5));
}

TEST_P(DecoderOnGpu, ThreadsDoNotDisturbEachOther) {
  const at::Tensor expected = answer(*here_, {20, 5}, 12);
  std::vector<at::Tensor> answers(4);
  std::vector<std::thread> threads;
  for (at::Tensor& own : answers) {
    threads.emplace_back([&] {
      const c10::NoGradGuard no_grad;
      own = answer(*there_, {20, 5}, 12);
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const at::Tensor& own : answers) expect_near(own, expected);
}

INSTANTIATE_TEST_SUITE_P(Models, DecoderOnGpu, testing::ValuesIn(models()), [](const auto& test) {
  return test.param;
});

}  // namespace
}  // namespace precis
