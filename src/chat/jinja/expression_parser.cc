// SPDX-License-Identifier: Apache-2.0
#include "chat/jinja/expression_parser.h"

#include <charconv>
#include <cmath>
#include <utility>

namespace precis::jinja {
namespace {

ExpressionPtr boxed(Expression expression) {
  return std::make_unique<Expression>(std::move(expression));
}

Value parse_integer(const Token& token) {
  int64_t number = 0;
  const char* end = token.text.data() + token.text.size();
  if (std::from_chars(token.text.data(), end, number).ec != std::errc()) {
    fail_unsupported(token.line, "the integer " + token.text.substr(0, 40));
  }
  return number;
}

// What no double holds is infinite or zero, as in Python.
Value parse_real(const Token& token) {
  double number = 0;
  const char* end = token.text.data() + token.text.size();
  const auto parsed = std::from_chars(token.text.data(), end, number);
  if (parsed.ec == std::errc()) return number;
  return token.text.find("e-") == std::string::npos ? HUGE_VAL : 0.0;
}

}  // namespace

Expression ExpressionParser::parse_expression() {
  const ParserNesting nesting(tokens_);
  const int line = tokens_.line();
  const size_t num_unknown = unknown_.size();
  Expression chosen = parse_unconditional();
  if (!tokens_.skip_name("if")) return chosen;
  Expression condition = parse_unconditional();
  ExpressionPtr otherwise = tokens_.skip_name("else") ? boxed(parse_expression()) : nullptr;
  if (tokens_.at_name("if")) fail_unsupported(line, "a second inline if without parentheses");
  forget_unknown_after(num_unknown);
  return {line,
          Conditional{boxed(std::move(condition)), boxed(std::move(chosen)), std::move(otherwise)}};
}

Expression ExpressionParser::parse_unconditional() {
  const ParserNesting nesting(tokens_);
  return parse_or();
}

Expression ExpressionParser::parse_logic(std::string_view name, Operand operand) {
  const int line = tokens_.line();
  std::vector<Expression> operands;
  do {
    operands.push_back((this->*operand)());
  } while (tokens_.skip_name(name));
  if (operands.size() == 1) return std::move(operands.front());
  return {line, Logic{name == "or", std::move(operands)}};
}

Expression ExpressionParser::parse_not() {
  const ParserNesting nesting(tokens_);
  const int line = tokens_.line();
  if (!tokens_.skip_name("not")) return parse_comparison();
  return {line, Unary{UnaryOperator::kNot, boxed(parse_not())}};
}

bool ExpressionParser::take_relation(Relation& relation) {
  static constexpr std::pair<std::string_view, Relation> kRelations[] = {
      {"==", Relation::kEqual},
      {"!=", Relation::kNotEqual},
      {"<", Relation::kLess},
      {"<=", Relation::kLessEqual},
      {">", Relation::kMore},
      {">=", Relation::kMoreEqual}};
  for (const auto& [text, known] : kRelations) {
    relation = known;
    if (tokens_.skip_operator(text)) return true;
  }
  relation = Relation::kIn;
  if (tokens_.skip_name("in")) return true;
  const bool negated =
      tokens_.at_name("not") && TokenStream::is(tokens_.next(), TokenKind::kName, "in");
  if (!negated) return false;
  relation = Relation::kNotIn;
  tokens_.take();
  tokens_.take();
  return true;
}

Expression ExpressionParser::parse_comparison() {
  const int line = tokens_.line();
  Comparison comparison;
  comparison.operands.push_back(parse_sum());
  Relation relation{};
  while (take_relation(relation)) {
    comparison.relations.push_back(relation);
    comparison.operands.push_back(parse_sum());
  }
  if (comparison.relations.empty()) return std::move(comparison.operands.front());
  return {line, std::move(comparison)};
}

bool ExpressionParser::take_operator(Operators operators, Arithmetic& found) {
  for (const auto& [text, operation] : operators) {
    found = operation;
    if (tokens_.skip_operator(text)) return true;
  }
  return false;
}

Expression ExpressionParser::parse_calculation(Operand operand, Operators operators) {
  const int line = tokens_.line();
  Calculation calculation;
  calculation.operands.push_back((this->*operand)());
  Arithmetic operation{};
  while (take_operator(operators, operation)) {
    calculation.operations.push_back(operation);
    calculation.operands.push_back((this->*operand)());
  }
  if (calculation.operations.empty()) return std::move(calculation.operands.front());
  return {line, std::move(calculation)};
}

Expression ExpressionParser::parse_sum() {
  return parse_calculation(&ExpressionParser::parse_concatenation,
                           {{"+", Arithmetic::kAdd}, {"-", Arithmetic::kSubtract}});
}

Expression ExpressionParser::parse_concatenation() {
  const int line = tokens_.line();
  Concatenation concatenation;
  do {
    concatenation.operands.push_back(parse_product());
  } while (tokens_.skip_operator("~"));
  if (concatenation.operands.size() == 1) return std::move(concatenation.operands.front());
  return {line, std::move(concatenation)};
}

Expression ExpressionParser::parse_product() {
  return parse_calculation(&ExpressionParser::parse_power,
                           {{"*", Arithmetic::kMultiply},
                            {"/", Arithmetic::kDivide},
                            {"//", Arithmetic::kFloorDivide},
                            {"%", Arithmetic::kModulo}});
}

Expression ExpressionParser::parse_power() {
  return parse_calculation(&ExpressionParser::parse_operand, {{"**", Arithmetic::kPower}});
}

Expression ExpressionParser::parse_unary(bool with_filters) {
  const ParserNesting nesting(tokens_);
  const int line = tokens_.line();
  Chain chain;
  if (tokens_.skip_operator("-")) {
    chain.base = boxed({line, Unary{UnaryOperator::kMinus, boxed(parse_unary(false))}});
  } else if (tokens_.skip_operator("+")) {
    chain.base = boxed({line, Unary{UnaryOperator::kPlus, boxed(parse_unary(false))}});
  } else {
    chain.base = boxed(parse_primary());
  }
  parse_links(chain.links);
  if (with_filters) parse_filters_and_tests(chain.links);
  if (chain.links.empty()) return std::move(*chain.base);
  return {line, std::move(chain)};
}

Expression ExpressionParser::parse_primary() {
  switch (tokens_.current().kind) {
    case TokenKind::kName:
      return parse_name();
    case TokenKind::kString:
      return parse_string();
    case TokenKind::kInteger:
    case TokenKind::kFloat:
      return parse_number();
    default:
      break;
  }
  if (tokens_.at_operator("(")) return parse_parentheses();
  if (tokens_.at_operator("[")) return parse_list();
  if (tokens_.at_operator("{")) return parse_dict();
  tokens_.fail_here("an expression");
}

Expression ExpressionParser::parse_name() {
  const Token token = tokens_.take();
  const std::string& name = token.text;
  if (name == "true" || name == "True") return {token.line, Literal{true}};
  if (name == "false" || name == "False") return {token.line, Literal{false}};
  if (name == "none" || name == "None") return {token.line, Literal{None()}};
  return {token.line, Name{name}};
}

Expression ExpressionParser::parse_number() {
  const Token token = tokens_.take();
  const bool is_real = token.kind == TokenKind::kFloat;
  return {token.line, Literal{is_real ? parse_real(token) : parse_integer(token)}};
}

// Strings beside each other are one.
Expression ExpressionParser::parse_string() {
  Token token = tokens_.take();
  while (tokens_.at(TokenKind::kString)) token.text += tokens_.take().text;
  return {token.line, Literal{Text(std::move(token.text))}};
}

bool ExpressionParser::at_tuple_end() const {
  return tokens_.at(TokenKind::kOutputEnd) || tokens_.at(TokenKind::kBlockEnd) ||
         tokens_.at_operator(")") || tokens_.at_name("recursive");
}

Expression ExpressionParser::parse_tuple(bool with_conditional) {
  const int line = tokens_.line();
  std::vector<Expression> items;
  bool is_tuple = false;
  while (items.empty() || tokens_.skip_operator(",")) {
    is_tuple = !items.empty();
    if (is_tuple && at_tuple_end()) break;
    items.push_back(with_conditional ? parse_expression() : parse_unconditional());
  }
  return finish_tuple(line, std::move(items), is_tuple);
}

Expression ExpressionParser::finish_tuple(int line, std::vector<Expression> items, bool is_tuple) {
  if (!is_tuple) return std::move(items.front());
  return {line, ListLiteral{SequenceKind::kTuple, std::move(items)}};
}

Expression ExpressionParser::parse_parentheses() {
  const int line = tokens_.line();
  tokens_.expect_operator("(");
  if (tokens_.skip_operator(")")) return finish_tuple(line, {}, true);
  Expression inside = parse_tuple();
  tokens_.expect_operator(")");
  return inside;
}

Expression ExpressionParser::parse_list() {
  const int line = tokens_.line();
  tokens_.expect_operator("[");
  std::vector<Expression> items;
  while (!tokens_.at_operator("]")) {
    items.push_back(parse_expression());
    if (!tokens_.skip_operator(",")) break;
  }
  tokens_.expect_operator("]");
  return {line, ListLiteral{SequenceKind::kList, std::move(items)}};
}

Expression ExpressionParser::parse_dict() {
  const int line = tokens_.line();
  tokens_.expect_operator("{");
  DictLiteral dict;
  while (!tokens_.at_operator("}")) {
    dict.keys.push_back(parse_expression());
    tokens_.expect_operator(":");
    dict.values.push_back(parse_expression());
    if (!tokens_.skip_operator(",")) break;
  }
  tokens_.expect_operator("}");
  return {line, std::move(dict)};
}

}  // namespace precis::jinja
