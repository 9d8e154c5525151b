// SPDX-License-Identifier: Apache-2.0
#include "prompt/splice.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "precis/extend/load_decoder.h"
#include "prompt/packed_pass.h"
#include "prompt_fixture.h"
#include "support/expect_error.h"

namespace precis {
namespace {

class Splice : public testing::Test {
 protected:
  Splice()
      : decoder(load_decoder(std::filesystem::path(PRECIS_TEST_GOLDEN_DIR) / "models" / "llama",
                             at::kFloat)) {}

  at::Tensor answer(const SplicedPrompt& prompt) const {
    KvCache cache(decoder->config().kv_shape(), decoder->options());
    preload(prompt, *decoder, cache, 0);
    const at::Tensor hidden = decoder->forward(
        {prompt.embeddings, prompt.positions, {0, prompt.embeddings.size(0)}, {0}}, cache);
    return decoder->logits(hidden[-1].unsqueeze(0));
  }
  at::Tensor rows(const std::vector<TokenId>& ids) const {
    return decoder->embed(at::tensor(ids, at::kLong));
  }

  // Keys and values of a text at the beginning of a prompt.
  CachedTokens states_of(const std::vector<TokenId>& ids) const {
    const int64_t size = std::ssize(ids);
    KvCache cache(decoder->config().kv_shape(), decoder->options());
    decoder->forward({rows(ids), at::arange(size), {0, size}, {0}}, cache);
    std::vector<at::Tensor> keys, values;
    for (int64_t layer = 0; layer < decoder->config().num_layers; ++layer) {
      const auto [k, v] = cache.rows(layer, 0, 0, size);
      keys.push_back(k);
      values.push_back(v);
    }
    return {at::stack(keys), at::stack(values), 0, size};
  }

  static PromptItem ids(std::vector<TokenId> tokens) { return TokenSpan{std::move(tokens)}; }
  static PromptItem memory(MemoryTensors tensors) { return memory_item(std::move(tensors)); }

  c10::NoGradGuard no_grad;
  std::unique_ptr<Decoder> decoder;
};

TEST_F(Splice, AMemoryOfTheTextsEmbeddingsEqualsTheText) {
  const auto plain = splice(std::vector{ids({10, 11, 12, 13, 14})}, *decoder);
  const auto passed =
      splice(std::vector{ids({10}), memory(SoftTokens{rows({11, 12, 13})}), ids({14})}, *decoder);
  EXPECT_TRUE(at::equal(plain.positions, at::arange(5)));
  EXPECT_TRUE(at::equal(passed.positions, at::arange(5)));
  EXPECT_TRUE(at::equal(answer(plain), answer(passed)));
}

TEST_F(Splice, MemoriesAndTokensKeepTheirOrder) {
  const auto spliced = splice(std::vector{memory(SoftTokens{rows({10, 11})}),
                                          memory(SoftTokens{rows({12})}),
                                          ids({13, 14}),
                                          memory(SoftTokens{rows({15, 16, 17})}),
                                          ids({18})},
                              *decoder);
  EXPECT_TRUE(at::equal(spliced.embeddings, rows({10, 11, 12, 13, 14, 15, 16, 17, 18})));
}

TEST_F(Splice, ACachedMemoryOfTheWholeTextEqualsTheText) {
  const CachedTokens cached = states_of({10, 11, 12});
  const auto prompt = splice(std::vector{memory(cached), ids({13, 14})}, *decoder);
  EXPECT_TRUE(at::equal(prompt.positions, at::tensor({3, 4}, at::kLong)));
  EXPECT_TRUE(at::allclose(answer(prompt),
                           answer(splice(std::vector{ids({10, 11, 12, 13, 14})}, *decoder)),
                           1e-4,
                           1e-5));
}

// Computed at position 0, they are rebased to their positions in the prompt.
TEST_F(Splice, CachedMemoriesMayFollowTextAndEachOther) {
  const CachedTokens first = states_of({10, 11, 12}), second = states_of({13, 14});
  const auto prompt = splice(
      std::vector{ids({7, 8}), ids({9}), memory(first), memory(second), ids({15, 16})}, *decoder);
  EXPECT_EQ(prompt.prefix->tokens(), (std::vector<TokenId>{7, 8, 9}));
  EXPECT_TRUE(at::equal(prompt.positions, at::tensor({8, 9}, at::kLong)));
  EXPECT_EQ(prompt.cache_length(), 10);
  EXPECT_EQ(prompt.tokens, (std::vector<TokenId>{7, 8, 9, 15, 16}));
  KvCache cache(decoder->config().kv_shape(), decoder->options());
  preload(prompt, *decoder, cache, 0);
  const CachedTokens moved[] = {rebase(first, decoder->config(), 3),
                                rebase(second, decoder->config(), 6)};
  for (int64_t layer = 0; layer < decoder->config().num_layers; ++layer) {
    const auto [keys, values] = cache.rows(layer, 0, 3, 5);
    EXPECT_TRUE(at::equal(keys, at::cat({moved[0].keys[layer], moved[1].keys[layer]}, 1)));
    EXPECT_TRUE(at::equal(values, at::cat({first.values[layer], second.values[layer]}, 1)));
  }
  const auto prefix = std::make_shared<SharedPrefix>(std::vector<TokenId>{7, 8, 9});
  const auto shared = splice(
      std::vector{ids({7, 8, 9}), memory(first), memory(second), ids({15, 16})}, *decoder, prefix);
  EXPECT_EQ(shared.prefix, prefix);
  EXPECT_TRUE(at::equal(answer(shared), answer(prompt)));
}

TEST_F(Splice, ASharedPrefixIsNotReadAgain) {
  const auto prefix = std::make_shared<SharedPrefix>(std::vector<TokenId>{10, 11});
  const std::vector items{ids({10, 11}), memory(SoftTokens{rows({12})}), ids({13})};
  const auto shared = splice(items, *decoder, prefix);
  EXPECT_EQ(shared.embeddings.size(0), 2);
  EXPECT_EQ(shared.cache_length(), 4);
  EXPECT_TRUE(at::allclose(answer(shared), answer(splice(items, *decoder)), 1e-4, 1e-5));
}

TEST_F(Splice, EmbeddingsAreInputsAndCarryGradients) {
  const c10::AutoGradMode with_gradients(true);
  const at::Tensor own = rows({11, 12}).detach().requires_grad_();
  const auto spliced = splice(
      std::vector{
          ids({10}), PromptItem(make_embeddings(own)), memory(SoftTokens{rows({13})}), ids({14})},
      *decoder);
  EXPECT_TRUE(at::equal(spliced.embeddings, rows({10, 11, 12, 13, 14})));
  EXPECT_EQ(spliced.tokens, (std::vector<TokenId>{10, 14}));
  spliced.embeddings.sum().backward();
  EXPECT_TRUE(at::equal(own.grad(), at::ones_like(own)));
}

// A cached memory has no hidden state: the first id that follows is read, not predicted.
TEST_F(Splice, APromptThatEndsOnACachedMemoryHasNoInputs) {
  const std::vector items{ids({7}), memory(states_of({10, 11}))};
  const SplicedPrompt prompt = splice(lay_out(items, decoder->config()), *decoder);
  EXPECT_EQ(prompt.embeddings.sizes(), (at::IntArrayRef{0, decoder->config().hidden_size}));
  EXPECT_EQ(prompt.first_scored(), 1);
  EXPECT_EQ(prompt.start, 3);
  EXPECT_EQ(prompt.cache_length(), 3);
  EXPECT_EQ(prompt.num_computed_tokens(), 1);
  EXPECT_EQ(splice(std::vector{ids({7})}, *decoder).first_scored(), 0);
  expect_error(
      ErrorKind::kInvalidArgument, "nothing follows the memory", [&] { splice(items, *decoder); });
}

TEST_F(Splice, DropsSinksAfterOtherTokens) {
  CachedTokens sinking = states_of({10, 11, 12});
  sinking.num_sinks = 2;
  EXPECT_EQ(splice(std::vector{memory(sinking), ids({5})}, *decoder).cache_length(), 4);
  const auto behind = splice(std::vector{ids({7}), memory(sinking), ids({5})}, *decoder);
  const CachedTokens left = placed_tokens(behind.cached.at(0), decoder->config());
  EXPECT_EQ(left.keys.size(2), 1);
  EXPECT_EQ(behind.start, 4);
  EXPECT_TRUE(at::equal(left.values, sinking.values.narrow(2, 2, 1)));
}

TEST_F(Splice, RefusesMisplacedAndForeignMemories) {
  const auto refuse = [&](const std::vector<PromptItem>& items) {
    expect_error(ErrorKind::kInvalidArgument, "no cached memory can stand", [&] {
      splice(items, *decoder);
    });
  };
  const CachedTokens cached = states_of({5});
  const SoftTokens soft{rows({3})};
  refuse({memory(soft), memory(cached), ids({2})});
  refuse({ids({1}), memory(soft), memory(cached), ids({2})});
  refuse({memory(cached), ids({1}), memory(cached), ids({2})});
  refuse({ids({1}), memory(cached), memory(soft), memory(cached), ids({2})});
  const int64_t window = decoder->config().context_length;
  expect_error(ErrorKind::kInvalidArgument, "does not fit the model's window", [&] {
    splice(std::vector{ids(std::vector<TokenId>(window, 1)), memory(cached), ids({2})}, *decoder);
  });
  expect_error(ErrorKind::kInvalidArgument, "rows of 7", [&] {
    splice(std::vector{memory(SoftTokens{at::ones({2, 7})}), ids({2})}, *decoder);
  });
}

// The same of a memory whose heads keep different numbers of tokens, with and without its sink.
TEST_F(Splice, PromptsShareARaggedMemory) {
  CachedTokens ragged = states_of({10, 11, 12, 13});
  ragged.lengths = at::full(ragged.keys.sizes().slice(0, 2), 4, at::kLong);
  ragged.lengths[0][0] = 3;
  ragged.keys = ragged.keys.flatten(0, 2).slice(0, 1);
  ragged.values = ragged.values.flatten(0, 2).slice(0, 1);
  ragged.num_sinks = 1;
  for (const bool behind_text : {false, true}) {
    KvCache cache(decoder->config().kv_shape(), decoder->options(), 2);
    PackedPass pass(*decoder, cache);
    std::vector<SplicedPrompt> prompts;
    for (const TokenId question : {7, 8}) {
      std::vector<PromptItem> items{memory(ragged), ids({question, 4})};
      if (behind_text) items.insert(items.begin(), ids({5, 6}));
      prompts.push_back(splice(items, *decoder));
      pass.add(prompts.back(), std::ssize(prompts) - 1, 1);
    }
    const at::Tensor hidden = pass.read();
    EXPECT_EQ(cache.view(0, 0).ragged[0], cache.view(0, 1).ragged[0]) << behind_text;
    for (int64_t i = 0; i < 2; ++i)
      EXPECT_TRUE(
          at::allclose(decoder->logits(hidden.narrow(0, i, 1)), answer(prompts[i]), 1e-4, 1e-5));
  }
}

// Prompts of one pass that begin with the same memory, or the same text and memory, share its
// blocks.
TEST_F(Splice, PromptsWithACommonBeginningShareBlocks) {
  std::vector<TokenId> text;
  for (TokenId id = 0; id < 150; ++id) text.push_back(3 + id % 25);
  const CachedTokens states = states_of(text);
  for (const bool behind_text : {false, true}) {
    std::vector<SplicedPrompt> prompts;
    for (const TokenId question : {7, 8, 9}) {
      std::vector<PromptItem> items{memory(states), ids({question, 4})};
      if (behind_text) items.insert(items.begin(), ids({5, 6}));
      prompts.push_back(splice(items, *decoder));
    }
    prompts.push_back(splice(std::vector{memory(states_of({9, 8, 7})), ids({4})}, *decoder));
    KvCache cache(decoder->config().kv_shape(), decoder->options(), 4);
    PackedPass pass(*decoder, cache);
    for (int64_t i = 0; i < 4; ++i) pass.add(prompts[i], i, 1);
    const at::Tensor hidden = pass.read();
    for (int64_t i = 0; i < 4; ++i) {
      EXPECT_TRUE(
          at::allclose(decoder->logits(hidden.narrow(0, i, 1)), answer(prompts[i]), 1e-4, 1e-5));
      EXPECT_EQ(cache.length(i), prompts[i].cache_length());
    }
    const auto block = [&](int64_t sequence, int64_t i) {
      return cache.blocks(sequence)[i].const_data_ptr();
    };
    EXPECT_EQ(block(0, 0), block(2, 0));
    EXPECT_EQ(block(1, 1), block(2, 1));
    EXPECT_NE(block(0, 2), block(2, 2));
    EXPECT_NE(block(0, 0), block(3, 0));
  }
}

}  // namespace
}  // namespace precis
