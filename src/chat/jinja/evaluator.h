// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "chat/jinja/ast.h"
#include "chat/jinja/callables.h"

// The interpreter: walks the syntax tree and writes the output.
namespace precis::jinja {

using Variables = std::map<std::string, Value, std::less<>>;

// Runs a parsed template and returns its output. Errors name the line.
Text interpret(const Body& program, Environment& environment, Variables variables);

// The variables of one scope. Bodies of loops and macros are scopes, those of "if" are not.
struct Frame {
  std::shared_ptr<Frame> parent;
  Variables names;
};

// A macro sees the names of the scope that defines it. The pointer is weak, because that scope
// holds the macro itself.
struct Macro {
  const MacroDefinition* definition;
  std::weak_ptr<Frame> scope;
};

// How execution continues after a statement in a loop.
enum class Flow { kNext, kBreak, kContinue };

// Runs one rendering: evaluates expressions and executes statements.
class Evaluator {
 public:
  Evaluator(Environment& environment, Variables variables);

  Text run(const Body& program);
  int line() const { return line_; }

 private:
  Value evaluate(const Expression& expression);
  Value visit(const Literal& literal) { return literal.value; }
  Value visit(const Name& name);
  Value visit(const ListLiteral& list);
  Value visit(const DictLiteral& dict);
  Value visit(const Unary& unary);
  Value visit(const Calculation& calculation);
  Value visit(const Concatenation& concatenation);
  Value visit(const Comparison& comparison);
  Value visit(const Logic& logic);
  Value visit(const Conditional& conditional);
  Value visit(const Chain& chain);
  bool holds(Relation relation, const Value& left, const Value& right);

  Value follow(const Value& value, const std::vector<Link>& links);
  Value follow_link(const Value& value, const AttributeLink& link);
  Value follow_link(const Value& value, const SubscriptLink& link);
  Value follow_link(const Value& value, const SliceLink& link);
  Value follow_link(const Value& value, const CallLink& link);
  Value follow_link(const Value& value, const FilterLink& link);
  Value follow_link(const Value& value, const TestLink& link);
  Arguments evaluate(const CallArguments& arguments);
  void add_more_named(const Value& dict, Arguments& arguments);
  Value call(const Value& callee, const Arguments& arguments);
  Value call_macro(const Macro& macro, const Arguments& arguments);
  void bind_parameters(const MacroDefinition& macro, const Arguments& arguments);
  Value default_of(const MacroDefinition& macro, size_t parameter);

  Flow execute(const Body& body);
  Flow visit(const Output& output);
  Flow visit(const If& statement);
  Flow visit(const For& loop);
  Flow visit(const Set& set);
  Flow visit(const SetBlock& block);
  Flow visit(const FilterBlock& block);
  Flow visit(const Scope& scope);
  Flow visit(const MacroDefinition& macro);
  Flow visit(const Break&) { return Flow::kBreak; }
  Flow visit(const Continue&) { return Flow::kContinue; }

  SequencePtr loop_items(const For& loop);
  void run_loop(const For& loop, const SequencePtr& items);
  void assign(const Target& target, const Value& value);
  void unpack(const Target& target, const Value& value);
  Value look_up(std::string_view name);

  Flow execute_in_scope(const Body& body);     // with a frame of its own
  Flow capture(const Body& body, Text& text);  // writes its output to `text`

  Budget& budget() { return environment_.budget; }

  Environment& environment_;
  std::shared_ptr<Frame> frame_;
  TextBuilder* out_ = nullptr;
  int line_ = 1;
};

}  // namespace precis::jinja
