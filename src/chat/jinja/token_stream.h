// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "chat/jinja/lexer.h"

namespace precis::jinja {

// Reads tokens one by one, and counts how deep the parser is. There is always a current token; the
// last one, kEnd, stays.
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

// One level of the parser's recursion, for as long as it lives.
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
