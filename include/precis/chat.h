// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

// The vocabulary of chats: messages, tools and variables, as transformers' apply_chat_template()
// and OpenAI's API have them.
namespace precis {

// One message of a chat.
struct ChatMessage {
  std::string role = {};     // "system", "user", "assistant" or "tool"
  std::string content = {};  // text; special tokens in it are plain text
  // A JSON object of further fields, or empty. Of an assistant: "tool_calls", a list of
  // {"type": "function", "function": {"name": ..., "arguments": {...}}}, each with an "id" where
  // the template wants one. Of a tool: "tool_call_id" and "name". Templates read "arguments" as an
  // object, not as text.
  std::string fields = {};
};

// What a chat template reads beside the messages.
struct ChatOptions {
  // A JSON list of tools: {"type": "function", "function": {"name", "description", "parameters"}}.
  // Empty: none.
  std::string tools = {};
  // Further variables of the template: name -> JSON value, e.g. {"enable_thinking", "false"}.
  std::map<std::string, std::string> variables = {};
  // Whether the prompt ends with the header of an assistant message, ready for the answer.
  bool add_generation_prompt = true;
};

// Reads a JSON array of messages: objects with a "role", a "content" and further fields. A
// "content" is a string, an array of {"type": "text", "text": ...}, whose texts are joined by
// newlines, null, which stays among the fields, or absent. Throws kUnsupported for content of
// another type, kInvalidArgument for anything else, naming the message or the line and column.
std::vector<ChatMessage> parse_chat_messages(std::string_view json);

}  // namespace precis
