// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "chat/jinja/ast.h"
#include "chat/jinja/lexer.h"

// Tokens -> expressions.
namespace precis::jinja {

// Parses expressions by recursive descent, one function for each level of precedence.
class ExpressionParser {
 public:
  explicit ExpressionParser(TokenStream& tokens) : tokens_(tokens) {}

  Expression parse_expression();     // with an inline if
  Expression parse_unconditional();  // without
  // Expressions with commas between them make a tuple, as in {% set x = 1, 2 %}.
  Expression parse_tuple(bool with_conditional = true);
  std::vector<Link> parse_filters();            // zero or more of "| a(b)"
  void parse_filter(std::vector<Link>& links);  // "a(b)"

  // Filters and tests that Precis does not have. As in Jinja, they are refused at once, except
  // under a condition (an inline if or an if block), where they fail when they are evaluated.
  struct Unknown {
    int line;
    std::string what;
  };
  const std::vector<Unknown>& unknown() const { return unknown_; }
  void forget_unknown_after(size_t count) { unknown_.resize(count); }

 private:
  using Operand = Expression (ExpressionParser::*)();
  using Operators = std::initializer_list<std::pair<std::string_view, Arithmetic>>;

  Expression parse_or() { return parse_logic("or", &ExpressionParser::parse_and); }
  Expression parse_and() { return parse_logic("and", &ExpressionParser::parse_not); }
  Expression parse_logic(std::string_view name, Operand operand);
  Expression parse_not();
  Expression parse_comparison();
  bool take_relation(Relation& relation);
  Expression parse_sum();
  Expression parse_concatenation();
  Expression parse_product();
  Expression parse_power();
  Expression parse_calculation(Operand operand, Operators operators);
  bool take_operator(Operators operators, Arithmetic& found);
  Expression parse_operand() { return parse_unary(true); }
  Expression parse_unary(bool with_filters);
  Expression parse_primary();
  Expression parse_parentheses();
  Expression parse_name();
  Expression parse_number();
  Expression parse_string();
  Expression parse_list();
  Expression parse_dict();
  Expression finish_tuple(int line, std::vector<Expression> items, bool is_tuple);
  bool at_tuple_end() const;

  void parse_links(std::vector<Link>& links);
  void parse_filters_and_tests(std::vector<Link>& links);
  Link parse_attribute();
  Link parse_subscript();
  ExpressionPtr parse_slice_bound();
  Link parse_call();
  Link parse_test();
  CallArguments parse_test_arguments();
  std::string parse_dotted_name();
  CallArguments parse_arguments();
  void parse_argument(CallArguments& arguments);

  TokenStream& tokens_;
  std::vector<Unknown> unknown_;
};

}  // namespace precis::jinja
