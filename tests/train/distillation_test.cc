// SPDX-License-Identifier: Apache-2.0
// Distillation: training towards the predictions of the frozen model that reads the full text.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "precis/extend/load_decoder.h"
#include "support/small_compressors.h"
#include "train/language_model_loss.h"

namespace precis {
namespace {

class Distillation : public testing::Test {
 protected:
  Distillation() {
    at::set_num_threads(1);  // products this small only wait for each other
    const c10::NoGradGuard no_grad;
    decoder = load_decoder(std::filesystem::path(PRECIS_TEST_GOLDEN_DIR) / "models" / "llama",
                           at::kDouble);
    compressor = make_small_icae(*decoder);
  }

  static TrainingExample example(bool distils, int64_t first = 5) {
    TrainingExample one;
    for (int64_t i = 0; i < 14; ++i) one.segment.tokens.push_back(first + 3 * i);
    one.prompt = {40, 41, 42};
    one.targets = {43, 50, 44, 51};
    one.distils = distils;
    return one;
  }

  double loss_of(std::span<const TrainingExample> examples, bool backward = false) const {
    return cross_entropy(*decoder, predict(*decoder, *compressor, examples, {}), backward);
  }

  // log p of the next id after each row of ids that are read as they are, [n, vocab].
  at::Tensor log_probabilities(std::vector<TokenId> ids) const {
    KvCache cache(decoder->config().kv_shape(), decoder->options());
    const int64_t size = std::ssize(ids);
    const at::Tensor hidden = decoder->forward(
        {decoder->embed(at::tensor(ids)), at::arange(size), {0, size}, {0}}, cache);
    return decoder->logits(hidden).log_softmax(1);
  }

  std::unique_ptr<Decoder> decoder;
  std::unique_ptr<Compressor> compressor;
};

TEST_F(Distillation, IsTheDivergenceFromTheFullText) {
  const c10::NoGradGuard no_grad;
  const TrainingExample one = example(/*distils=*/true);
  std::vector<TokenId> full = one.segment.tokens;
  full.insert(full.end(), one.prompt.begin(), one.prompt.end());
  full.insert(full.end(), one.targets.begin(), one.targets.end() - 1);
  const at::Tensor teacher = log_probabilities(full).slice(0, -4);
  // The student's, through the library's own prediction of a labelled example.
  const TrainingExample labelled = example(/*distils=*/false);
  const at::Tensor hidden = predict(*decoder, *compressor, {&labelled, 1}, {}).hidden;
  const at::Tensor student = decoder->logits(hidden).log_softmax(1);
  const double expected = (teacher.exp() * (teacher - student)).sum(1).mean().item<double>();
  EXPECT_GT(expected, 1e-3);
  EXPECT_NEAR(loss_of({&one, 1}), expected, 1e-9);
}

TEST_F(Distillation, MixesWithLabelsByToken) {
  const c10::NoGradGuard no_grad;
  const std::vector<TrainingExample> both{example(true), example(false, 9)};
  const double apart = 0.5 * (loss_of({&both[0], 1}) + loss_of({&both[1], 1}));
  EXPECT_NEAR(loss_of(both), apart, 1e-9);
  const std::vector<TrainingExample> turned{both[1], both[0]};
  EXPECT_NEAR(loss_of(turned), apart, 1e-9);
}

// The gradient agrees with differences of the loss, and nothing flows into the teacher.
TEST_F(Distillation, HasTheGradientOfItsLoss) {
  const TrainingExample one = example(true);
  const std::vector<NamedTensor> parameters = compressor->parameters();
  for (const NamedTensor& named : parameters) named.tensor.requires_grad_(true);
  loss_of({&one, 1}, /*backward=*/true);
  for (const NamedTensor& named : parameters) {
    if (named.name != "memory_embeddings" && named.name != "connector.weight") continue;
    const at::Tensor gradient = named.tensor.grad();
    const c10::NoGradGuard no_grad;
    const at::Tensor direction = gradient / gradient.norm();
    constexpr double kStep = 1e-5;
    at::Tensor value = named.tensor;
    value.add_(direction, kStep);
    const double above = loss_of({&one, 1});
    value.sub_(direction, 2 * kStep);
    const double below = loss_of({&one, 1});
    value.add_(direction, kStep);
    const double slope = gradient.norm().item<double>();
    EXPECT_NEAR((above - below) / (2 * kStep), slope, 1e-5 * slope + 1e-9) << named.name;
  }
}

// The loss is 0 where the student reads what the teacher reads.
TEST_F(Distillation, IsZeroBetweenEquals) {
  const c10::NoGradGuard no_grad;
  const TrainingExample one = example(true);
  PredictedBatch batch = predict(*decoder, *compressor, {&one, 1}, {});
  batch.hidden = batch.teacher;
  EXPECT_NEAR(cross_entropy(*decoder, batch, false), 0, 1e-12);
}

}  // namespace
}  // namespace precis
