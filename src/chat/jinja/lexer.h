// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

// Source text -> tokens.
namespace precis::jinja {

enum class TokenKind {
  kData,  // text between the tags, after white space control
  kOutputBegin,
  kOutputEnd,
  kBlockBegin,
  kBlockEnd,
  kName,
  kString,  // escapes resolved
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

// Splits a template into tokens, with trim_blocks and lstrip_blocks and without
// keep_trailing_newline. The last token is kEnd. Throws kInvalidArgument, naming the line.
std::vector<Token> tokenize(std::string_view source);

[[noreturn]] void fail_at(int line, const std::string& message);
[[noreturn]] void fail_unsupported(int line, const std::string& construct);

// A cursor over tokens; the last token, kEnd, is never passed. It also counts the depth of the
// parser's recursion.
class TokenStream {
 public:
  explicit TokenStream(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

  const Token& current() const { return tokens_[at_]; }
  const Token& next() const { return tokens_[at_ + 1 < tokens_.size() ? at_ + 1 : at_]; }
  int line() const { return current().line; }

  bool at(TokenKind kind) const { return current().kind == kind; }
  bool at_operator(std::string_view text) const {
    return is(current(), TokenKind::kOperator, text);
  }
  bool at_name(std::string_view text) const { return is(current(), TokenKind::kName, text); }
  static bool is(const Token& token, TokenKind kind, std::string_view text) {
    return token.kind == kind && token.text == text;
  }

  Token take() {
    Token token = current();
    if (at_ + 1 < tokens_.size()) ++at_;
    return token;
  }
  bool skip_operator(std::string_view text) { return skip_if(at_operator(text)); }
  bool skip_name(std::string_view text) { return skip_if(at_name(text)); }

  Token expect(TokenKind kind, std::string_view what) {
    if (!at(kind)) fail_here(what);
    return take();
  }
  void expect_operator(std::string_view text) {
    if (!skip_operator(text)) fail_here("'" + std::string(text) + "'");
  }
  void expect_name(std::string_view text) {
    if (!skip_name(text)) fail_here("'" + std::string(text) + "'");
  }

  [[noreturn]] void fail_here(std::string_view expected) const {
    constexpr size_t kMaxShown = 40;
    const std::string found = at(TokenKind::kEnd) ? "the end of the template"
                              : current().text.empty() || at(TokenKind::kData)
                                  ? "the end of the tag"
                                  : "'" + current().text.substr(0, kMaxShown) + "'";
    fail_at(line(), "expected " + std::string(expected) + ", found " + found);
  }

 private:
  friend class ParserNesting;

  bool skip_if(bool condition) {
    if (condition) take();
    return condition;
  }

  std::vector<Token> tokens_;
  size_t at_ = 0;
  int nesting_ = 0;
};

// One level of the parser's recursion while it lives.
class ParserNesting {
 public:
  explicit ParserNesting(TokenStream& tokens) : tokens_(tokens) {
    constexpr int kMaxNesting = 200;
    if (tokens.nesting_ >= kMaxNesting) {
      fail_at(tokens.line(), "nested deeper than " + std::to_string(kMaxNesting) + " levels");
    }
    ++tokens_.nesting_;
  }
  ~ParserNesting() { --tokens_.nesting_; }
  ParserNesting(const ParserNesting&) = delete;
  ParserNesting& operator=(const ParserNesting&) = delete;

 private:
  TokenStream& tokens_;
};

}  // namespace precis::jinja
