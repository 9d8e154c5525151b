// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "chat/chat_template.h"
#include "precis/error.h"

// The reference is jinja2; see golden/make_chat_template_golden.py.
namespace precis {
namespace {

using Json = nlohmann::ordered_json;

std::string read(const std::string& name) {
  std::ifstream file(std::string(PRECIS_TEST_GOLDEN_DIR) + "/chat_templates/" + name);
  EXPECT_TRUE(file) << name;
  return {std::istreambuf_iterator<char>(file), {}};
}

MarkedMessage make_message(const Json& json, int source) {
  MarkedMessage message{json.at("role"), {}, ""};
  Json fields = Json::object();
  for (const auto& [name, value] : json.items()) {
    if (name == "content" && value.is_string()) {
      message.content.push_back({value, source});
    } else if (name != "role") {
      fields[name] = value;
    }
  }
  if (!fields.empty()) message.fields = fields.dump();
  return message;
}

std::vector<MarkedMessage> make_messages(const Json& json) {
  std::vector<MarkedMessage> messages;
  for (const Json& message : json) {
    messages.push_back(make_message(message, static_cast<int>(messages.size())));
  }
  return messages;
}

ChatTemplateContext make_context(const Json& conversation, const Json& now) {
  ChatTemplateContext context;
  context.bos_token = "<s>";
  context.eos_token = "</s>";
  context.now = std::chrono::sys_seconds(std::chrono::seconds(now.get<int64_t>()));
  context.options.add_generation_prompt = conversation.value("add_generation_prompt", true);
  if (conversation.contains("tools")) context.options.tools = conversation.at("tools").dump();
  if (conversation.contains("variables")) {
    for (const auto& [name, value] : conversation.at("variables").items()) {
      context.options.variables[name] = value.dump();
    }
  }
  return context;
}

// std::nullopt if an Error is thrown.
std::optional<std::vector<MarkedText>> render(const std::string& source,
                                              const std::vector<MarkedMessage>& messages,
                                              const ChatTemplateContext& context) {
  try {
    return ChatTemplate(source).render(messages, context);
  } catch (const Error&) {
    return std::nullopt;
  }
}

std::string join(const std::vector<MarkedText>& parts) {
  std::string text;
  for (const MarkedText& part : parts) text += part.text;
  return text;
}

void expect_rendered(const std::optional<std::vector<MarkedText>>& rendered, const Json& expected) {
  ASSERT_EQ(rendered.has_value(), expected.contains("text")) << expected.dump();
  if (!rendered) return;
  EXPECT_EQ(join(*rendered), expected.at("text").get<std::string>());
}

TEST(ChatTemplateGolden, TemplatesRenderAsJinjaDoes) {
  const Json golden = Json::parse(read("rendered.json"));
  for (const Json& expected : golden.at("rendered")) {
    SCOPED_TRACE(expected.at("template").get<std::string>() + " with " +
                 expected.at("conversation").get<std::string>());
    const Json& conversation = golden.at("conversations").at(expected.at("conversation"));
    expect_rendered(render(read(expected.at("template")),
                           make_messages(conversation.at("messages")),
                           make_context(conversation, golden.at("now"))),
                    expected);
  }
}

TEST(ChatTemplateGolden, SnippetsRenderAsJinjaDoes) {
  const Json golden = Json::parse(read("snippets.json"));
  const ChatTemplateContext context = make_context(golden, golden.at("now"));
  for (const Json& expected : golden.at("snippets")) {
    SCOPED_TRACE(expected.at("source").get<std::string>());
    expect_rendered(render(expected.at("source"), {}, context), expected);
  }
}

// A message that looks like a special token is never marked as the template's own text, wherever
// the template puts it.
TEST(ChatTemplateGolden, LookAlikesOfSpecialTokensNeverBecomeTheTemplates) {
  const Json golden = Json::parse(read("rendered.json"));
  const std::string kLookAlike = "<|special|>";
  for (const Json& expected : golden.at("rendered")) {
    const Json& conversation = golden.at("conversations").at(expected.at("conversation"));
    auto messages = make_messages(conversation.at("messages"));
    for (MarkedMessage& message : messages) {
      for (MarkedText& part : message.content) part.text += kLookAlike;
    }
    const auto rendered = render(
        read(expected.at("template")), messages, make_context(conversation, golden.at("now")));
    for (const MarkedText& part : rendered.value_or(std::vector<MarkedText>())) {
      if (part.source != MarkedText::kTemplate) continue;
      EXPECT_EQ(part.text.find("special"), std::string::npos) << expected.at("template");
    }
  }
}

}  // namespace
}  // namespace precis
