// SPDX-License-Identifier: Apache-2.0
#include "prompt/tokenize.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "prompt_fixture.h"
#include "support/expect_error.h"

namespace precis {
namespace {

Memory memory_of(int64_t size) {
  return std::get<Memory>(memory_item(SoftTokens{at::ones({size, 4})}));
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

TEST(Tokenize, ReadsIdsAndEmbeddingsAsTheyAre) {
  const Prompt prompt =
      Prompt().add(make_embeddings(at::ones({3, 4}))).ids({'a', 'b'}).keep("c").ids({}).keep("d");
  EXPECT_EQ(tokenized(prompt, true), "@3|ab|c|d");
}

// The compressor adds BOS to such a text itself, if it needs one.
TEST(Tokenize, PutsNoBosBeforeTextThatBecomesACachedMemory) {
  const ByteTokenizer tokenizer(/*add_bos=*/true);
  const auto shown = [&](const Prompt& prompt, bool cached_memories) {
    PromptTokenizer with{&tokenizer};
    with.cached_memories = cached_memories;
    return show(tokenize(prompt, with));
  };
  EXPECT_EQ(shown(Prompt().compress("a"), false), "<b>|!a");
  EXPECT_EQ(shown(Prompt().compress("a"), true), "!a");
  EXPECT_EQ(shown(Prompt().context("a"), true), "<b>|?a");
  EXPECT_EQ(shown(Prompt().keep("a").compress("b"), true), "<b>|a|!b");
}

TEST(Tokenize, TextFromUsersNeverBecomesASpecialToken) {
  const ByteTokenizer tokenizer;
  const auto items = tokenize(Prompt().keep("<b>").special("<b>"), {&tokenizer, nullptr});
  EXPECT_EQ(tokens_of(items[0])->ids, (std::vector<TokenId>{'<', 'b', '>', 256}));
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
  const auto items = tokenize(Prompt().turn("user").keep("<b>"), {&tokenizer, &chat});
  EXPECT_EQ(std::count(tokens_of(items[0])->ids.begin(), tokens_of(items[0])->ids.end(), 256), 1);
}

TEST(Tokenize, TheChatTemplateReadsFieldsToolsAndVariables) {
  const char* chat =
      "{{ tools[0].name }},{{ mode }};{% for m in messages %}{{ m.role }}({{ m.id }}):{{ m.content "
      "}};{% endfor %}{% if add_generation_prompt %}answer:{% endif %}";
  Prompt prompt = Prompt().turn("tool", R"({"id": 7})").keep("a").memory(memory_of(2));
  ChatOptions options;
  options.tools = R"([{"name": "find"}])";
  options.variables = {{"mode", "\"short\""}};
  EXPECT_EQ(tokenized(prompt.chat_options(options), false, chat),
            "find,short;tool(7):a|#2|;answer:");
  options.add_generation_prompt = false;
  EXPECT_EQ(tokenized(prompt.chat_options(options), false, chat), "find,short;tool(7):a|#2|;");
}

TEST(Tokenize, ToolsAndFieldsOfACallerNeverBecomeSpecialTokens) {
  const ByteTokenizer tokenizer;
  const ChatTemplate chat("{{ tools[0].name }}{{ messages[0].id }}");
  ChatOptions options;
  options.tools = R"([{"name": "<b>"}])";
  const auto items = tokenize(Prompt().turn("user", R"({"id": "<b>"})").chat_options(options),
                              {&tokenizer, &chat});
  EXPECT_EQ(std::count(tokens_of(items[0])->ids.begin(), tokens_of(items[0])->ids.end(), 256), 0);
}

TEST(Tokenize, RefusesChatOptionsWithoutATurn) {
  ChatOptions options;
  options.variables = {{"mode", "1"}};
  expect_error(ErrorKind::kInvalidArgument, "no turn()", [&] {
    tokenized(Prompt().keep("a").chat_options(options));
  });
}

TEST(Tokenize, RefusesATemplateThatDropsAMemory) {
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

}  // namespace
}  // namespace precis
