// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "precis/chat.h"

namespace precis {

// Text with its origin: the template itself, the caller's text number `source`, or anything else
// that the caller passed (tools, fields of messages, variables).
struct MarkedText {
  static constexpr int kTemplate = -1;
  static constexpr int kContext = -2;

  std::string text;
  int source = kTemplate;
};

// A ChatMessage whose content is marked with its origins.
struct MarkedMessage {
  // A word of letters, digits, '_' and '-' counts as the template's own text, because templates
  // build special tokens from it; any other role is kContext.
  std::string role;
  std::vector<MarkedText> content;  // the template reads one string
  // As ChatMessage::fields. May hold a "content" that is not a string (null, a list) if `content`
  // is empty.
  std::string fields;
};

struct ChatTemplateContext {
  ChatOptions options;
  std::string bos_token;
  std::string eos_token;
  std::optional<std::chrono::sys_seconds> now;  // for strftime_now, in UTC; absent: the clock
};

// A model's chat template, in the subset of Jinja that README.md describes. Rendering keeps the
// origin of every byte, so that text from users can be kept from becoming special tokens. Numbers
// have no origin: digits that a template computes from a user's text are the template's. Templates
// are untrusted: nesting, steps, memory and output are limited. One template may render on several
// threads at once.
class ChatTemplate {
 public:
  // Throws kUnsupported for a construct outside the subset, kInvalidArgument for a syntax error;
  // both name the line.
  explicit ChatTemplate(std::string_view source);
  ~ChatTemplate();
  ChatTemplate(ChatTemplate&&) noexcept;
  ChatTemplate& operator=(ChatTemplate&&) noexcept;

  // Returns the rendered text in runs of one origin; neighbouring runs differ in origin. Throws
  // kInvalidArgument for fields, tools and variables that are not the JSON that is expected, if
  // the template refuses the messages (raise_exception), and if an operation fails.
  std::vector<MarkedText> render(std::span<const MarkedMessage> messages,
                                 const ChatTemplateContext& context) const;

 private:
  struct Program;
  std::unique_ptr<const Program> program_;
};

}  // namespace precis
