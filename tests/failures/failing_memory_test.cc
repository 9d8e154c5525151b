// SPDX-License-Identifier: Apache-2.0
// Memory that runs out at any moment of a load, a compression, an answer, a step of training.
#include "failures/failures_fixture.h"

namespace precis::failures {
namespace {

class FailingMemory : public FailuresTest, public testing::WithParamInterface<Layer> {};

std::string name_of_layer(const testing::TestParamInfo<Layer>& info) {
  switch (info.param) {
    case Layer::kNew:
      return "New";
    case Layer::kTensors:
      return "Tensors";
    default:
      return "Files";
  }
}

INSTANTIATE_TEST_SUITE_P(Layers,
                         FailingMemory,
                         testing::Values(Layer::kNew, Layer::kTensors),
                         name_of_layer);

TEST_P(FailingMemory, InALoad) {
  sweep(
      GetParam(), [] { load(); }, [] {});
}

TEST_P(FailingMemory, InACompression) {
  const Engine engine = load();
  const std::string expected = engine.compress(text()).content_hash();
  sweep(
      GetParam(), [&] { engine.compress(text()); }, [] {});
  EXPECT_EQ(engine.compress(text()).content_hash(), expected);
}

TEST_P(FailingMemory, InAnAnswer) {
  const Engine engine = load();
  const std::vector<TokenId> expected = answer(engine).ids;
  sweep(
      GetParam(), [&] { answer(engine); }, [] {});
  EXPECT_EQ(answer(engine).ids, expected);
}

TEST_P(FailingMemory, InAMemoryFileThatIsReplaced) { sweep_a_replaced_memory(GetParam()); }

TEST_P(FailingMemory, InTwoStepsOfTraining) {
  const auto decoder = load_decoder(model(), at::kFloat);
  const auto tokenizer = load_tokenizer(model());
  const TokenDataset dataset = TokenDataset::read(data(), *tokenizer);
  const auto out = directory_ / "out";
  sweep(
      GetParam(),
      [&] {
        std::filesystem::remove_all(out);
        train_two_steps(*decoder, dataset, out);
      },
      [&] { expect_no_drafts(directory_.path()); });
}

}  // namespace
}  // namespace precis::failures
