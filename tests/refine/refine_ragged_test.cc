// SPDX-License-Identifier: Apache-2.0
// Memories whose heads keep different numbers of tokens.
#include "refine/mean_divergence.h"
#include "refine_fixture.h"

namespace precis {
namespace {

class RefineRagged : public RefineTest {
 protected:
  // The first tokens of the text: head h of layer l keeps 3 + 2 l + h of them.
  CachedTokens ragged(double factor) const {
    const CachedTokens whole = cached(1, factor);
    std::vector<at::Tensor> keys, values;
    std::vector<int64_t> lengths;
    const KvShape shape = decoder->config().kv_shape();
    for (int64_t layer = 0; layer < shape.num_layers; ++layer) {
      for (int64_t head = 0; head < shape.num_kv_heads; ++head) {
        lengths.push_back(3 + 2 * layer + head);
        keys.push_back(whole.keys[layer][head].narrow(0, 0, lengths.back()));
        values.push_back(whole.values[layer][head].narrow(0, 0, lengths.back()));
      }
    }
    CachedTokens memory = whole;
    memory.keys = at::cat(keys, 0);
    memory.values = at::cat(values, 0);
    memory.lengths = at::tensor(lengths, at::kLong).view({shape.num_layers, shape.num_kv_heads});
    return memory;
  }
};

TEST_F(RefineRagged, LossFallsAndLengthsStay) {
  const CachedTokens given = ragged(3.0);
  const RefineResult result = refine(given, text, chat_prompts(), *decoder, few_steps());
  EXPECT_LT(result.loss, result.given_loss);
  const auto& refined = std::get<CachedTokens>(result.memory);
  EXPECT_TRUE(at::equal(refined.lengths, given.lengths));
  EXPECT_EQ(refined.keys.sizes(), given.keys.sizes());
  EXPECT_FALSE(at::equal(refined.keys, given.keys));
}

// Keys and values of every layer and head get a gradient, directly behind the memory and in a chat.
TEST_F(RefineRagged, EveryTokenHasAGradient) {
  const RefinePrompts prompts = chat_prompts();
  const ReadContexts contexts(prompts, text, *decoder);
  for (const bool in_chat : {false, true}) {
    std::vector<RefineSample> samples(1);
    samples[0].ids = {50, 60, 70, 80, 90, 51};
    samples[0].in_chat = in_chat;
    add_teacher(samples, contexts, *decoder, 1000);
    const RefineSample* sample = &samples[0];
    const RefinedTensors refined(ragged(2.0), {});
    mean_divergence({&sample, 1}, refined, contexts, *decoder, 1000, /*backward=*/true);
    for (const RefinedTensors::Part& part : refined.parts()) {
      const at::Tensor sizes = part.change.grad().abs().sum(1);
      EXPECT_GT(sizes.min().item<double>(), 0) << in_chat;
    }
  }
}

}  // namespace
}  // namespace precis
