// SPDX-License-Identifier: Apache-2.0
// Memory embeddings trained towards the embeddings of tokens in the middle of their shares.
#include "train/embedding_loss.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>
#include <torch/optim/adamw.h>

#include <filesystem>

#include "precis/extend/load_decoder.h"
#include "support/expect_error.h"
#include "support/small_compressors.h"
#include "train/trainer.h"
#include "train/trainer_options.h"

namespace precis {
namespace {

class EmbeddingLoss : public testing::Test {
 protected:
  EmbeddingLoss() {
    at::set_num_threads(1);  // products this small only wait for each other
    const c10::NoGradGuard no_grad;
    decoder = load_decoder(std::filesystem::path(PRECIS_TEST_GOLDEN_DIR) / "models" / "llama",
                           at::kDouble);
    IcaeConfig config = small_icae();
    config.connector = true;
    config.spread_positions = true;
    compressor = create_icae(config, *decoder);
    for (const int64_t size : {16, 12}) {
      TrainingExample example;
      for (int64_t i = 0; i < size; ++i)
        example.segment.tokens.push_back((5 + i * 37 + size) % 320);
      examples.push_back(std::move(example));
    }
  }

  double loss(bool backward) const {
    return embedding_loss(*decoder, *compressor, examples, {}, backward);
  }

  at::Tensor memory_of(size_t i) const {
    const auto memories = compressor->compress({&examples[i].segment, 1}, {});
    return std::get<SoftTokens>(memories.front()).embeddings;
  }

  std::unique_ptr<Decoder> decoder;
  std::unique_ptr<Compressor> compressor;
  std::vector<TrainingExample> examples;
};

TEST_F(EmbeddingLoss, IsTheSquaredDistance) {
  const c10::NoGradGuard no_grad;
  std::vector<TokenId> ids;
  for (const int64_t place : {2, 6, 10, 14}) ids.push_back(examples[0].segment.tokens[place]);
  for (const int64_t place : {1, 4, 7, 10}) ids.push_back(examples[1].segment.tokens[place]);
  const at::Tensor wanted = decoder->embed(at::tensor(ids, at::kLong));
  const at::Tensor rows = at::cat({memory_of(0), memory_of(1)}, 0);
  const at::Tensor expected = (rows - wanted).square().mean();
  EXPECT_NEAR(loss(/*backward=*/false), expected.item<double>(), 1e-9);
}

TEST_F(EmbeddingLoss, TextsAreCutToTheCompressorsLimit) {
  const c10::NoGradGuard no_grad;
  std::vector<TokenId>& ids = examples[0].segment.tokens;
  while (ids.size() < 20) ids.push_back(7);
  const double first = loss(/*backward=*/false);
  while (ids.size() < 50) ids.push_back(9);
  EXPECT_EQ(loss(/*backward=*/false), first);
}

TEST_F(EmbeddingLoss, Falls) {
  std::vector<at::Tensor> parameters;
  for (const NamedTensor& named : compressor->parameters())
    parameters.push_back(named.tensor.requires_grad_(true));
  torch::optim::AdamW optimizer(parameters, torch::optim::AdamWOptions(0.01).weight_decay(0));
  const double first = loss(/*backward=*/false);
  for (int64_t step = 0; step < 200; ++step) {
    optimizer.zero_grad();
    loss(/*backward=*/true);
    optimizer.step();
  }
  EXPECT_GT(first, 0.9 * embedding_variance(*decoder));
  EXPECT_LT(loss(/*backward=*/false), 0.1 * embedding_variance(*decoder));
}

TEST_F(EmbeddingLoss, CachedMemoriesAreRefused) {
  const c10::NoGradGuard no_grad;
  TrainerOptions options;
  options.embedding_steps = 1;
  options.examples.lengths.max_older = 100;
  expect_error(ErrorKind::kInvalidArgument, "embedding_steps is 1", [&] {
    check_options(options, *make_small_gisting(*decoder));
  });
  options.embedding_steps = -1;
  expect_error(ErrorKind::kInvalidArgument, "embedding_steps is -1", [&] {
    check_options(options, *compressor);
  });
}

}  // namespace
}  // namespace precis
