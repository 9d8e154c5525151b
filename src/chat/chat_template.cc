// SPDX-License-Identifier: Apache-2.0
#include "chat/chat_template.h"

#include <algorithm>
#include <cctype>
#include <iterator>
#include <utility>

#include "base/check.h"
#include "chat/jinja/evaluator.h"
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

Text join_content(Budget& budget, const std::vector<MarkedText>& content) {
  jinja::TextBuilder text(budget);
  for (const MarkedText& run : content) text.add(run.text, run.source);
  return text.take();
}

// The entries of a JSON object; none for an empty text.
jinja::Dict read_object(Budget& budget, const std::string& json, std::string_view what) {
  if (json.empty()) return {};
  const Value value = jinja::read_json(budget, json, what, MarkedText::kContext);
  const auto* dict = value.object<jinja::Dict>();
  PRECIS_CHECK(dict, kInvalidArgument, what, ": not a JSON object");
  return *dict;
}

Value make_message(Budget& budget, const MarkedMessage& message) {
  const int role_source = is_word(message.role) ? MarkedText::kTemplate : MarkedText::kContext;
  const jinja::Dict fields = read_object(budget, message.fields, "chat message: fields");
  jinja::Dict dict;
  dict.set(budget, Text("role"), Text(message.role, role_source));
  dict.set(budget, Text("content"), join_content(budget, message.content));
  for (const auto& [name, value] : fields.entries()) {
    const std::string_view key = name.as<Text>()->bytes();
    const bool is_taken = key == "role" || (key == "content" && !message.content.empty());
    PRECIS_CHECK(!is_taken, kInvalidArgument, "chat message: the fields repeat the ", key);
    dict.set(budget, name, value);
  }
  return make_dict(budget, std::move(dict));
}

Value make_messages(Budget& budget, std::span<const MarkedMessage> messages) {
  std::vector<Value> values;
  for (const MarkedMessage& message : messages) values.push_back(make_message(budget, message));
  return make_sequence(budget, jinja::SequenceKind::kList, std::move(values));
}

Value make_tools(Budget& budget, const std::string& json) {
  if (json.empty()) return None();
  const Value tools = jinja::read_json(budget, json, "chat template: tools", MarkedText::kContext);
  PRECIS_CHECK(
      tools.is<jinja::SequencePtr>(), kInvalidArgument, "chat template: tools: not a JSON array");
  return tools;
}

Value make_variable(Budget& budget, const std::string& name, const std::string& json) {
  constexpr std::string_view kReserved[] = {
      "messages", "tools", "add_generation_prompt", "bos_token", "eos_token"};
  const bool is_reserved =
      std::find(std::begin(kReserved), std::end(kReserved), name) != std::end(kReserved);
  PRECIS_CHECK(!is_reserved,
               kInvalidArgument,
               "chat template: the variable ",
               name,
               " is reserved: it is set from the chat itself");
  return jinja::read_json(
      budget, json, "chat template: the variable " + jinja::shorten(name), MarkedText::kContext);
}

jinja::Variables make_variables(Budget& budget,
                                std::span<const MarkedMessage> messages,
                                const ChatTemplateContext& context) {
  jinja::Variables variables;
  for (const auto& [name, json] : context.options.variables) {
    variables.emplace(name, make_variable(budget, name, json));
  }
  variables.emplace("messages", make_messages(budget, messages));
  variables.emplace("tools", make_tools(budget, context.options.tools));
  variables.emplace("documents", None());  // unless given; as transformers does
  variables.emplace("add_generation_prompt", context.options.add_generation_prompt);
  variables.emplace("bos_token", Text(context.bos_token));
  variables.emplace("eos_token", Text(context.eos_token));
  return variables;
}

std::vector<MarkedText> split_by_origin(const Text& text) {
  std::vector<MarkedText> marked;
  size_t begin = 0;
  for (const jinja::Run& run : text.runs()) {
    marked.push_back({std::string(text.bytes().substr(begin, run.end - begin)), run.source});
    begin = run.end;
  }
  return marked;
}

}  // namespace

ChatTemplate::ChatTemplate(std::string_view source)
    : program_(std::make_unique<const Program>(Program{jinja::parse_template(source)})) {}
ChatTemplate::~ChatTemplate() = default;
ChatTemplate::ChatTemplate(ChatTemplate&&) noexcept = default;
ChatTemplate& ChatTemplate::operator=(ChatTemplate&&) noexcept = default;

std::vector<MarkedText> ChatTemplate::render(std::span<const MarkedMessage> messages,
                                             const ChatTemplateContext& context) const {
  const auto clock = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
  jinja::Environment environment{{}, context.now.value_or(clock), {}};
  jinja::Variables variables = make_variables(environment.budget, messages, context);
  return split_by_origin(jinja::interpret(program_->body, environment, std::move(variables)));
}

}  // namespace precis
