// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <vector>

#include "compressors/passes.h"
#include "precis/extend/load_decoder.h"
#include "refine/refine.h"

namespace precis {

// A tiny model, a text of 40 ids, and bad memories of it.
class RefineTest : public testing::Test {
 protected:
  RefineTest() {
    at::set_num_threads(1);  // products this small only wait for each other
    const c10::NoGradGuard no_grad;
    decoder = load_decoder(std::filesystem::path(PRECIS_TEST_GOLDEN_DIR) / "models" / "llama",
                           at::kDouble);
    for (int64_t i = 0; i < 40; ++i) text.push_back(5 + (7 * i + i * i / 3) % 300);
  }

  // As many samples and steps as tests have time for, and a clock that stands still.
  static RefineOptions few_steps() {
    RefineOptions options;
    options.seconds = 1;
    options.max_steps = 30;
    options.sample_tokens = 12;
    options.tokens_per_step = 100;
    options.rates = {0.05, 0.05, 0.05};
    options.patience = 100;
    options.min_gain = 1e-7;
    options.clock = [] { return 0.0; };
    return options;
  }

  // A chat of made-up ids.
  static RefinePrompts chat_prompts() {
    RefinePrompts prompts;
    RefineChat& chat = prompts.chat.emplace();
    chat.context.before_text = {11, 12};
    chat.context.around_memory.before.emplace_back(std::vector<TokenId>{11, 12});
    chat.requests = {{21, 22, 23}, {24, 25}};
    chat.askings = {{26, 27}, {28, 29, 30}};
    chat.before_question = {31};
    chat.after_question = {32, 33};
    return prompts;
  }

  at::Tensor embeddings_of(const std::vector<TokenId>& ids) const {
    return decoder->embed(at::tensor(ids, at::kLong));
  }

  // Keys and values of every `step`-th token of the text, values times `factor`.
  CachedTokens cached(int64_t step, double factor) const {
    const c10::NoGradGuard no_grad;
    KvCache cache(decoder->config().kv_shape(), decoder->options());
    const at::Tensor rows = embeddings_of(text);
    fill_cache(*decoder, {&rows, 1}, cache);
    std::vector<TokenRange> kept;
    const int64_t size = std::ssize(text);
    for (int64_t i = 0; i < size; i += step) kept.push_back({i, 1});
    CachedTokens memory = cached_rows(cache, 0, kept, {0, size});
    memory.values = memory.values * factor;
    return memory;
  }

  SoftTokens soft() const {
    const c10::NoGradGuard no_grad;
    std::vector<TokenId> some;
    for (size_t i = 0; i < text.size(); i += 5) some.push_back(text[i]);
    return {embeddings_of(some) * 3.0};
  }

  // log p of the id after each of `ids`, which are read as they are, [n, vocab]. `memory`: in the
  // cache before them; null: nothing. first: their first position.
  at::Tensor log_probabilities(const std::vector<TokenId>& ids,
                               const CachedTokens* memory = nullptr,
                               int64_t first = 0) const {
    const c10::NoGradGuard no_grad;
    KvCache cache(decoder->config().kv_shape(), decoder->options());
    for (int64_t layer = 0; memory != nullptr && layer < decoder->config().num_layers; ++layer)
      cache.append(layer, 0, memory->keys[layer], memory->values[layer]);
    const int64_t size = std::ssize(ids);
    const at::Tensor hidden = decoder->forward(
        {embeddings_of(ids), at::arange(first, first + size), {0, size}, {0}}, cache);
    return decoder->logits(hidden).log_softmax(1);
  }

  // The last `count` rows of what the model predicts behind the full text.
  at::Tensor behind_text(const std::vector<TokenId>& ids) const {
    std::vector<TokenId> all = text;
    all.insert(all.end(), ids.begin(), ids.end());
    return log_probabilities(all).slice(0, -std::ssize(ids));
  }

  std::unique_ptr<Decoder> decoder;
  std::vector<TokenId> text;
};

// Mean KL divergence of the rows of `student` from those of `teacher`, both log probabilities.
inline double mean_kl(const at::Tensor& teacher, const at::Tensor& student) {
  return (teacher.exp() * (teacher - student)).sum(1).mean().item<double>();
}

}  // namespace precis
