// SPDX-License-Identifier: Apache-2.0
#include <utility>

#include "base/check.h"
#include "chat/chat_template.h"
#include "chat/jinja/json.h"
#include "precis/chat.h"

namespace precis {
namespace {

using jinja::Budget;
using jinja::Dict;
using jinja::None;
using jinja::Sequence;
using jinja::Text;
using jinja::Value;

// Reads one message; `where_` names it in errors.
class MessageReader {
 public:
  MessageReader(Budget& budget, size_t index)
      : budget_(budget), where_(concat("chat: messages[", index, "]")) {}

  ChatMessage read(const Value& value) {
    const auto* object = value.object<Dict>();
    PRECIS_CHECK(object, kInvalidArgument, where_, ": not a JSON object");
    Dict fields;
    for (const auto& [name, field] : object->entries()) {
      const std::string_view key = name.as<Text>()->bytes();
      if (key == "role") {
        message_.role = text_of(field, "role");
      } else if (key == "content" && !field.is<None>()) {
        message_.content = content_of(field);
      } else {
        fields.set(budget_, name, field);
      }
    }
    PRECIS_CHECK(!message_.role.empty(), kInvalidArgument, where_, ": it has no role");
    if (!fields.entries().empty()) message_.fields = to_json(std::move(fields));
    return std::move(message_);
  }

 private:
  std::string text_of(const Value& value, std::string_view name) const {
    const auto* text = value.as<Text>();
    PRECIS_CHECK(text, kInvalidArgument, where_, ": ", name, ": not a string");
    return std::string(text->bytes());
  }

  std::string content_of(const Value& value) {
    const auto* chunks = value.object<Sequence>();
    if (!chunks) return text_of(value, "content");
    std::string content;
    for (const Value& chunk : chunks->items) {
      if (&chunk != &chunks->items.front()) content += '\n';
      content += text_of_chunk(chunk);
    }
    return content;
  }

  // {"type": "text", "text": ...}
  std::string text_of_chunk(const Value& chunk) {
    const auto* object = chunk.object<Dict>();
    const Value* type = object ? object->find(budget_, std::string_view("type")) : nullptr;
    PRECIS_CHECK(type, kInvalidArgument, where_, ": content: an item without a type");
    const std::string name = text_of(*type, "content: type");
    PRECIS_CHECK(name == "text",
                 kUnsupported,
                 where_,
                 ": content of type \"",
                 jinja::shorten(name),
                 "\" (known: text)");
    const Value* text = object->find(budget_, std::string_view("text"));
    PRECIS_CHECK(text, kInvalidArgument, where_, ": content: an item without a text");
    return text_of(*text, "content: text");
  }

  std::string to_json(Dict fields) {
    const Value object = make_dict(budget_, std::move(fields));
    return std::string(jinja::write_json(budget_, object, {}).bytes());
  }

  Budget& budget_;
  std::string where_;
  ChatMessage message_;
};

}  // namespace

// By the template's own reader of JSON: it keeps the order of keys, which templates show to models,
// and it is limited.
std::vector<ChatMessage> parse_chat_messages(std::string_view json) {
  Budget budget;
  const Value value = jinja::read_json(budget, json, "chat: messages", MarkedText::kContext);
  const auto* list = value.object<Sequence>();
  PRECIS_CHECK(list, kInvalidArgument, "chat: messages: not a JSON array");
  std::vector<ChatMessage> messages;
  for (const Value& message : list->items) {
    messages.push_back(MessageReader(budget, messages.size()).read(message));
  }
  return messages;
}

}  // namespace precis
