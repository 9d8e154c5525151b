// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "chat/jinja/callables.h"
#include "chat/jinja/operators.h"
#include "chat/jinja/value.h"

// The syntax tree of a template. Operations in a row (a + b + c, x.y|z) are lists and not nested
// pairs, so that the depth of the tree is that of the parser's recursion, which is limited.
namespace precis::jinja {

struct Expression;
struct Statement;
using ExpressionPtr = std::unique_ptr<Expression>;
using Body = std::vector<Statement>;

struct Literal {
  Value value;
};
struct Name {
  std::string name;
};
struct ListLiteral {
  SequenceKind kind;
  std::vector<Expression> items;
};
struct DictLiteral {
  std::vector<Expression> keys;
  std::vector<Expression> values;
};
enum class UnaryOperator { kNot, kMinus, kPlus };
struct Unary {
  UnaryOperator operation;
  ExpressionPtr operand;
};
// operands[0] operations[0] operands[1] ..., from the left.
struct Calculation {
  std::vector<Expression> operands;
  std::vector<Arithmetic> operations;
};
struct Concatenation {
  std::vector<Expression> operands;
};
enum class Relation { kEqual, kNotEqual, kLess, kLessEqual, kMore, kMoreEqual, kIn, kNotIn };
struct Comparison {
  std::vector<Expression> operands;
  std::vector<Relation> relations;
};
struct Logic {
  bool is_or;
  std::vector<Expression> operands;
};
struct Conditional {
  ExpressionPtr condition;
  ExpressionPtr chosen;
  ExpressionPtr otherwise;  // null: an undefined value
};

struct CallArguments {
  std::vector<Expression> positional;
  std::vector<std::pair<Text, ExpressionPtr>> named;
  ExpressionPtr more_positional;  // *expression, or null
  ExpressionPtr more_named;       // **expression, or null
};
struct AttributeLink {
  std::string name;
};
struct SubscriptLink {
  ExpressionPtr key;
};
struct SliceLink {
  ExpressionPtr start;  // null where left out; so are the others
  ExpressionPtr stop;
  ExpressionPtr step;
};
struct CallLink {
  CallArguments arguments;
};
// `filter` or `test` is null for a name that Precis does not have; evaluating it is an error.
struct FilterLink {
  std::string name;
  const Transform* filter;
  CallArguments arguments;
};
struct TestLink {
  std::string name;
  const Test* test;
  bool negated;
  CallArguments arguments;
};
// One postfix operation.
struct Link {
  int line;
  std::variant<AttributeLink, SubscriptLink, SliceLink, CallLink, FilterLink, TestLink> node;
};
// base.name[key](arguments) | filter is test
struct Chain {
  ExpressionPtr base;
  std::vector<Link> links;
};

struct Expression {
  int line;
  std::variant<Literal,
               Name,
               ListLiteral,
               DictLiteral,
               Unary,
               Calculation,
               Concatenation,
               Comparison,
               Logic,
               Conditional,
               Chain>
      node;
};

inline ExpressionPtr boxed(Expression expression) {
  return std::make_unique<Expression>(std::move(expression));
}

// What "set" and "for" assign to.
struct Target {
  int line;
  std::string name;
  std::string attribute;         // of the namespace `name`, or empty
  std::vector<Target> elements;  // of a tuple: the value is unpacked into them
  bool is_tuple;
};

struct Output {
  Expression value;
};
struct If {
  std::vector<Expression> conditions;
  std::vector<Body> bodies;  // one for each condition, and one for else
};
struct For {
  Target target;
  Expression items;
  ExpressionPtr filter;  // the condition of {% for ... if ... %}, or null
  Body body;
  Body otherwise;
};
struct Set {
  Target target;
  Expression value;
};
// {% set x | filter %}...{% endset %}
struct SetBlock {
  Target target;
  std::vector<Link> filters;
  Body body;
};
// {% filter x %}...{% endfilter %}
struct FilterBlock {
  std::vector<Link> filters;
  Body body;
};
// {% with %}, and {% generation %}, which marks the text that models are trained on and has no
// other effect.
struct Scope {
  std::vector<Target> targets;
  std::vector<Expression> values;
  Body body;
};
struct MacroDefinition {
  std::string name;
  std::vector<std::string> parameters;
  std::vector<Expression> defaults;  // of the last defaults.size() parameters
  Body body;
};
struct Break {};
struct Continue {};

struct Statement {
  int line;
  std::variant<Output, If, For, Set, SetBlock, FilterBlock, Scope, MacroDefinition, Break, Continue>
      node;
};

}  // namespace precis::jinja
