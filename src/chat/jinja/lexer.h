// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace precis::jinja {

enum class TokenKind {
  kData,  // text between the tags, white space control applied
  kOutputBegin,
  kOutputEnd,
  kBlockBegin,
  kBlockEnd,
  kName,
  kString,  // unescaped
  kInteger,
  kFloat,
  kOperator,
  kEnd,
};

struct Token {
  TokenKind kind;
  std::string text;
  int line;
};

// Splits a template, with trim_blocks and lstrip_blocks, without keep_trailing_newline. The last
// token is kEnd. Throws kInvalidArgument with the line.
std::vector<Token> tokenize(std::string_view source);

// Python's escapes in a string literal (without its quotes).
std::string unescape(std::string_view literal, int line);

[[noreturn]] void fail_at(int line, const std::string& message);
[[noreturn]] void fail_unsupported(int line, const std::string& construct);

}  // namespace precis::jinja
