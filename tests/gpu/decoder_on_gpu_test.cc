// SPDX-License-Identifier: Apache-2.0
// Whole models on a GPU against the same on the CPU; skipped where there is no GPU.
#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <c10/core/InferenceMode.h>
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <thread>

#include "ops/kv_blocks.h"
#include "precis/extend/decoder.h"
#include "precis/extend/load_decoder.h"
#include "support/expect_error.h"

namespace precis {
namespace {

namespace fs = std::filesystem;

// The build's directory or, on another machine, the checkout that the test runs in.
fs::path golden_models() {
  const fs::path built = fs::path(PRECIS_TEST_GOLDEN_DIR) / "models";
  return fs::exists(built) ? built : fs::path("tests/golden/models");
}

std::vector<std::string> models() {
  std::vector<std::string> all;
  for (const auto& entry : fs::directory_iterator(golden_models()))
    if (entry.is_directory()) all.push_back(entry.path().filename());
  return all;
}

using Case = std::tuple<std::string, c10::ScalarType, WeightFormat>;

// Only Gemma 3's widths are multiples of 32, which quantisation needs.
std::vector<Case> cases() {
  std::vector<Case> all;
  for (const std::string& model : models()) {
    for (const c10::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
      all.emplace_back(model, dtype, WeightFormat::kDtype);
      if (!model.starts_with("gemma3")) continue;
      all.emplace_back(model, dtype, WeightFormat::kInt8);
      all.emplace_back(model, dtype, WeightFormat::kInt4);
    }
  }
  return all;
}

std::string name_of(const testing::TestParamInfo<Case>& test) {
  const auto& [model, dtype, format] = test.param;
  const char* const suffix = format == WeightFormat::kDtype  ? ""
                             : format == WeightFormat::kInt8 ? "_int8"
                                                             : "_int4";
  return model + "_" + at::toString(dtype) + suffix;
}

class DecoderOnGpu : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    if (!at::hasCUDA()) GTEST_SKIP() << "no GPU";
    const auto& [model, dtype, format] = GetParam();
    const fs::path path = golden_models() / model;
    here_ = load_decoder(path, at::kFloat, format);
    there_ = load_decoder(path, at::TensorOptions(dtype).device(at::kCUDA), format);
  }

  // Reads prompts of these lengths together, in one or several passes, then decodes `steps` tokens
  // of each; returns the hidden states of these.
  static at::Tensor answer(const Decoder& decoder,
                           const std::vector<int64_t>& lengths,
                           int64_t steps,
                           int64_t passes = 1) {
    const auto index = at::TensorOptions(at::kLong).device(decoder.options().device());
    KvCache cache(decoder.config().kv_shape(), decoder.options(), std::ssize(lengths));
    DecoderInput input;
    for (int64_t pass = 0; pass < passes; ++pass) {
      std::vector<at::Tensor> rows, positions;
      input.cu_seqlens = {0};
      input.cache_sequences.clear();
      for (int64_t i = 0; i < std::ssize(lengths); ++i) {
        positions.push_back(
            at::arange(lengths[i] * pass / passes, lengths[i] * (pass + 1) / passes, index));
        rows.push_back(decoder.embed(positions.back().remainder(30) + i));
        input.cu_seqlens.push_back(input.cu_seqlens.back() + rows.back().size(0));
        input.cache_sequences.push_back(i);
      }
      input.embeddings = at::cat(rows);
      input.positions = at::cat(positions);
      decoder.forward(input, cache);
    }
    for (int64_t i = 0; i <= std::ssize(lengths); ++i) input.cu_seqlens[i] = i;
    std::vector<at::Tensor> hidden;
    for (int64_t step = 0; step < steps; ++step) {
      input.positions = at::tensor(lengths, index) + step;
      input.embeddings = decoder.embed(input.positions.remainder(25) + 3);
      hidden.push_back(decoder.forward(input, cache));
    }
    return at::stack(hidden).cpu().to(at::kFloat);
  }

  static void expect_near(const at::Tensor& actual, const at::Tensor& expected) {
    ASSERT_EQ(actual.sizes(), expected.sizes());
    const at::Tensor error = (actual - expected).abs().max() / expected.abs().max();
    const auto& [model, dtype, format] = GetParam();
    // On the CPU activations are quantised if weights are.
    const double exact = format == WeightFormat::kDtype ? 1e-4 : 2e-3;
    EXPECT_LT(error.item<double>(), dtype == at::kFloat ? exact : 6e-2);
  }

  std::unique_ptr<Decoder> here_, there_;
  const c10::NoGradGuard no_grad_;
};

// Across the end of a page, and more steps than it takes to capture one.
TEST_P(DecoderOnGpu, AnswersAsOnTheCpu) {
  for (const std::vector<int64_t>& lengths :
       {std::vector<int64_t>{1}, {30, 64, 7}, {9, 9}, {300}, {30, 64, 7}})
    expect_near(answer(*there_, lengths, 5), answer(*here_, lengths, 5));
}

// Later passes read pages, also of more tokens than are copied at once.
TEST_P(DecoderOnGpu, ReadsPromptsInPassesAsOnTheCpu) {
  for (const std::vector<int64_t>& lengths :
       {std::vector<int64_t>{3}, {90, 64, 7}, {66 * ops::kBlockSize, 3}})
    expect_near(answer(*there_, lengths, 2, /*passes=*/3), answer(*here_, lengths, 2));
}

TEST_P(DecoderOnGpu, SplicesAsOnTheCpu) {
  const at::Tensor ids = at::tensor({5, 0, 9}, at::kLong);
  const at::Tensor sources = at::tensor({0, 4, 1, 3, 2}, at::kLong);
  const at::Tensor own = at::randn({2, here_->config().hidden_size});
  expect_near(there_->embed_spliced(ids.cuda(), own.to(there_->options()), sources.cuda())
                  .cpu()
                  .to(at::kFloat),
              here_->embed_spliced(ids, own, sources));
}

TEST_P(DecoderOnGpu, ThreadsDoNotAffectEachOther) {
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

// A step captured in inference mode also serves callers without it, and the reverse.
TEST_P(DecoderOnGpu, ServesBothModes) {
  const at::Tensor expected = answer(*here_, {20, 5}, 3);
  expect_near(answer(*there_, {20, 5}, 3), expected);
  {
    const c10::InferenceMode inference;
    expect_near(answer(*there_, {20, 5}, 3), expected);
    expect_near(answer(*there_, {6}, 3), answer(*here_, {6}, 3));
  }
  expect_near(answer(*there_, {6}, 3), answer(*here_, {6}, 3));
}

TEST_P(DecoderOnGpu, RunsOnAnyStream) {
  const c10::impl::VirtualGuardImpl cuda(c10::DeviceType::CUDA);
  const c10::StreamGuard other(cuda.getStreamFromGlobalPool(c10::Device(at::kCUDA, 0)));
  expect_near(answer(*there_, {20, 5}, 3), answer(*here_, {20, 5}, 3));
}

// Padding rows of a captured step do not affect others.
TEST_P(DecoderOnGpu, BatchesOfAnySize) {
  for (const int64_t sequences : {40, 33, 17, 9, 5, 3, 2, 1}) {
    std::vector<int64_t> lengths;
    for (int64_t i = 0; i < sequences; ++i) lengths.push_back(1 + i % 7);
    expect_near(answer(*there_, lengths, 2), answer(*here_, lengths, 2));
  }
}

TEST_P(DecoderOnGpu, RefusesACacheOfAnotherDtype) {
  const auto other = std::get<1>(GetParam()) == at::kFloat ? at::kBFloat16 : at::kFloat;
  KvCache cache(there_->config().kv_shape(), there_->options().dtype(other));
  const auto index = at::TensorOptions(at::kLong).device(at::kCUDA);
  const at::Tensor row = there_->embed(at::ones({1}, index));
  expect_error(ErrorKind::kInvalidArgument, "the cache is", [&] {
    there_->forward({row, at::zeros({1}, index), {0, 1}, {0}}, cache);
  });
  EXPECT_EQ(cache.length(0), 0);
}

INSTANTIATE_TEST_SUITE_P(Models, DecoderOnGpu, testing::ValuesIn(cases()), name_of);

}  // namespace
}  // namespace precis
