// SPDX-License-Identifier: Apache-2.0
#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "memory/memory_contents.h"
#include "models/load_decoder.h"
#include "prompt/overflow.h"
#include "prompt/splice.h"
#include "prompt/tokenize.h"
#include "support/expect_error.h"

namespace precis {
namespace {

using Treatment = Prompt::Treatment;

// One id for each byte; "<b>" is the only special token, id 256.
class ByteTokenizer final : public Tokenizer {
 public:
  explicit ByteTokenizer(bool add_bos = false) { special_ = {256, std::nullopt, add_bos, false}; }
  int64_t vocab_size() const override { return 257; }
  const SpecialTokens& special_tokens() const override { return special_; }
  std::vector<TokenId> encode(std::string_view text) const override {
    std::vector<TokenId> ids;
    for (const char c : text) ids.push_back(static_cast<unsigned char>(c));
    return ids;
  }
  std::vector<TokenId> encode_runs(std::span<const TextRun> runs) const override {
    std::vector<TokenId> ids;
    for (const TextRun& run : runs) {
      std::string_view left = run.text;
      while (!left.empty()) {
        const bool special = run.trusted && left.starts_with("<b>");
        ids.push_back(special ? 256 : static_cast<unsigned char>(left[0]));
        left.remove_prefix(special ? 3 : 1);
      }
    }
    return ids;
  }
  std::optional<TokenId> find(std::string_view) const override { return std::nullopt; }
  bool is_special(TokenId id) const override { return id == 256; }
  std::string decode(std::span<const TokenId> ids, bool) const override {
    std::string text;
    for (const TokenId id : ids) text += id == 256 ? "<b>" : std::string(1, static_cast<char>(id));
    return text;
  }
  std::string token_bytes(TokenId id) const override { return decode({&id, 1}, false); }

 private:
  SpecialTokens special_;
};

Memory memory_of(int64_t rows, int64_t hidden = 4, int64_t source = 9) {
  return Memory(std::make_shared<MemoryContents>(MemoryContents{
      SoftTokens{at::ones({rows, hidden})}, {"test", "model", "compressor", "hash", source}}));
}

// Parts as text: "keep", "?context", "!compress", "#rows" of a memory.
std::string show(const std::vector<PromptPart>& parts) {
  const ByteTokenizer tokenizer;
  std::string text;
  for (const PromptPart& part : parts) {
    if (!text.empty()) text += "|";
    if (part.memory) {
      text += "#" + std::to_string(part.memory->num_tokens());
      continue;
    }
    if (part.treatment == Treatment::kContext) text += "?";
    if (part.treatment == Treatment::kCompress) text += "!";
    text += tokenizer.decode(part.tokens, false);
  }
  return text;
}

std::string tokenized(const Prompt& prompt, bool add_bos = false, const char* chat = nullptr) {
  const ByteTokenizer tokenizer(add_bos);
  std::optional<ChatTemplate> rendered;
  if (chat != nullptr) rendered.emplace(chat);
  return show(tokenize(prompt, {&tokenizer, rendered ? &*rendered : nullptr}));
}

TEST(Tokenize, KeepsPiecesInOrderAndJoinsKeptText) {
  const Prompt prompt =
      Prompt().keep("a").keep("b").compress("doc").memory(memory_of(2)).context("more").keep("?");
  EXPECT_EQ(tokenized(prompt), "ab|!doc|#2|?more|?");
}

TEST(Tokenize, PutsBosBeforeTextButNotBeforeAMemory) {
  EXPECT_EQ(tokenized(Prompt().keep("a"), true), "<b>|a");
  EXPECT_EQ(tokenized(Prompt().memory(memory_of(2)).keep("a"), true), "#2|a");
}

TEST(Tokenize, TextFromUsersNeverBecomesASpecialToken) {
  const ByteTokenizer tokenizer;
  const auto parts = tokenize(Prompt().keep("<b>").special("<b>"), {&tokenizer, nullptr});
  EXPECT_EQ(parts[0].tokens, (std::vector<TokenId>{'<', 'b', '>', 256}));
}

constexpr const char* kChat =
    "{% for m in messages %}<b>{{ m.role }}:{{ m.content | trim }};{% endfor %}answer:";

TEST(Tokenize, RendersTheChatTemplateAroundPieces) {
  const Prompt prompt =
      Prompt().turn("user").keep("  hi ").memory(memory_of(3)).compress("doc").keep(" q ");
  EXPECT_EQ(tokenized(prompt, false, kChat), "<b>user:hi |#3|!doc| q;answer:");
}

TEST(Tokenize, UserTextInAChatNeverBecomesASpecialToken) {
  const ByteTokenizer tokenizer;
  const ChatTemplate chat(kChat);
  const auto parts = tokenize(Prompt().turn("user").keep("<b>"), {&tokenizer, &chat});
  EXPECT_EQ(std::count(parts[0].tokens.begin(), parts[0].tokens.end(), 256), 1);
}

TEST(Tokenize, RefusesATemplateThatLosesAMemory) {
  expect_error(ErrorKind::kInvalidArgument, "0 times", [] {
    tokenized(Prompt().turn("user").memory(memory_of(1)), false, "fixed text");
  });
}

TEST(Tokenize, RefusesEmptyAndMixedPrompts) {
  expect_error(ErrorKind::kInvalidArgument, "empty", [] { tokenized(Prompt()); });
  expect_error(ErrorKind::kInvalidArgument, "empty", [] { tokenized(Prompt().keep("")); });
  expect_error(
      ErrorKind::kInvalidArgument, "empty", [] { tokenized(Prompt().compress("").keep("x")); });
  expect_error(
      ErrorKind::kInvalidArgument, "template", [] { tokenized(Prompt().turn("user").keep("x")); });
  expect_error(ErrorKind::kInvalidArgument, "turn", [] {
    tokenized(Prompt().keep("x").turn("user"), false, kChat);
  });
  expect_error(ErrorKind::kInvalidArgument, "role", [] {
    tokenized(Prompt().turn("robot").keep("x"), false, kChat);
  });
  expect_error(ErrorKind::kInvalidArgument, "without a role", [] {
    tokenized(Prompt().keep("a").turn("").keep("b"), false, kChat);
  });
}

PromptPart part(const std::string& text, Treatment treatment) {
  return {ByteTokenizer().encode(text), treatment, std::nullopt};
}

// "ab" kept, ten tokens of context, "yz" kept; a memory takes a quarter of its text.
std::string fitted(Overflow policy, int64_t limit, bool with_compressor = true) {
  OverflowRules rules{policy, limit, {}};
  if (with_compressor) rules.memory_size = [](int64_t n) { return std::max<int64_t>(1, n / 4); };
  return show(fit({part("ab", Treatment::kKeep),
                   part("0123456789", Treatment::kContext),
                   part("yz", Treatment::kKeep)},
                  rules));
}

TEST(Overflow, LeavesAPromptThatFitsAlone) {
  for (const Overflow policy :
       {Overflow::kRefuse, Overflow::kTruncate, Overflow::kCompressFormer}) {
    EXPECT_EQ(fitted(policy, 14), "ab|?0123456789|yz");
  }
}

TEST(Overflow, RefusesWhereToldTo) {
  expect_error(ErrorKind::kInvalidArgument, "14 rows are over the limit of 13", [] {
    fitted(Overflow::kRefuse, 13);
  });
}

TEST(Overflow, DropsAsLittleAsNeededOfTheOldest) {
  EXPECT_EQ(fitted(Overflow::kTruncate, 11, false), "ab|?3456789|yz");
  EXPECT_EQ(fitted(Overflow::kTruncate, 4, false), "ab|yz");
}

TEST(Overflow, CompressesAsLittleAsNeeded) {
  EXPECT_EQ(fitted(Overflow::kCompressFormer, 11), "ab|!0123|?456789|yz");
  EXPECT_EQ(fitted(Overflow::kCompressLatter, 11), "ab|?012345|!6789|yz");
  EXPECT_EQ(fitted(Overflow::kCompressAll, 13), "ab|!0123456789|yz");
}

TEST(Overflow, SaysWhenNothingHelps) {
  expect_error(ErrorKind::kInvalidArgument, "over the limit of 5", [] {
    fitted(Overflow::kCompressFormer, 5);
  });
  expect_error(
      ErrorKind::kInvalidArgument, "over the limit of 3", [] { fitted(Overflow::kTruncate, 3); });
  expect_error(ErrorKind::kInvalidArgument, "without a compressor", [] {
    fitted(Overflow::kCompressAll, 5, false);
  });
}

TEST(Overflow, CountsWhatIsCompressedAnyway) {
  const OverflowRules rules{Overflow::kRefuse, 5, [](int64_t n) { return n / 2; }};
  EXPECT_EQ(show(fit({part("abcdef", Treatment::kCompress), part("yz", Treatment::kKeep)}, rules)),
            "!abcdef|yz");
}

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

  // Of a text that stands first.
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

  static PromptPart ids(std::vector<TokenId> tokens) {
    return {std::move(tokens), Treatment::kKeep, std::nullopt};
  }
  static PromptPart memory(MemoryTensors tensors) {
    return {{},
            Treatment::kKeep,
            Memory(std::make_shared<MemoryContents>(MemoryContents{std::move(tensors), {}}))};
  }

  c10::NoGradGuard no_grad;
  std::unique_ptr<Decoder> decoder;
};

TEST_F(Splice, AMemoryOfTheEmbeddingsThemselvesReadsLikeTheText) {
  const auto plain = splice(std::vector{ids({10, 11, 12, 13, 14})}, *decoder);
  const auto passed =
      splice(std::vector{ids({10}), memory(SoftTokens{rows({11, 12, 13})}), ids({14})}, *decoder);
  EXPECT_TRUE(at::equal(plain.positions, at::arange(5)));
  EXPECT_TRUE(at::equal(passed.positions, at::arange(5)));
  EXPECT_TRUE(at::equal(answer(plain), answer(passed)));
}

TEST_F(Splice, MemoriesStandAmongTokensInTheirOrder) {
  const auto spliced = splice(std::vector{memory(SoftTokens{rows({10, 11})}),
                                          memory(SoftTokens{rows({12})}),
                                          ids({13, 14}),
                                          memory(SoftTokens{rows({15, 16, 17})}),
                                          ids({18})},
                              *decoder);
  EXPECT_TRUE(at::equal(spliced.embeddings, rows({10, 11, 12, 13, 14, 15, 16, 17, 18})));
}

TEST_F(Splice, ACachedMemoryOfTheTextReadsLikeTheText) {
  const CachedTokens cached = states_of({10, 11, 12});
  const auto prompt = splice(std::vector{memory(cached), ids({13, 14})}, *decoder);
  EXPECT_TRUE(at::equal(prompt.positions, at::tensor({3, 4}, at::kLong)));
  EXPECT_TRUE(at::allclose(answer(prompt),
                           answer(splice(std::vector{ids({10, 11, 12, 13, 14})}, *decoder)),
                           1e-4,
                           1e-5));
}

// Made as if nothing stood before them, they are moved to where they stand.
TEST_F(Splice, CachedMemoriesStandBehindTextAndEachOther) {
  const CachedTokens first = states_of({10, 11, 12}), second = states_of({13, 14});
  const auto prompt = splice(
      std::vector{ids({7, 8}), ids({9}), memory(first), memory(second), ids({15, 16})}, *decoder);
  EXPECT_EQ(prompt.prefix->tokens(), (std::vector<TokenId>{7, 8, 9}));
  EXPECT_TRUE(at::equal(prompt.positions, at::tensor({8, 9}, at::kLong)));
  EXPECT_EQ(prompt.num_rows(), 10);
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
  const std::vector parts{ids({10, 11}), memory(SoftTokens{rows({12})}), ids({13})};
  const auto shared = splice(parts, *decoder, prefix);
  EXPECT_EQ(shared.embeddings.size(0), 2);
  EXPECT_EQ(shared.num_rows(), 4);
  EXPECT_TRUE(at::allclose(answer(shared), answer(splice(parts, *decoder)), 1e-4, 1e-5));
}

TEST_F(Splice, RefusesACachedMemoryBehindOthersAndForeignRows) {
  const auto refuse = [&](const std::vector<PromptPart>& parts) {
    expect_error(ErrorKind::kInvalidArgument, "no cached memory can stand", [&] {
      splice(parts, *decoder);
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

}  // namespace
}  // namespace precis
