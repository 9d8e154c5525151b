// SPDX-License-Identifier: Apache-2.0
#include "chat/jinja/parser.h"

#include <algorithm>
#include <initializer_list>
#include <utility>

#include "chat/jinja/expression_parser.h"
#include "chat/jinja/lexer.h"

// Tags: if, for, set, macro, ... Expressions within them are ExpressionParser's.
namespace precis::jinja {
namespace {

class Parser {
 public:
  explicit Parser(std::string_view source) : tokens_(tokenize(source)), expressions_(tokens_) {}

  Body run() {
    Body body = parse_until({});
    if (!expressions_.unknown().empty()) {
      const auto& first = expressions_.unknown().front();
      fail_unsupported(first.line, first.what);
    }
    return body;
  }

 private:
  using Names = std::initializer_list<std::string_view>;

  // Parses until a tag whose name is among `ends`, which is left to the caller; without `ends`,
  // until the end of the template.
  Body parse_until(Names ends);
  Body parse_body(Names ends);
  Body parse_whole_body(std::string_view end);
  Body parse_conditional_body(Names ends);
  void parse_tag(Body& body);
  Statement parse_output();
  Statement parse_data();

  Statement parse_if();
  Statement parse_for();
  Statement parse_set();
  Statement parse_filter_block();
  Statement parse_macro();
  void parse_parameter(MacroDefinition& macro);
  Statement parse_with();
  Statement parse_generation();
  template <typename Jump>
  Statement parse_jump();

  Target parse_target_tuple(bool with_namespace);
  Target parse_single_target(bool with_namespace);

  TokenStream tokens_;
  ExpressionParser expressions_;
  int num_loops_ = 0;  // around the current tag
};

Statement Parser::parse_data() {
  Token token = tokens_.take();
  return {token.line, Output{{token.line, Literal{Text(std::move(token.text))}}}};
}

Statement Parser::parse_output() {
  const int line = tokens_.take().line;
  Statement statement{line, Output{expressions_.parse_tuple()}};
  tokens_.expect(TokenKind::kOutputEnd, "'}}'");
  return statement;
}

Body Parser::parse_until(Names ends) {
  const ParserNesting nesting(tokens_);
  Body body;
  while (!tokens_.at(TokenKind::kEnd)) {
    if (tokens_.at(TokenKind::kData)) {
      body.push_back(parse_data());
    } else if (tokens_.at(TokenKind::kOutputBegin)) {
      body.push_back(parse_output());
    } else {
      tokens_.expect(TokenKind::kBlockBegin, "a tag");
      const auto is_here = [this](std::string_view end) { return tokens_.at_name(end); };
      if (std::any_of(ends.begin(), ends.end(), is_here)) return body;
      parse_tag(body);
      tokens_.expect(TokenKind::kBlockEnd, "'%}'");
    }
  }
  if (ends.size() > 0) tokens_.fail_here("'" + std::string(*(ends.end() - 1)) + "'");
  return body;
}

// Called after the rest of a tag.
Body Parser::parse_body(Names ends) {
  tokens_.skip_operator(":");
  tokens_.expect(TokenKind::kBlockEnd, "'%}'");
  return parse_until(ends);
}

Body Parser::parse_whole_body(std::string_view end) {
  Body body = parse_body({end});
  tokens_.take();
  return body;
}

Body Parser::parse_conditional_body(Names ends) {
  const size_t num_unknown = expressions_.unknown().size();
  Body body = parse_body(ends);
  expressions_.forget_unknown_after(num_unknown);
  return body;
}

void Parser::parse_tag(Body& body) {
  using Parse = Statement (Parser::*)();
  static constexpr std::pair<std::string_view, Parse> kTags[] = {
      {"if", &Parser::parse_if},
      {"for", &Parser::parse_for},
      {"set", &Parser::parse_set},
      {"macro", &Parser::parse_macro},
      {"with", &Parser::parse_with},
      {"filter", &Parser::parse_filter_block},
      {"generation", &Parser::parse_generation},
      {"break", &Parser::parse_jump<Break>},
      {"continue", &Parser::parse_jump<Continue>}};
  for (const auto& [name, parse] : kTags) {
    if (!tokens_.at_name(name)) continue;
    return body.push_back((this->*parse)());
  }
  constexpr std::string_view kUnsupported[] = {"autoescape",
                                               "block",
                                               "call",
                                               "do",
                                               "extends",
                                               "from",
                                               "import",
                                               "include",
                                               "print",
                                               "trans"};
  const Token& tag = tokens_.current();
  const bool is_known = std::find(std::begin(kUnsupported), std::end(kUnsupported), tag.text) !=
                        std::end(kUnsupported);
  if (is_known && tag.kind == TokenKind::kName) {
    fail_unsupported(tag.line, "the tag '" + tag.text + "'");
  }
  tokens_.fail_here("the name of a tag");
}

Statement Parser::parse_if() {
  const int line = tokens_.line();
  If statement;
  while (tokens_.skip_name("if") || tokens_.skip_name("elif")) {
    statement.conditions.push_back(expressions_.parse_tuple(false));
    statement.bodies.push_back(parse_conditional_body({"elif", "else", "endif"}));
  }
  if (tokens_.skip_name("else")) statement.bodies.push_back(parse_conditional_body({"endif"}));
  tokens_.expect_name("endif");
  return {line, std::move(statement)};
}

Statement Parser::parse_for() {
  const int line = tokens_.take().line;
  Target target = parse_target_tuple(false);
  tokens_.expect_name("in");
  Expression items = expressions_.parse_tuple(false);
  ExpressionPtr filter = tokens_.skip_name("if") ? boxed(expressions_.parse_expression()) : nullptr;
  if (tokens_.at_name("recursive")) fail_unsupported(line, "a recursive loop");
  ++num_loops_;
  Body body = parse_body({"else", "endfor"});
  --num_loops_;
  Body otherwise = tokens_.skip_name("else") ? parse_body({"endfor"}) : Body();
  tokens_.expect_name("endfor");
  return {line,
          For{std::move(target),
              std::move(items),
              std::move(filter),
              std::move(body),
              std::move(otherwise)}};
}

Statement Parser::parse_set() {
  const int line = tokens_.take().line;
  Target target = parse_target_tuple(true);
  if (tokens_.skip_operator("=")) {
    return {line, Set{std::move(target), expressions_.parse_tuple()}};
  }
  std::vector<Link> filters = expressions_.parse_filters();
  return {line, SetBlock{std::move(target), std::move(filters), parse_whole_body("endset")}};
}

Statement Parser::parse_filter_block() {
  const int line = tokens_.take().line;
  FilterBlock block;
  do {
    expressions_.parse_filter(block.filters);
  } while (tokens_.skip_operator("|"));
  block.body = parse_whole_body("endfilter");
  return {line, std::move(block)};
}

void Parser::parse_parameter(MacroDefinition& macro) {
  macro.parameters.push_back(tokens_.expect(TokenKind::kName, "a parameter").text);
  if (tokens_.skip_operator("=")) {
    macro.defaults.push_back(expressions_.parse_expression());
  } else if (!macro.defaults.empty()) {
    tokens_.fail_here("a default, as the parameter before has one");
  }
}

Statement Parser::parse_macro() {
  const int line = tokens_.take().line;
  MacroDefinition macro;
  macro.name = tokens_.expect(TokenKind::kName, "a name").text;
  tokens_.expect_operator("(");
  while (!tokens_.at_operator(")")) {
    parse_parameter(macro);
    if (!tokens_.skip_operator(",")) break;
  }
  tokens_.expect_operator(")");
  const int num_loops = std::exchange(num_loops_, 0);
  macro.body = parse_whole_body("endmacro");
  num_loops_ = num_loops;
  return {line, std::move(macro)};
}

Statement Parser::parse_with() {
  const int line = tokens_.take().line;
  Scope scope;
  while (!tokens_.at(TokenKind::kBlockEnd)) {
    if (!scope.targets.empty()) tokens_.expect_operator(",");
    scope.targets.push_back(parse_target_tuple(false));
    tokens_.expect_operator("=");
    scope.values.push_back(expressions_.parse_expression());
  }
  scope.body = parse_whole_body("endwith");
  return {line, std::move(scope)};
}

Statement Parser::parse_generation() {
  const int line = tokens_.take().line;
  return {line, Scope{{}, {}, parse_whole_body("endgeneration")}};
}

template <typename Jump>
Statement Parser::parse_jump() {
  const int line = tokens_.line();
  if (num_loops_ == 0) tokens_.fail_here("a loop around this tag");
  tokens_.take();
  return {line, Jump{}};
}

// "a" or "a, b", with or without parentheses around elements.
Target Parser::parse_target_tuple(bool with_namespace) {
  Target first = parse_single_target(with_namespace);
  if (!tokens_.at_operator(",")) return first;
  Target tuple{first.line, "", "", {}, true};
  tuple.elements.push_back(std::move(first));
  while (tokens_.skip_operator(",")) {
    if (!tokens_.at(TokenKind::kName) && !tokens_.at_operator("(")) break;
    if (tokens_.at_name("in")) break;
    tuple.elements.push_back(parse_single_target(with_namespace));
  }
  return tuple;
}

Target Parser::parse_single_target(bool with_namespace) {
  const ParserNesting nesting(tokens_);
  if (tokens_.skip_operator("(")) {
    Target inside = parse_target_tuple(with_namespace);
    tokens_.expect_operator(")");
    return inside;
  }
  const Token name = tokens_.expect(TokenKind::kName, "a name to assign to");
  constexpr std::string_view kConstants[] = {"true", "True", "false", "False", "none", "None"};
  const bool is_constant =
      std::find(std::begin(kConstants), std::end(kConstants), name.text) != std::end(kConstants);
  if (is_constant) fail_at(name.line, "cannot assign to " + name.text);
  Target target{name.line, name.text, "", {}, false};
  if (with_namespace && tokens_.skip_operator(".")) {
    target.attribute = tokens_.expect(TokenKind::kName, "an attribute").text;
  }
  return target;
}

}  // namespace

Body parse_template(std::string_view source) { return Parser(source).run(); }

}  // namespace precis::jinja
