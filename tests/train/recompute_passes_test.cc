// SPDX-License-Identifier: Apache-2.0
// TrainerOptions::recompute reaches every pass of the decoder under gradients: the compressor's and
// the one that predicts.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "precis/extend/decoder.h"
#include "precis/extend/load_decoder.h"
#include "precis/extend/load_tokenizer.h"
#include "support/small_compressors.h"
#include "support/temporary_directory.h"
#include "train/trainer.h"

namespace precis {
namespace {

const std::filesystem::path kModel =
    std::filesystem::path(PRECIS_TEST_GOLDEN_DIR) / "models" / "llama";

// Counts the passes under gradients, and those of them that recompute.
class CountingDecoder final : public Decoder {
 public:
  explicit CountingDecoder(const Decoder& decoder) : decoder_(decoder) {}

  const DecoderConfig& config() const override { return decoder_.config(); }
  c10::TensorOptions options() const override { return decoder_.options(); }
  at::Tensor embed(const at::Tensor& tokens) const override { return decoder_.embed(tokens); }
  at::Tensor forward(const DecoderInput& input,
                     KvCache& cache,
                     const Adapter* adapter,
                     const LayerObserver* observer) const override {
    if (c10::GradMode::is_enabled()) {
      ++passes;
      recomputing += input.recompute_activations ? 1 : 0;
    }
    return decoder_.forward(input, cache, adapter, observer);
  }
  at::Tensor logits(const at::Tensor& hidden) const override { return decoder_.logits(hidden); }
  const std::string& fingerprint() const override { return decoder_.fingerprint(); }
  int64_t num_parameters() const override { return decoder_.num_parameters(); }
  int64_t weight_bytes() const override { return decoder_.weight_bytes(); }

  mutable int passes = 0;
  mutable int recomputing = 0;

 private:
  const Decoder& decoder_;
};

struct Method {
  const char* name;
  std::unique_ptr<Compressor> (*make)(const Decoder& decoder);
  int passes;  // of the decoder under gradients in one step
};

class RecomputePasses : public testing::TestWithParam<Method> {
 protected:
  RecomputePasses() {
    at::set_num_threads(1);  // products this small only wait for each other
    const c10::NoGradGuard no_grad;
    decoder = load_decoder(kModel, at::kFloat);
    std::string text;
    for (int i = 0; i < 60; ++i) text += " word" + std::to_string(i * i % 23);
    std::ofstream(directory / "data.jsonl") << nlohmann::json{{"text", text}}.dump() << "\n";
    options.steps = 1;
    options.batch = 2;
    options.examples.lengths = {8, 16, 12};
  }

  // Takes one step.
  CountingDecoder train_with(const Method& method) const {
    CountingDecoder counting(*decoder);
    std::unique_ptr<Compressor> compressor;
    {
      const c10::NoGradGuard no_grad;
      compressor = method.make(counting);
    }
    const auto tokenizer = load_tokenizer(kModel);
    const TokenDataset data = TokenDataset::read(directory / "data.jsonl", *tokenizer);
    const TemporaryDirectory out;
    train(*compressor, counting, {data}, options, out / "run");
    return counting;
  }

  TemporaryDirectory directory;
  std::unique_ptr<Decoder> decoder;
  TrainerOptions options;
};

TEST_P(RecomputePasses, AllPassesUnderGradientsRecompute) {
  options.recompute = true;
  const CountingDecoder counting = train_with(GetParam());
  EXPECT_EQ(counting.passes, GetParam().passes);
  EXPECT_EQ(counting.recomputing, counting.passes);
}

TEST_P(RecomputePasses, NoneDoesWithoutTheOption) {
  EXPECT_EQ(train_with(GetParam()).recomputing, 0);
}

INSTANTIATE_TEST_SUITE_P(Methods,
                         RecomputePasses,
                         testing::Values(Method{"selfcp", make_small_selfcp, 2},
                                         Method{"icae", make_small_icae, 2},
                                         Method{"gisting", make_small_gisting, 2},
                                         Method{"spread_gisting", make_small_spread_gisting, 2},
                                         Method{"ic_former", make_small_ic_former, 1}),
                         [](const auto& test) { return std::string(test.param.name); });

class RecomputeEmbeddingSteps : public RecomputePasses {};

TEST_P(RecomputeEmbeddingSteps, TheCompressorRecomputes) {
  options.recompute = true;
  options.embedding_steps = 1;
  const CountingDecoder counting = train_with(GetParam());
  EXPECT_EQ(counting.passes, GetParam().passes);
  EXPECT_EQ(counting.recomputing, counting.passes);
}

INSTANTIATE_TEST_SUITE_P(Methods,
                         RecomputeEmbeddingSteps,
                         testing::Values(Method{"icae", make_small_icae, 1}),
                         [](const auto& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace precis
