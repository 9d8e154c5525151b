// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "chat/jinja/ast.h"
#include "chat/jinja/callables.h"
#include "chat/jinja/interpreter.h"

namespace precis::jinja {

// The names of one scope. Bodies of loops and macros have their own, those of "if" do not.
struct Frame {
  std::shared_ptr<Frame> parent;
  Variables names;
};

// A macro sees the names around its definition. A weak pointer, as those names include the macro.
struct Macro {
  const MacroDefinition* definition;
  std::weak_ptr<Frame> scope;
};

// What a statement does to the loop around it.
enum class Flow { kNext, kBreak, kContinue };

// Runs one rendering; expressions in jinja_evaluator.cc, statements in jinja_interpreter.cc.
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

  // Runs a body with names of its own, and returns what it writes.
  Flow execute_in_scope(const Body& body);
  Flow capture(const Body& body, Text& text);

  Budget& budget() { return environment_.budget; }

  Environment& environment_;
  std::shared_ptr<Frame> frame_;
  TextBuilder* out_ = nullptr;
  int line_ = 1;
};

}  // namespace precis::jinja
