// SPDX-License-Identifier: Apache-2.0
#include "chat/chat_template.h"

#include <algorithm>
#include <cctype>
#include <utility>

#include "base/check.h"
#include "chat/jinja/interpreter.h"
#include "chat/jinja/json.h"
#include "chat/jinja/parser.h"

namespace precis {

using jinja::Budget;
using jinja::None;
using jinja::Text;
using jinja::Value;

struct ChatTemplate::Program {
  jinja::Body body;
};

namespace {

bool is_word(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return std::isalnum(c) || c == '_' || c == '-';
  });
}

Text join_parts(Budget& budget, const std::vector<MarkedText>& parts) {
  jinja::TextBuilder text(budget);
  for (const MarkedText& part : parts) text.add(part.text, part.source);
  return text.take();
}

// What a JSON object holds; nothing for an empty text.
jinja::Dict read_object(Budget& budget, const std::string& json, std::string_view what) {
  if (json.empty()) return {};
  const Value value = jinja::read_json(budget, json, what, MarkedText::kContext);
  const auto* dict = value.object<jinja::Dict>();
  PRECIS_CHECK(dict, kInvalidArgument, what, ": not a JSON object");
  return *dict;
}

Value make_message(Budget& budget, const ChatMessage& message) {
  const int role_source = is_word(message.role) ? MarkedText::kTemplate : MarkedText::kContext;
  const jinja::Dict fields = read_object(budget, message.fields_json, "chat message: fields");
  jinja::Dict dict;
  dict.set(budget, Text("role"), Text(message.role, role_source));
  dict.set(budget, Text("content"), join_parts(budget, message.content));
  for (const auto& [name, value] : fields.entries()) {
    const std::string_view key = name.as<Text>()->bytes();
    const bool is_taken = key == "role" || (key == "content" && !message.content.empty());
    PRECIS_CHECK(!is_taken, kInvalidArgument, "chat message: the fields repeat the ", key);
    dict.set(budget, name, value);
  }
  return make_dict(budget, std::move(dict));
}

Value make_messages(Budget& budget, std::span<const ChatMessage> messages) {
  std::vector<Value> values;
  for (const ChatMessage& message : messages) values.push_back(make_message(budget, message));
  return make_sequence(budget, jinja::SequenceKind::kList, std::move(values));
}

Value make_tools(Budget& budget, const std::string& json) {
  if (json.empty()) return None();
  const Value tools = jinja::read_json(budget, json, "chat template: tools", MarkedText::kContext);
  PRECIS_CHECK(
      tools.is<jinja::SequencePtr>(), kInvalidArgument, "chat template: tools: not a JSON array");
  return tools;
}

jinja::Variables make_variables(Budget& budget,
                                std::span<const ChatMessage> messages,
                                const ChatTemplateContext& context) {
  jinja::Variables variables;
  const auto others = read_object(budget, context.variables_json, "chat template: variables");
  for (const auto& [name, value] : others.entries()) {
    variables.insert_or_assign(std::string(name.as<Text>()->bytes()), value);
  }
  variables.insert_or_assign("messages", make_messages(budget, messages));
  variables.insert_or_assign("tools", make_tools(budget, context.tools_json));
  variables.try_emplace("documents", None());  // as transformers does
  variables.insert_or_assign("add_generation_prompt", context.add_generation_prompt);
  variables.insert_or_assign("bos_token", Text(context.bos_token));
  variables.insert_or_assign("eos_token", Text(context.eos_token));
  return variables;
}

std::vector<MarkedText> take_apart(const Text& text) {
  std::vector<MarkedText> parts;
  size_t begin = 0;
  for (const jinja::Run& run : text.runs()) {
    parts.push_back({std::string(text.bytes().substr(begin, run.end - begin)), run.source});
    begin = run.end;
  }
  return parts;
}

}  // namespace

ChatTemplate::ChatTemplate(std::string_view source)
    : program_(std::make_unique<const Program>(Program{jinja::parse_template(source)})) {}
ChatTemplate::~ChatTemplate() = default;
ChatTemplate::ChatTemplate(ChatTemplate&&) noexcept = default;
ChatTemplate& ChatTemplate::operator=(ChatTemplate&&) noexcept = default;

std::vector<MarkedText> ChatTemplate::render(std::span<const ChatMessage> messages,
                                             const ChatTemplateContext& context) const {
  const auto clock = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
  jinja::Environment environment{{}, context.now.value_or(clock), {}};
  jinja::Variables variables = make_variables(environment.budget, messages, context);
  return take_apart(jinja::interpret(program_->body, environment, std::move(variables)));
}

}  // namespace precis
