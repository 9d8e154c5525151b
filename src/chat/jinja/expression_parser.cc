// SPDX-License-Identifier: Apache-2.0
#include "chat/jinja/expression_parser.h"

#include <charconv>
#include <cmath>
#include <utility>

namespace precis::jinja {
namespace {

Value parse_integer(const Token& token) {
  int64_t number = 0;
  const char* end = token.text.data() + token.text.size();
  if (std::from_chars(token.text.data(), end, number).ec != std::errc()) {
    fail_unsupported(token.line, "the integer " + token.text.substr(0, 40));
  }
  return number;
}

// A number beyond the range of doubles becomes infinity or zero, as in Python.
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

// Adjacent string literals are one string.
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

// Postfix operations: .name, [key], (arguments), | filter, is test.
void ExpressionParser::parse_links(std::vector<Link>& links) {
  while (true) {
    if (tokens_.at_operator(".")) {
      links.push_back(parse_attribute());
    } else if (tokens_.at_operator("[")) {
      links.push_back(parse_subscript());
    } else if (tokens_.at_operator("(")) {
      links.push_back(parse_call());
    } else {
      return;
    }
  }
}

void ExpressionParser::parse_filters_and_tests(std::vector<Link>& links) {
  while (true) {
    if (tokens_.skip_operator("|")) {
      parse_filter(links);
    } else if (tokens_.at_name("is")) {
      links.push_back(parse_test());
    } else if (tokens_.at_operator("(")) {
      links.push_back(parse_call());
    } else {
      return;
    }
  }
}

Link ExpressionParser::parse_call() {
  const int line = tokens_.line();
  return {line, CallLink{parse_arguments()}};
}

Link ExpressionParser::parse_attribute() {
  const int line = tokens_.line();
  tokens_.expect_operator(".");
  if (tokens_.at(TokenKind::kInteger)) {
    return {line, SubscriptLink{boxed(parse_number())}};
  }
  return {line, AttributeLink{tokens_.expect(TokenKind::kName, "a name or a number").text}};
}

ExpressionPtr ExpressionParser::parse_slice_bound() {
  if (tokens_.at_operator(":") || tokens_.at_operator("]")) return nullptr;
  return boxed(parse_expression());
}

Link ExpressionParser::parse_subscript() {
  const int line = tokens_.line();
  tokens_.expect_operator("[");
  ExpressionPtr first = parse_slice_bound();
  if (tokens_.skip_operator(":")) {
    SliceLink slice{std::move(first), parse_slice_bound(), nullptr};
    if (tokens_.skip_operator(":")) slice.step = parse_slice_bound();
    tokens_.expect_operator("]");
    return {line, std::move(slice)};
  }
  if (!first) tokens_.fail_here("a key");
  std::vector<Expression> keys;
  keys.push_back(std::move(*first));
  const bool is_tuple = tokens_.at_operator(",");
  while (tokens_.skip_operator(",")) keys.push_back(parse_expression());
  tokens_.expect_operator("]");
  return {line, SubscriptLink{boxed(finish_tuple(line, std::move(keys), is_tuple))}};
}

std::string ExpressionParser::parse_dotted_name() {
  std::string name = tokens_.expect(TokenKind::kName, "a name").text;
  while (tokens_.skip_operator(".")) name += "." + tokens_.expect(TokenKind::kName, "a name").text;
  return name;
}

std::vector<Link> ExpressionParser::parse_filters() {
  std::vector<Link> links;
  while (tokens_.skip_operator("|")) parse_filter(links);
  return links;
}

void ExpressionParser::parse_filter(std::vector<Link>& links) {
  const int line = tokens_.line();
  FilterLink link{parse_dotted_name(), nullptr, {}};
  link.filter = find_filter(link.name);
  if (!link.filter) unknown_.push_back({line, "the filter '" + link.name + "'"});
  if (tokens_.at_operator("(")) link.arguments = parse_arguments();
  links.push_back({line, std::move(link)});
}

Link ExpressionParser::parse_test() {
  const int line = tokens_.line();
  tokens_.expect_name("is");
  TestLink link{"", nullptr, tokens_.skip_name("not"), {}};
  link.name = parse_dotted_name();
  link.test = find_test(link.name);
  if (!link.test) unknown_.push_back({line, "the test '" + link.name + "'"});
  link.arguments = parse_test_arguments();
  return {line, std::move(link)};
}

// Arguments in parentheses, or one operand without: "x is divisibleby 3".
CallArguments ExpressionParser::parse_test_arguments() {
  if (tokens_.at_operator("(")) return parse_arguments();
  if (tokens_.at_name("is")) tokens_.fail_here("no second test");
  const bool ends = tokens_.at_name("else") || tokens_.at_name("or") || tokens_.at_name("and");
  const bool begins = tokens_.at(TokenKind::kName) || tokens_.at(TokenKind::kString) ||
                      tokens_.at(TokenKind::kInteger) || tokens_.at(TokenKind::kFloat) ||
                      tokens_.at_operator("[") || tokens_.at_operator("{");
  CallArguments arguments;
  if (ends || !begins) return arguments;
  const int line = tokens_.line();
  Chain chain{boxed(parse_primary()), {}};
  parse_links(chain.links);
  arguments.positional.push_back({line, std::move(chain)});
  return arguments;
}

CallArguments ExpressionParser::parse_arguments() {
  tokens_.expect_operator("(");
  CallArguments arguments;
  while (!tokens_.at_operator(")")) {
    parse_argument(arguments);
    if (!tokens_.skip_operator(",")) break;
  }
  tokens_.expect_operator(")");
  return arguments;
}

void ExpressionParser::parse_argument(CallArguments& arguments) {
  const bool is_last = arguments.more_named != nullptr;
  const bool is_named =
      tokens_.at(TokenKind::kName) && TokenStream::is(tokens_.next(), TokenKind::kOperator, "=");
  if (is_last) tokens_.fail_here("no argument after **");
  if (tokens_.skip_operator("**")) {
    arguments.more_named = boxed(parse_expression());
  } else if (is_named) {
    Text name(tokens_.take().text);
    tokens_.take();
    arguments.named.emplace_back(std::move(name), boxed(parse_expression()));
  } else if (arguments.more_positional || !arguments.named.empty()) {
    tokens_.fail_here("a named argument");
  } else if (tokens_.skip_operator("*")) {
    arguments.more_positional = boxed(parse_expression());
  } else {
    arguments.positional.push_back(parse_expression());
  }
}

}  // namespace precis::jinja
