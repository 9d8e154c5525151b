// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace precis {

// Text that remembers where it came from: the template itself, the caller's input number `source`,
// or the rest of what the caller passed (tools, fields, variables).
struct MarkedText {
  static constexpr int kTemplate = -1;
  static constexpr int kContext = -2;

  std::string text;
  int source = kTemplate;
};

struct ChatMessage {
  // "system", "user", "assistant", ... A word of letters, digits, '_' and '-' counts as the
  // template's own text, because templates build special tokens from it; any other is kContext.
  std::string role;
  std::vector<MarkedText> content;  // read by the template as one string
  // A JSON object of further fields (tool_calls, name), or empty. May hold a "content" that is no
  // string (null, a list of parts) if `content` is empty.
  std::string fields_json;
};

struct ChatTemplateContext {
  bool add_generation_prompt = true;
  std::string bos_token;
  std::string eos_token;
  std::string tools_json;      // a JSON array of tools, or empty
  std::string variables_json;  // a JSON object of further variables (enable_thinking), or empty
  std::optional<std::chrono::sys_seconds> now;  // for strftime_now, in UTC; the clock if absent
};

// A model's Jinja chat template. Rendering keeps the origin of every byte, so that text from users
// can be kept from becoming special tokens; only numbers have none, so that digits which a template
// makes of a user's text are the template's. The Jinja subset: output, if/elif/else, for (with if,
// else, loop.*, break and continue), set (namespaces and block form too), with, macros, filters,
// tests, slices, comparisons, arithmetic, white space control (trim_blocks and lstrip_blocks as
// transformers sets them). Templates are hostile: nesting, steps, memory and output are limited.
// One template may render on several threads at once.
class ChatTemplate {
 public:
  // Throws kUnsupported with the line for a construct outside the subset, kInvalidArgument for a
  // syntax error.
  explicit ChatTemplate(std::string_view source);
  ~ChatTemplate();
  ChatTemplate(ChatTemplate&&) noexcept;
  ChatTemplate& operator=(ChatTemplate&&) noexcept;

  // Neighbouring parts of one origin are merged. Throws kInvalidArgument if the template itself
  // refuses the messages (raise_exception) or an operation fails.
  std::vector<MarkedText> render(std::span<const ChatMessage> messages,
                                 const ChatTemplateContext& context) const;

 private:
  struct Program;
  std::unique_ptr<const Program> program_;
};

}  // namespace precis
