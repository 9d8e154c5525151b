// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "chat/chat_template.h"
#include "precis/chat.h"
#include "precis/error.h"

// Messages, tools and variables as applications pass them.
namespace precis {
namespace {

using Json = nlohmann::ordered_json;

std::string read(const std::string& name) {
  std::ifstream file(std::string(PRECIS_TEST_GOLDEN_DIR) + "/chat_templates/" + name);
  EXPECT_TRUE(file) << name;
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string render(const std::string& source,
                   const std::vector<ChatMessage>& messages,
                   const ChatOptions& options = {}) {
  std::vector<MarkedMessage> marked;
  for (const ChatMessage& message : messages) {
    marked.push_back({message.role, {}, message.fields});
    if (!message.content.empty()) marked.back().content.push_back({message.content, 0});
  }
  std::string text;
  const ChatTemplateContext context{options, "<s>", "</s>", {}};
  for (const MarkedText& run : ChatTemplate(source).render(marked, context)) text += run.text;
  return text;
}

template <typename Call>
Error error_of(const Call& call) {
  try {
    call();
  } catch (const Error& error) {
    return error;
  }
  return Error(ErrorKind::kInternal, "no error");
}

void expect_refused(const std::string& json, ErrorKind kind, const std::string& message) {
  const Error error = error_of([&] { parse_chat_messages(json); });
  EXPECT_EQ(error.kind(), kind) << json;
  EXPECT_EQ(error.what(), message) << json;
}

void expect_refused(const ChatOptions& options, const std::string& message) {
  const Error error = error_of([&] { render("", {}, options); });
  EXPECT_EQ(error.kind(), ErrorKind::kInvalidArgument) << message;
  EXPECT_EQ(error.what(), message);
}

TEST(ChatMessages, AreReadInOrderWithTheirFields) {
  const auto messages = parse_chat_messages(R"([
      {"role": "user", "content": "a\n\"b\""},
      {"content": "", "role": "assistant", "tool_calls": [{"id": "x"}]},
      {"name": "f", "role": "tool", "tool_call_id": "x", "content": "c"}])");
  ASSERT_EQ(messages.size(), 3U);
  EXPECT_EQ(messages[0].role, "user");
  EXPECT_EQ(messages[0].content, "a\n\"b\"");
  EXPECT_EQ(messages[0].fields, "");
  EXPECT_EQ(messages[1].role, "assistant");
  EXPECT_EQ(messages[1].content, "");
  EXPECT_EQ(messages[1].fields, R"({"tool_calls": [{"id": "x"}]})");
  EXPECT_EQ(messages[2].fields, R"({"name": "f", "tool_call_id": "x"})");
  EXPECT_TRUE(parse_chat_messages("[]").empty());
}

// Models read the keys in the order in which the template writes them.
TEST(ChatMessages, FieldsKeepTheOrderOfTheirKeys) {
  const auto messages =
      parse_chat_messages(R"([{"role": "user", "z": {"y": 1, "a": 2.5}, "b": [true, null]}])");
  EXPECT_EQ(messages.at(0).fields, R"({"z": {"y": 1, "a": 2.5}, "b": [true, null]})");
}

TEST(ChatMessages, ContentMayBeMissingOrNullOrAListOfTexts) {
  const auto messages = parse_chat_messages(R"([
      {"role": "assistant"},
      {"role": "assistant", "content": null},
      {"role": "user", "content": [{"type": "text", "text": "a"}, {"text": "b", "type": "text"}]},
      {"role": "user", "content": []}])");
  ASSERT_EQ(messages.size(), 4U);
  EXPECT_EQ(messages[0].content, "");
  EXPECT_EQ(messages[0].fields, "");
  EXPECT_EQ(messages[1].content, "");
  EXPECT_EQ(messages[1].fields, R"({"content": null})");
  EXPECT_EQ(messages[2].content, "a\nb");
  EXPECT_EQ(messages[2].fields, "");
  EXPECT_EQ(messages[3].content, "");
  EXPECT_EQ(render("{{ messages[1].content is none }}", messages), "True");
}

TEST(ChatMessages, WhatIsNoListOfMessagesIsRefusedByName) {
  constexpr ErrorKind kInvalid = ErrorKind::kInvalidArgument;
  expect_refused("{}", kInvalid, "chat: messages: not a JSON array");
  expect_refused(R"([{"role": "user"}, "text"])", kInvalid, "chat: messages[1]: not a JSON object");
  expect_refused(R"([{"content": "a"}])", kInvalid, "chat: messages[0]: it has no role");
  expect_refused(R"([{"role": 1}])", kInvalid, "chat: messages[0]: role: not a string");
  expect_refused(
      R"([{"role": "user", "content": 1}])", kInvalid, "chat: messages[0]: content: not a string");
  expect_refused(R"([{"role": "user", "content": ["a"]}])",
                 kInvalid,
                 "chat: messages[0]: content: an item without a type");
  expect_refused(R"([{"role": "user", "content": [{"type": "text"}]}])",
                 kInvalid,
                 "chat: messages[0]: content: an item without a text");
  expect_refused(R"([{"role": "user", "content": [{"type": "image_url"}]}])",
                 ErrorKind::kUnsupported,
                 "chat: messages[0]: content of type \"image_url\" (known: text)");
}

TEST(ChatMessages, DamagedJsonIsRefusedWithItsPlace) {
  const Error error = error_of([] { parse_chat_messages("[\n {\"role\": }]"); });
  EXPECT_EQ(error.kind(), ErrorKind::kInvalidArgument);
  const std::string message = error.what();
  EXPECT_EQ(message.find("chat: messages: not JSON: line 2, column 11: "), 0U) << message;
  const std::string with_nul("[]\0[", 4);
  EXPECT_THROW(parse_chat_messages(with_nul), Error);
  EXPECT_THROW(parse_chat_messages(std::string(100'000, '[')), Error);
  EXPECT_THROW(parse_chat_messages(""), Error);
}

// The same text as from messages that jinja2 rendered; see golden/make_chat_template_golden.py.
TEST(ChatMessages, RenderAsInTransformers) {
  const Json golden = Json::parse(read("rendered.json"));
  size_t num_rendered = 0;
  for (const Json& expected : golden.at("rendered")) {
    if (expected.at("template") != "chatml_tools.jinja" || !expected.contains("text")) continue;
    const Json& conversation = golden.at("conversations").at(expected.at("conversation"));
    SCOPED_TRACE(expected.at("conversation").get<std::string>());
    ChatOptions options;
    if (conversation.contains("tools")) options.tools = conversation.at("tools").dump();
    options.add_generation_prompt = conversation.value("add_generation_prompt", true);
    const Json variables = conversation.value("variables", Json::object());
    for (const auto& [name, value] : variables.items()) options.variables[name] = value.dump();
    EXPECT_EQ(render(read("chatml_tools.jinja"),
                     parse_chat_messages(conversation.at("messages").dump()),
                     options),
              expected.at("text").get<std::string>());
    ++num_rendered;
  }
  EXPECT_GT(num_rendered, 10U);
}

TEST(ChatOptions, VariablesAreJsonValues) {
  ChatOptions options;
  options.variables = {{"t", "true"}, {"n", "[1, {\"k\": null}]"}, {"s", "\"x\""}};
  EXPECT_EQ(
      render("{{ t is true }} {{ n[1].k is none }} {{ s }} {{ other is defined }}", {}, options),
      "True True x False");
}

TEST(ChatOptions, TheGenerationPromptIsAskedForUnlessTurnedOff) {
  EXPECT_EQ(render("{{ add_generation_prompt }}", {}), "True");
  EXPECT_EQ(render("{{ add_generation_prompt }}", {}, {.add_generation_prompt = false}), "False");
}

TEST(ChatOptions, WhatIsNotTheExpectedJsonIsRefusedByName) {
  expect_refused({.tools = "{}"}, "chat template: tools: not a JSON array");
  const Error error = error_of([] { render("", {}, {.variables = {{"thinking", "False"}}}); });
  const std::string message = error.what();
  EXPECT_EQ(error.kind(), ErrorKind::kInvalidArgument);
  EXPECT_EQ(message.find("chat template: the variable thinking: not JSON: line 1, column 1: "), 0U)
      << message;
}

TEST(ChatOptions, VariablesCannotReplaceTheChatItself) {
  for (const std::string name :
       {"messages", "tools", "add_generation_prompt", "bos_token", "eos_token"}) {
    expect_refused(
        {.variables = {{name, "[]"}}},
        "chat template: the variable " + name + " is reserved: it is set from the chat itself");
  }
}

}  // namespace
}  // namespace precis
