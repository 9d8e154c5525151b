// SPDX-License-Identifier: Apache-2.0
#include <utility>

#include "chat/jinja/expression_parser.h"

// What follows an operand: .name, [key], (arguments), | filter, is test.
namespace precis::jinja {
namespace {

ExpressionPtr boxed(Expression expression) {
  return std::make_unique<Expression>(std::move(expression));
}

}  // namespace

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

ExpressionPtr ExpressionParser::parse_slice_part() {
  if (tokens_.at_operator(":") || tokens_.at_operator("]")) return nullptr;
  return boxed(parse_expression());
}

Link ExpressionParser::parse_subscript() {
  const int line = tokens_.line();
  tokens_.expect_operator("[");
  ExpressionPtr first = parse_slice_part();
  if (tokens_.skip_operator(":")) {
    SliceLink slice{std::move(first), parse_slice_part(), nullptr};
    if (tokens_.skip_operator(":")) slice.step = parse_slice_part();
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

// In parentheses, or one operand that simply follows: "x is divisibleby 3".
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
